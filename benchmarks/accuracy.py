"""How good the default recipe's networks are on real tables, beside other models and a guess.

    python benchmarks/accuracy.py [TABLE ...]

Each table is split, trained and tested with five seeds and no option set; a seed draws the split,
the first weights and the order of the rows, and its test rows are opened once. Printed are means
over the seeds with the standard deviation of the network's estimates; the mean of the runs' own
95 % intervals, which says how far one run can be trusted; in how many seeds the network was better
than the linear model, and in how many the interval of the difference says so; and the seconds that
reading, training and saving took. The trees are scikit-learn's HistGradientBoosting with its own
defaults, on the same rows prepared in the same way.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import tempfile
import time
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np

import retrograd
from retrograd.data import target_values
from retrograd.recipe.config import configure
from retrograd.recipe.evaluate import Evaluation
from retrograd.recipe.prepare import prepare

TABLES = ("churn", "diamonds", "credit_data", "digits", "hotel_rates")
SEEDS = range(5)


class Trial(NamedTuple):
    """One seed: what the test rows say of the network and of trees, and seconds of training."""

    found: Evaluation
    trees: float
    seconds: float


def trial(table: str, seed: int) -> Trial:
    """Train by default, and open the test part."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        run = retrograd.train(table, seed=seed, directory=directory)
        seconds = time.perf_counter() - start
        return Trial(run.test(), score_of_trees(table, seed), seconds)


def score_of_trees(table: str, seed: int) -> float:
    """Return the accuracy, or root mean squared error, of boosted trees on the same test rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    ready = prepare(configure(source=table, seed=seed))
    train, preprocessor = ready.job.train, ready.preprocessor
    test = ready.table.take(ready.split.test)
    inputs, truth = preprocessor.transform(test), target_values(test, ready.schema)
    if ready.schema.classes:
        labels = HistGradientBoostingClassifier(random_state=0).fit(train.inputs, train.targets)
        return float(np.mean(labels.predict(inputs) == truth))
    amounts = HistGradientBoostingRegressor(random_state=0).fit(train.inputs, train.targets[:, 0])
    errors = preprocessor.inverse_target(amounts.predict(inputs)) - truth
    return float(np.sqrt(np.mean(errors**2)))


def row_of(table: str) -> str:
    """Train and test with every seed; return one line of the table."""
    found, trees, seconds = zip(*(trial(table, seed) for seed in SEEDS), strict=True)
    own = [one.estimate.value for one in found]
    low, high = mean(one.estimate.low for one in found), mean(one.estimate.high for one in found)
    trivial, linear = (mean(one.comparisons[i].estimate.value for one in found) for i in (0, 1))
    better = sum(one.comparisons[1].difference.value > 0 for one in found)
    clearly = sum(one.comparisons[1].result == "better" for one in found)
    measure = found[0].measure.replace("root_mean_squared_error", "RMSE")
    return (
        f"| {table} | {measure} | {mean(own):.4g} ± {stdev(own):.2g} | {low:.4g} to {high:.4g} "
        f"| {linear:.4g} | {mean(trees):.4g} | {trivial:.4g} | {better} of 5 | {clearly} of 5 "
        f"| {mean(seconds):.1f} |"
    )


def main(tables: list[str]) -> None:
    """Print the table, a line as soon as it is known."""
    print("| table | measure | network | interval of one run | linear | trees ", end="")
    print("| trivial | better than linear | clearly | seconds |\n" + "|---" * 10 + "|")
    for table in tables or TABLES:
        print(row_of(table), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
