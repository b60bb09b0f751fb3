"""How exact the compiled backend is: the tables of docs/numerics.md.

    python -m benchmarks.numerics [drift] [functions] [sums]

drift: how far float32 training is from float64 training after 100 steps, beside PyTorch (whose
distances are stored, `tests/oracles/make_numerics.py`). functions: the largest errors of functions
in units in the last place. sums: the errors of long sums, and of the variance of layer norm.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from tests.compile.ulps import ulps
from tests.oracles.make_numerics import KINDS, SEEDS, STORED, Kind, distance, problem

from retrograd import nn, ops, optim
from retrograd.compile import Resident, native
from retrograd.compile.machine import Machine
from retrograd.compile.simplify import simplify
from retrograd.compile.target import Target
from retrograd.compile.trace import trace
from retrograd.data import Batch
from retrograd.tensor import special
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.train.batch import as_tensors
from retrograd.train.step import initial_state, make_step

Array = np.ndarray[Any, Any]


def targets() -> dict[str, Target]:
    """Return the machine's own target and narrower ones, by name."""
    found = {}
    for kind in ("", "avx2", "plain"):
        with mock.patch.dict(os.environ, {"RETROGRAD_CPU": kind}):
            try:
                target = native.host()
            except InputError:
                continue
        found[target.name] = target
    return found


def machine(function: Callable[..., Any], target: Target, *arrays: Array) -> Machine:
    """Return a function compiled for a target and for arrays like these."""
    return Machine(simplify(trace(function, *map(from_array, arrays)).graph), target)


# Drift


class Drift(NamedTuple):
    """Distances of float32 from float64 weights, by seed; weights of the float64 runs, sampled."""

    ours: Array
    theirs: Array
    wide: list[Array]

    @property
    def ratio(self) -> float:
        """Our median distance in parts of PyTorch's for the same seeds."""
        return float(np.median(self.ours) / np.median(self.theirs))


def train(kind: Kind, seed: int, dtype: type) -> Array:
    """Return all weights after the last step of a problem, in the order of layers, as float64."""
    given = problem(kind, seed)
    layers: list[Any] = []
    for weight, bias in given.weights:
        layers += [nn.Linear(from_array(weight.astype(dtype)), from_array(bias.astype(dtype)))]
        layers += [nn.relu]
    net = nn.Sequential(tuple(layers[:-1]))
    rate = kind.learning_rate
    optimizer = optim.adam(rate) if kind.optimizer == "adam" else optim.momentum(rate, 0.9)
    is_binary = kind.sizes[-1] == 1
    step = make_step(net, _binary_loss if is_binary else nn.cross_entropy, optimizer)
    targets = given.targets.astype(dtype) if is_binary else given.targets
    batches = as_tensors(Batch(given.inputs.astype(dtype), targets))
    first = as_tensors(Batch(batches.inputs.numpy()[0], batches.targets.numpy()[0]))
    resident = Resident(step, initial_state(net, optimizer, ops.key(0)), first)
    resident.run(batches)
    return np.concatenate([p.numpy().ravel().astype(float) for p in resident.state.params.values()])


def _binary_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.binary_cross_entropy(logits[..., 0], targets)


def drift(name: str, seeds: int = SEEDS) -> Drift:
    """Train a problem of the stored oracle in both precisions, for the first seeds."""
    kind, wide, ours = KINDS[name], [], []
    for seed in range(seeds):
        wide.append(train(kind, seed, np.float64))
        ours.append(distance(train(kind, seed, np.float32), wide[-1]))
    with np.load(STORED) as stored:
        return Drift(np.array(ours), stored[f"{name}: distances"][:seeds], wide)


# Functions


def _logistic(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Array], Array]]] = {
    "exp": (ops.exp, np.exp),
    "log": (ops.log, np.log),
    "tanh": (ops.tanh, np.tanh),
    "expm1": (ops.expm1, np.expm1),
    "log1p": (ops.log1p, np.log1p),
    "sin": (ops.sin, np.sin),
    "cos": (ops.cos, np.cos),
    "sqrt": (ops.sqrt, np.sqrt),
    "erf": (ops.erf, special.erf),
    "erfc": (ops.erfc, special.erfc),
    "sigmoid": (ops.sigmoid, _logistic),
    "softplus": (nn.softplus, lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
    "gelu": (nn.gelu, lambda x: x * (0.5 * special.erfc(-x / np.sqrt(2.0)))),
    "silu": (nn.silu, lambda x: x * _logistic(x)),
}
"""As compiled, and in float64."""


def patterns(step: int) -> Array:
    """Return every so many-th float32 of all, subnormals, infinities and NaN among them."""
    edges = [0.0, 2.0**-149, 2.0**-127, 2.0**-126, 1.0, 88.72284, 103.97, np.inf, np.nan]
    some = np.arange(0, 2**32, step, dtype=np.uint32).view(np.float32)
    return np.concatenate([some, np.float32(edges), -np.float32(edges)])


def largest_error(
    name: str, target: Target, step: int, within: float = np.inf
) -> tuple[float, float]:
    """Return the largest error of a compiled function in ulps, and where it is.

    NaN is looked at only if arguments are not limited to those ``within`` a distance from 0.
    """
    function, true = FUNCTIONS[name]
    worst, place = 0.0, 0.0
    every = patterns(step)
    every = every if within == np.inf else every[np.abs(every) <= within]
    block = min(len(every), 2**18)
    run = machine(function, target, every[:block])
    for start in range(0, len(every), block):
        x = np.resize(every[start : start + block], block)
        with np.errstate(all="ignore"):
            error = ulps(run([x])[0], true(x.astype(np.float64)))
        if error.max() > worst:
            worst, place = float(error.max()), float(x[np.argmax(error)])
    return worst, place


# Sums

COUNT = 10_000_000
SUMS: dict[str, tuple[tuple[int, ...], Callable[[Tensor], Tensor], tuple[int, ...] | None]] = {
    "sum": ((COUNT,), ops.sum, None),
    "mean": ((COUNT,), ops.mean, None),
    "sums along 10 rows": ((10, COUNT // 10), lambda x: ops.sum(x, -1), (1,)),
    "sums down 10 columns": ((COUNT // 10, 10), lambda x: ops.sum(x, 0), (0,)),
    "sums down 100 columns": ((COUNT // 100, 100), lambda x: ops.sum(x, 0), (0,)),
    "sum of both axes of a product": ((3163, 3163), lambda x: ops.sum(x * 1.0), None),
}
"""Shapes, how they are summed, and over which axes."""


def error_of_sum(name: str, target: Target) -> float:
    """Return the largest relative error of compiled sums of float32 numbers near 1000."""
    shape, function, axes = SUMS[name]
    random = np.random.default_rng(5)
    x = (1000 + random.standard_normal(shape, np.float32)).astype(np.float32)
    true = x.astype(np.float64).sum(axes)
    true = true / x.size if name == "mean" else true
    found = machine(function, target, x)([x])[0].astype(np.float64)
    return float(np.max(np.abs(found / true - 1)))


SMALL_SPREAD = {"SmLs01": 1, "SmLs04": 10**6, "SmLs07": 10**12}
"""Of NIST's data for analysis of variance: the offset of numbers that spread by 0.1."""


def correct_digits_of_variance(name: str, target: Target) -> float:
    """Return how many digits of the normalized numbers, and so of the variance, are right.

    Layer norm of float64 rows like NIST's, 189 numbers that alternate between offset + 0.3 and
    offset + 0.5 after one of offset + 0.4; the truth is computed in fractions of whole numbers.
    """
    offset = SMALL_SPREAD[name]
    row = [offset + 0.4, *(offset + (0.3, 0.5)[i % 2] for i in range(188))]
    exact = [Fraction(x) for x in row]
    mean = sum(exact) / len(exact)
    variance = sum((x - mean) ** 2 for x in exact) / len(exact)
    true = np.array([float(x - mean) for x in exact]) / np.sqrt(float(variance) + 1e-30)
    x = np.array([row])
    ones, zeros = np.ones(len(row)), np.zeros(len(row))
    layer = nn.LayerNorm(from_array(ones), from_array(zeros), 1e-30)
    found = machine(layer, target, x)([x])[0][0]
    error = np.max(np.abs(found - true) / np.max(np.abs(true)))
    return float(-np.log10(max(error, 1e-16)))


# Tables


def print_drift() -> None:
    """Print the table of drifts."""
    with np.load(STORED) as stored:
        print(f"| problem | ours | PyTorch {stored['torch']} | ratio |\n" + "|---" * 4 + "|")
    for name in KINDS:
        found = drift(name)
        ours, theirs = np.median(found.ours), np.median(found.theirs)
        print(f"| {name} | {ours:.3g} | {theirs:.3g} | {found.ratio:.2f} |", flush=True)


def print_functions() -> None:
    """Print the table of the largest errors, from every 1021st float32."""
    found = targets()
    print(f"| function | {' | '.join(found)} | worst at |\n" + "|---" * (len(found) + 2) + "|")
    for name in FUNCTIONS:
        errors = [largest_error(name, target, 1021) for target in found.values()]
        columns = " | ".join(f"{error:.2f}" for error, _ in errors)
        print(f"| {name} | {columns} | {max(errors)[1]:.6g} |", flush=True)


def print_sums() -> None:
    """Print the errors of sums, and how many digits of layer norm are right."""
    found = targets()
    print(f"| sum | {' | '.join(found)} |\n" + "|---" * (len(found) + 1) + "|")
    for name in SUMS:
        errors = [error_of_sum(name, target) for target in found.values()]
        print(f"| {name} | {' | '.join(f'{error:.1e}' for error in errors)} |", flush=True)
    for name in SMALL_SPREAD:
        digits = [correct_digits_of_variance(name, target) for target in found.values()]
        print(f"| digits, {name} | {' | '.join(f'{count:.1f}' for count in digits)} |", flush=True)


TABLES = {"drift": print_drift, "functions": print_functions, "sums": print_sums}


def main(words: Sequence[str]) -> None:
    """Print the tables that are asked for, or all."""
    for name in words or TABLES:
        TABLES[name]()
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
