"""tinygrad on its CPU device, the whole step under TinyJit."""

from __future__ import annotations

import os
from typing import Any

os.environ["DEV"] = os.environ["DEVICE"] = "CPU"
os.environ["CPU"] = "1"
os.environ["NUM_CPU_THREADS"] = os.environ["OMP_NUM_THREADS"]

import numpy as np
from tinygrad import Context, Device, Tensor, TinyJit, nn

from benchmarks.clock import Run
from benchmarks.workloads import Task


def forward(params: list[tuple[Tensor, Tensor]], x: Tensor, dropout: float) -> Tensor:
    """Return the logits."""
    for i, (weight, bias) in enumerate(params):
        x = x.linear(weight, bias)
        if i < len(params) - 1:
            x = x.relu()
            x = x.dropout(dropout) if dropout else x
    return x


def optimizer_of(task: Task, params: list[Tensor]) -> Any:
    """Return the optimizer."""
    given = task.work.settings
    if task.work.optimizer == "momentum":
        return nn.optim.SGD(params, lr=given["learning_rate"], momentum=given["momentum"])
    return nn.optim.Adam(
        params, lr=given["learning_rate"], b1=given["beta1"], b2=given["beta2"],
        eps=given["epsilon"],
    )  # fmt: skip


def prepare(task: Task) -> Run:
    """Return the training."""
    is_binary = task.work.loss == "binary"
    layers = [tuple(Tensor(x).contiguous().realize() for x in pair) for pair in task.weights]
    params = [x for pair in layers for x in pair]
    optimizer = optimizer_of(task, params)
    kind = np.float32 if is_binary else np.int32
    data = [(Tensor(x).realize(), Tensor(y.astype(kind)).realize()) for x, y in task.data]

    @TinyJit
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        z = forward(layers, x, task.work.dropout)
        if is_binary:
            loss = z.binary_crossentropy_logits(y)
        else:
            loss = z.sparse_categorical_crossentropy(y)
        loss.backward()
        return loss.realize(*optimizer.schedule_step())

    Context(TRAINING=1).__enter__()  # for the rest of this process
    return Run(
        lambda i: step(*data[i % len(data)]), lambda loss: [loss.item()],
        wait=Device["CPU"].synchronize,
    )  # fmt: skip
