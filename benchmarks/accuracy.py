"""How good the default recipe's networks are on real tables, beside a linear model and a guess.

    python benchmarks/accuracy.py [TABLE ...]

Each table is split, trained and tested with five seeds and no option set; a seed draws the split,
the first weights and the order of the rows, and its test rows are opened once. Printed are means
over the seeds with the standard deviation of the network's estimates; the mean of the runs' own
95 % intervals, which says how far one run can be trusted; in how many seeds the network was better
than the linear model, and in how many the interval of the difference says so; and the seconds that
reading, training and saving took.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import tempfile
import time
from statistics import mean, stdev

import retrograd
from retrograd.recipe.evaluate import Evaluation

TABLES = ("churn", "diamonds", "credit_data", "digits", "hotel_rates")
SEEDS = range(5)


def trial(table: str, seed: int) -> tuple[Evaluation, float]:
    """Train by default and open the test part; return what it said, and the seconds of training."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        run = retrograd.train(table, seed=seed, directory=directory)
        seconds = time.perf_counter() - start
        return run.test(), seconds


def row_of(table: str) -> str:
    """Train and test with every seed; return one line of the table."""
    found, seconds = zip(*(trial(table, seed) for seed in SEEDS), strict=True)
    own = [one.estimate.value for one in found]
    low, high = mean(one.estimate.low for one in found), mean(one.estimate.high for one in found)
    trivial, linear = (mean(one.comparisons[i].estimate.value for one in found) for i in (0, 1))
    better = sum(one.comparisons[1].difference.value > 0 for one in found)
    clearly = sum(one.comparisons[1].result == "better" for one in found)
    measure = found[0].measure.replace("root_mean_squared_error", "RMSE")
    return (
        f"| {table} | {measure} | {mean(own):.4g} ± {stdev(own):.2g} | {low:.4g} to {high:.4g} "
        f"| {linear:.4g} | {trivial:.4g} | {better} of 5 | {clearly} of 5 | {mean(seconds):.1f} |"
    )


def main(tables: list[str]) -> None:
    """Print the table, a line as soon as it is known."""
    print("| table | measure | network | interval of one run | linear | trivial ", end="")
    print("| better than linear | clearly | seconds |\n" + "|---" * 9 + "|")
    for table in tables or TABLES:
        print(row_of(table), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
