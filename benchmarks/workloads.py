"""The work, as plain data, with the first weights and the batches that every contestant gets.

A workload says what is computed; how it is computed is each contestant's own affair. Data are
float32 (labels int64), random from fixed seeds, never zeros.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ADAM = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
MOMENTUM = {"learning_rate": 0.01, "momentum": 0.9}
FEWEST_STEPS = 10  # the loss of the tenth step is compared


@dataclass(frozen=True)
class Workload:
    """What is computed: a network's training or inference, or one kernel.

    ``kind`` is "train", "infer", "job", or a kernel's: "softmax", "norm", "adam". ``sizes`` are the
    network's, or the kernel's shape; ``batches`` how many batches there are, gone round in turn;
    ``steps`` how many a form that takes many at once takes in a call, a multiple of ``batches``.
    """

    name: str
    title: str
    kind: str
    sizes: tuple[int, ...]
    batch: int = 1
    loss: str = "cross-entropy"
    optimizer: str = "adam"
    dropout: float = 0.0
    steps: int = 32
    batches: int = 8
    epochs: int = 50

    @property
    def settings(self) -> dict[str, float]:
        """What the optimizer is told."""
        return ADAM if self.optimizer == "adam" else MOMENTUM

    @property
    def flops(self) -> int:
        """Multiplications and additions of one training step's matrix products.

        Forward, gradient of the weights, and gradient of the inputs but for the first layer's.
        """
        if self.kind != "train":
            return 0
        products = [2 * self.batch * m * n for m, n in itertools.pairwise(self.sizes)]
        return 3 * sum(products) - products[0]


_ALL = (
    Workload(
        "W1", "MLP 30-64-64-1, batch 32, binary cross-entropy, Adam", "train", (30, 64, 64, 1),
        32, loss="binary", steps=512,
    ),
    Workload(
        "W2", "MLP 54-256-256-7, dropout 0.1, batch 256, Adam", "train", (54, 256, 256, 7), 256,
        dropout=0.1, steps=64,
    ),
    Workload("W3", "MLP 784-512-256-10, batch 128, Adam", "train", (784, 512, 256, 10), 128),
    Workload(
        "W4", "MLP 2048-2048-2048-1000, batch 512, momentum", "train", (2048, 2048, 2048, 1000),
        512, optimizer="momentum", steps=4, batches=4,
    ),
    Workload("softmax", "softmax cross-entropy and its gradient, 512 x 1000", "softmax",
             (512, 1000)),
    Workload("norm", "layer norm and its gradients, 4096 x 512", "norm", (4096, 512)),
    Workload("adam", "Adam on 1 million parameters", "adam", (1_000_000,)),
    Workload("I1", "one row through W1's network, NumPy to NumPy", "infer", (30, 64, 64, 1)),
    Workload("I3", "one row through W3's network, NumPy to NumPy", "infer", (784, 512, 256, 10)),
    Workload("J1", "process start to a trained digits network, 50 epochs", "job",
             (64, 128, 64, 10), 32),
)  # fmt: skip
WORKLOADS = {work.name: work for work in _ALL}
GROWTH = (1, 8, 32, 128, 512, 2048)


def workload(name: str, batch: int = 0) -> Workload:
    """Return a workload, with another batch size if one is given."""
    found = WORKLOADS[name]
    if not batch:
        return found
    fits = max(1, min(512, found.steps * found.batch // batch) // found.batches)
    return dataclasses.replace(found, batch=batch, steps=fits * found.batches)


def weights(work: Workload) -> list[tuple[Array, Array]]:
    """Return the first weight (in, out) and bias (out,) of every layer."""
    generator = np.random.default_rng(1)
    layers = []
    for m, n in itertools.pairwise(work.sizes):
        bound = m**-0.5
        weight = generator.uniform(-bound, bound, (m, n)).astype(np.float32)
        layers.append((weight, np.zeros(n, np.float32)))
    return layers


def batches(work: Workload) -> list[tuple[Array, Array]]:
    """Return the batches (inputs, targets); targets of two classes are float32 (n, 1)."""
    generator, n = np.random.default_rng(2), work.batch
    found = []
    targets: Array
    for _ in range(work.batches):
        inputs = generator.standard_normal((n, work.sizes[0]), np.float32)
        if work.loss == "binary":
            targets = generator.integers(0, 2, (n, 1)).astype(np.float32)
        else:
            targets = generator.integers(0, work.sizes[-1], n)
        found.append((inputs, targets))
    return found


def staged(task: Task) -> tuple[Array, Array]:
    """Return the batches of ``steps`` steps one above the other: (steps, n, ...) each."""
    turns = task.work.steps // task.work.batches
    inputs, targets = (np.stack(part * turns) for part in zip(*task.data, strict=True))
    return inputs, targets


def row(work: Workload) -> Array:
    """Return the one row (1, in) of an inference."""
    return np.random.default_rng(3).standard_normal((1, work.sizes[0]), np.float32)


def kernel_data(work: Workload) -> tuple[Array, ...]:
    """Return a kernel's arrays.

    softmax: logits, labels. norm: x, scale, shift, gradient of the output. adam: parameters,
    gradients.
    """
    generator = np.random.default_rng(4)
    first = generator.standard_normal(work.sizes, np.float32)
    if work.kind == "softmax":
        return first, generator.integers(0, work.sizes[1], work.sizes[0])
    second = generator.standard_normal(work.sizes, np.float32)
    if work.kind == "adam":
        return first, second
    scale, shift = generator.standard_normal((2, work.sizes[1]), np.float32)
    return first, 1 + scale / 8, shift, second


@dataclass(frozen=True)
class Task:
    """What one contestant's process is asked for: the work, its form, and the data of the work.

    ``data`` are the batches of a training, the arrays of a kernel, the one row of an inference, or
    the digits: inputs, labels, test inputs, test labels.
    """

    work: Workload
    form: str
    threads: int
    weights: list[tuple[Array, Array]]
    data: Any


def task(work: Workload, form: str, threads: int, digits: str = "") -> Task:
    """Return a task with its data, which for the whole job are read from a file."""
    made: Any
    if work.kind == "train":
        made = batches(work)
    elif work.kind == "infer":
        made = row(work)
    elif work.kind == "job":
        with np.load(digits) as arrays:
            made = tuple(arrays[name] for name in ("inputs", "labels", "test", "test_labels"))
    else:
        made = kernel_data(work)
    layers = [] if work.kind in ("softmax", "norm", "adam") else weights(work)
    return Task(work, form, threads, layers, made)
