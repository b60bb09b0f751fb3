"""Write numerics.npz: how far PyTorch's float32 training drifts from its float64 training.

Run by hand from the repository with a Python that has PyTorch:
`python -m tests.oracles.make_numerics`. The tests of the compiled backend, and
`benchmarks/numerics.py`, train on the same problems, and need no PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STORED = Path(__file__).with_name("numerics.npz")
SEEDS, STEPS, ROWS = 10, 100, 1024
SAMPLE = 499  # every so many-th weight of a float64 run is stored

Array = np.ndarray[Any, Any]


class Kind(NamedTuple):
    """A network, its loss, and how it is trained."""

    sizes: tuple[int, ...]
    batch: int
    optimizer: str
    learning_rate: float


KINDS = {
    "binary, Adam": Kind((30, 64, 64, 1), 32, "adam", 1e-3),
    "digits, Adam": Kind((784, 128, 10), 128, "adam", 1e-3),
    "digits, momentum": Kind((784, 128, 10), 128, "momentum", 0.05),
    "deep, Adam": Kind((54, 61, 61, 61, 61, 7), 64, "adam", 1e-3),
}


class Problem(NamedTuple):
    """First weights as (weight (in, out), bias) pairs, and a batch for each step."""

    weights: list[tuple[Array, Array]]
    inputs: Array
    targets: Array


def problem(kind: Kind, seed: int) -> Problem:
    """Return the problem of a seed in float32: labels of a linear teacher, one in ten wrong."""
    random = np.random.default_rng(seed)
    weights = []
    for rows, columns in zip(kind.sizes, kind.sizes[1:], strict=False):
        bound = 1 / np.sqrt(rows)
        weight = random.uniform(-bound, bound, (rows, columns)).astype(np.float32)
        weights.append((weight, random.uniform(-bound, bound, columns).astype(np.float32)))
    x = random.standard_normal((ROWS, kind.sizes[0])).astype(np.float32)
    if kind.sizes[0] == 784:  # as images are: in [0, 1], half of the pixels dark
        x = np.clip(x, 0, 1)
    count = max(kind.sizes[-1], 2)
    labels = (x @ random.standard_normal((kind.sizes[0], count))).argmax(1)
    wrong = random.uniform(size=ROWS) < 0.1
    labels = np.where(wrong, random.integers(0, count, ROWS), labels)
    rows = random.integers(0, ROWS, (STEPS, kind.batch))
    targets = labels.astype(np.float32 if kind.sizes[-1] == 1 else np.int64)
    return Problem(weights, x[rows], targets[rows])


def train(kind: Kind, given: Problem, dtype: Any) -> Array:
    """Return all weights after the last step, in the order of the layers, as float64."""
    import torch

    first = [p for pair in given.weights for p in pair]
    params = [torch.tensor(p, dtype=dtype, requires_grad=True) for p in first]
    optimizer: Any = (
        torch.optim.Adam(params, lr=kind.learning_rate)
        if kind.optimizer == "adam"
        else torch.optim.SGD(params, lr=kind.learning_rate, momentum=0.9)
    )
    functional = torch.nn.functional
    for x, y in zip(given.inputs, given.targets, strict=True):
        h = torch.tensor(x, dtype=dtype)
        for i in range(0, len(params), 2):
            h = torch.addmm(params[i + 1], h, params[i])
            h = torch.relu(h) if i + 2 < len(params) else h
        if kind.sizes[-1] == 1:
            truth = torch.tensor(y, dtype=dtype)
            loss = functional.binary_cross_entropy_with_logits(h[:, 0], truth)
        else:
            loss = functional.cross_entropy(h, torch.tensor(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.concatenate([p.detach().double().numpy().ravel() for p in params])


def distance(narrow: Array, wide: Array) -> float:
    """Return the Euclidean distance of the weights, in parts of their own length."""
    return float(np.linalg.norm(narrow - wide) / np.linalg.norm(wide))


def main() -> None:
    """Train every problem in both precisions, and store what came of it."""
    import torch

    torch.set_num_threads(1)
    stored: dict[str, Any] = {"torch": np.array(torch.__version__)}
    for name, kind in KINDS.items():
        distances, samples = [], []
        for seed in range(SEEDS):
            given = problem(kind, seed)
            wide = train(kind, given, torch.float64)
            distances.append(distance(train(kind, given, torch.float32), wide))
            samples.append(wide[::SAMPLE])
        stored |= {f"{name}: distances": np.array(distances), f"{name}: weights": np.array(samples)}
        print(name, np.array(distances), np.median(distances))
    np.savez_compressed(STORED, **stored)


if __name__ == "__main__":
    main()
