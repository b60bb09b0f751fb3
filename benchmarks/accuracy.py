"""How good the default network is on real tables that packages ship, beside its baselines.

    python benchmarks/accuracy.py [TABLE ...]

Each table is split, trained and tested with five seeds and no option set. Printed are means over
the seeds, in how many of them the network's estimate was better than the linear model's, and in how
many the interval of the difference says so.
"""

import statistics
import sys
import tempfile
import time

from retrograd.recipe.config import configure
from retrograd.recipe.evaluate import Evaluation, evaluate_run
from retrograd.recipe.run import run

TABLES = ("churn", "diamonds", "credit_data", "digits", "hotel_rates")
SEEDS = range(5)


def row_of(table: str) -> str:
    """Train and test with every seed; return one line of the table."""
    reports: list[Evaluation] = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as runs:
        for seed in SEEDS:
            outcome = run(configure(source=table, seed=seed, directory=runs))
            reports.append(evaluate_run(outcome.directory))
    seconds = (time.perf_counter() - start) / len(SEEDS)
    trivial, linear = (
        statistics.mean(report.comparisons[i].estimate.value for report in reports) for i in (0, 1)
    )
    own = statistics.mean(report.estimate.value for report in reports)
    spread = statistics.stdev(report.estimate.value for report in reports)
    better = sum(report.comparisons[1].difference.value > 0 for report in reports)
    clearly = sum(report.comparisons[1].result == "better" for report in reports)
    measure = reports[0].measure.replace("root_mean_squared_error", "RMSE")
    return (
        f"| {table} | {measure} | {own:.4g} ± {spread:.2g} | {linear:.4g} | {trivial:.4g} "
        f"| {better} of 5 | {clearly} of 5 | {seconds:.0f} s |"
    )


def main(tables: list[str]) -> None:
    """Print the table, a line as soon as it is known."""
    print("| table | measure | network | linear | trivial | better | clearly | a seed takes |")
    print("|---|---|---|---|---|---|---|---|")
    for table in tables or TABLES:
        print(row_of(table), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
