"""How good the default recipe's networks are on real tables, beside other models.

    python -m benchmarks.accuracy [--tables a,b] [--seeds 10] [--models network,trees] [--report]

Every trial, one table, seed and model, is a line of the results' file; one that stands there is not
run again, so a stopped run goes on. `--report` prints the table of what is there. All models get
the same rows, prepared in the same way, one thread, and are judged once on the test part.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_report import report
from benchmarks.tables import MADE, REAL, load
from retrograd.data import target_values
from retrograd.recipe.config import configure
from retrograd.recipe.predictions import finite_outputs
from retrograd.recipe.prepare import Prepared, prepare
from retrograd.recipe.training import run_job, trained_network
from retrograd.tensor.types import Array
from retrograd.train.events import Stopped

RESULTS = Path(__file__).with_name("accuracy.jsonl")
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "network": {},
    "plain": {"members": 1, "pieces": 0},
    "members": {"pieces": 0},
    "pieces": {"members": 1},
}
"""The default, and what is left of it without its parts."""

Outputs = Callable[[Prepared, Array], Array]


def network(options: Mapping[str, Any]) -> Callable[[str, int], tuple[Prepared, Outputs]]:
    """Return what trains a network with these options, on a table with a seed."""

    def train(table: str, seed: int) -> tuple[Prepared, Outputs]:
        ready = prepare(configure(seed=seed, **options), load(table))
        *_, stopped = run_job(ready.job)
        assert isinstance(stopped, Stopped)
        net = trained_network(ready.job, stopped.state)
        return ready, lambda ready, inputs: finite_outputs(net, inputs)

    return train


def rival(fit: Callable[[Prepared], Any]) -> Callable[[str, int], tuple[Prepared, Outputs]]:
    """Return what fits a model of scikit-learn to the rows that the network trains on."""

    def train(table: str, seed: int) -> tuple[Prepared, Outputs]:
        ready = prepare(configure(seed=seed, members=1, pieces=0), load(table))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = fit(ready)
        return ready, lambda ready, inputs: outputs_of(model, ready, inputs)

    return train


def outputs_of(model: Any, ready: Prepared, inputs: Array) -> Array:
    """Return a fitted model's scores in the shape of a network's outputs."""
    if not ready.schema.classes:
        return np.asarray(model.predict(inputs)).reshape(-1, 1)
    found = np.zeros((len(inputs), len(ready.schema.classes)))
    found[:, model.classes_] = model.predict_proba(inputs)
    return found


def trees(ready: Prepared) -> Any:
    """Fit boosted trees with their own defaults."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if ready.schema.classes else HistGradientBoostingRegressor
    return kind(random_state=0).fit(ready.job.train.inputs, _targets(ready))


def linear(ready: Prepared) -> Any:
    """Fit logistic or ridge regression with its own defaults."""
    from sklearn.linear_model import LogisticRegression, Ridge

    model = LogisticRegression(max_iter=1000) if ready.schema.classes else Ridge()
    return model.fit(ready.job.train.inputs, _targets(ready))


def multilayer(ready: Prepared) -> Any:
    """Fit scikit-learn's MLP in six settings; return the one that the validation part prefers."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if ready.schema.classes else MLPRegressor
    held = ready.job.validation
    assert held is not None
    settings = [
        {"hidden_layer_sizes": hidden, "alpha": alpha}
        for hidden in ((100,), (128, 64))
        for alpha in (1e-4, 1e-2, 1.0)
    ]
    models = [
        kind(**chosen, early_stopping=True, max_iter=300, random_state=0).fit(
            ready.job.train.inputs, _targets(ready)
        )
        for chosen in settings
    ]
    wanted = held.targets if ready.schema.classes else held.targets[:, 0]
    return max(models, key=lambda model: model.score(held.inputs, wanted))


def _targets(ready: Prepared) -> Array:
    targets = ready.job.train.targets
    return targets if ready.schema.classes else targets[:, 0]


MODELS: Mapping[str, Callable[[str, int], tuple[Prepared, Outputs]]] = {
    **{name: network(options) for name, options in NETWORKS.items()},
    "trees": rival(trees),
    "linear": rival(linear),
    "mlp": rival(multilayer),
}


def trial(table: str, seed: int, model: str) -> dict[str, Any]:
    """Fit one model to one split of a table, and judge it on the test part."""
    start = time.perf_counter()
    ready, outputs = MODELS[model](table, seed)
    seconds = time.perf_counter() - start
    test = ready.table.take(ready.split.test)
    truth = target_values(test, ready.schema)
    found = outputs(ready, ready.preprocessor.transform(test))
    if ready.schema.classes:
        measure, score = "accuracy", float(np.mean(found.argmax(axis=1) == truth))
        spread = np.sqrt(score * (1 - score) / len(truth))
    else:
        gaps = (ready.preprocessor.inverse_target(found[:, 0]) - truth) ** 2
        measure, score = "RMSE", float(np.sqrt(gaps.mean()))
        spread = gaps.std() / np.sqrt(len(gaps)) / (2 * score)
    return {
        "table": table, "seed": seed, "model": model, "measure": measure, "score": score,
        "half_interval": float(1.96 * spread), "rows": ready.table.n_rows,
        "seconds": round(seconds, 2),
    }  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    """Return the trials of a results' file; none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def main() -> None:
    """Run what is not there yet, one trial after another, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", default=",".join((*REAL, *MADE)))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--models", default="network,mlp,trees,linear")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="print what is there, run nothing")
    asked = parser.parse_args()
    done = {(t["table"], t["seed"], t["model"]) for t in read(asked.results)}
    wanted = [
        (table, seed, model)
        for seed in range(asked.seeds)
        for table in asked.tables.split(",")
        for model in asked.models.split(",")
    ]
    for one in [] if asked.report else wanted:
        if one not in done:
            line = json.dumps(trial(*one))
            with asked.results.open("a") as file:
                file.write(line + "\n")
            print(line, flush=True)
    models = asked.models.split(",")
    print(report([t for t in read(asked.results) if t["model"] in models]))


if __name__ == "__main__":
    main()
