"""Keras on JAX: ``fit`` over many batches, 32 steps an execution, as Keras advises.

The compared losses are those of ``train_on_batch``.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers

from benchmarks.clock import Run
from benchmarks.workloads import Task, staged


def network(task: Task, steps: int) -> Any:
    """Return the network with the first weights, compiled."""
    work = task.work
    made: list[Any] = [keras.Input((work.sizes[0],))]
    for i, size in enumerate(work.sizes[1:], 1):
        is_last = i == len(work.sizes) - 1
        made.append(layers.Dense(size, None if is_last else "relu"))
        made += [layers.Dropout(work.dropout)] if work.dropout and not is_last else []
    net, given = keras.Sequential(made), work.settings
    net.set_weights([x for pair in task.weights for x in pair])
    if work.optimizer == "momentum":
        optimizer = keras.optimizers.SGD(given["learning_rate"], momentum=given["momentum"])
    else:
        optimizer = keras.optimizers.Adam(given["learning_rate"], epsilon=given["epsilon"])
    losses = keras.losses
    kind = losses.BinaryCrossentropy if work.loss == "binary" else (
        losses.SparseCategoricalCrossentropy
    )  # fmt: skip
    net.compile(optimizer, kind(from_logits=True), jit_compile=True, steps_per_execution=steps)
    return net


def prepare(task: Task) -> Run:
    """Return the training."""
    keras.utils.set_random_seed(0)
    work = task.work
    scored = network(task, 1)
    net = network(task, min(32, work.steps))
    inputs, targets = staged(task)
    x, y = inputs.reshape(-1, work.sizes[0]), targets.reshape(-1, *targets.shape[2:])

    def one(i: int) -> float:
        scored.reset_metrics()
        return float(np.asarray(scored.train_on_batch(*task.data[i % work.batches])))

    def fit(i: int) -> None:
        net.fit(x, y, batch_size=work.batch, epochs=1, verbose=0, shuffle=False)

    return Run(fit, lambda loss: [loss], work.steps, scored=one)


def job(task: Task) -> float:
    """Train on the digits; return the accuracy on the test rows."""
    inputs, labels, test, truth = task.data
    net = network(task, len(inputs) // task.work.batch + 1)
    net.fit(inputs, labels, batch_size=task.work.batch, epochs=task.work.epochs, verbose=0)
    logits = np.asarray(net.predict_on_batch(test))
    return float((logits.argmax(1) == truth).mean())
