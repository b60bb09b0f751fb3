"""The training loop: state, step, `fit` as a generator of events, stopping, checkpoints, runs."""
