"""The benchmarks: retrograd beside its peers, on the same work. `python -m benchmarks --help`."""
