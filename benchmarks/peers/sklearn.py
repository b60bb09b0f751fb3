"""scikit-learn's MLPClassifier, which has no dropout.

One call of ``partial_fit`` goes over many batches, so that its checks are spread over them; the
compared losses are of single batches.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.clock import Run
from benchmarks.workloads import Task, Workload, staged

warnings.filterwarnings("ignore")


def classifier(work: Workload, **more: Any) -> MLPClassifier:
    """Return the network, its weights not yet drawn."""
    given, how = work.settings, dict[str, Any](solver="adam")
    if work.optimizer == "momentum":
        how = {"solver": "sgd", "momentum": given["momentum"], "nesterovs_momentum": False}
    return MLPClassifier(
        work.sizes[1:-1], batch_size=work.batch, alpha=0.0, random_state=0,
        learning_rate_init=given["learning_rate"], **how, **more,
    )  # fmt: skip


def start_anew(net: MLPClassifier, task: Task) -> None:
    """Put the first weights in, and forget what the optimizer has seen."""
    for i, (weight, bias) in enumerate(task.weights):
        net.coefs_[i][...], net.intercepts_[i][...] = weight, bias
    optimizer = net._optimizer
    optimizer.t = 0
    for name in ("ms", "vs", "velocities"):
        for array in getattr(optimizer, name, ()):
            array[...] = 0.0
    net.t_ = net.n_iter_ = 0


def prepare(task: Task) -> Run:
    """Return the training."""
    work = task.work
    data = [(x, y.ravel().astype(np.int64)) for x, y in task.data]
    x, y = staged(task)
    x, y = x.reshape(-1, work.sizes[0]), y.ravel().astype(np.int64)
    net = classifier(work, shuffle=False)
    classes = np.arange(2 if work.loss == "binary" else work.sizes[-1])
    net.partial_fit(*data[0], classes=classes)
    start_anew(net, task)

    def one(i: int) -> float:
        net.partial_fit(*data[i % len(data)], classes=classes)
        return float(net.loss_)

    return Run(
        lambda i: net.partial_fit(x, y, classes=classes), lambda loss: [loss], work.steps,
        scored=one,
    )  # fmt: skip


def job(task: Task) -> float:
    """Train on the digits; return the accuracy on the test rows."""
    inputs, labels, test, truth = task.data
    epochs = task.work.epochs
    net = classifier(task.work, max_iter=epochs, n_iter_no_change=10**6, tol=0.0)
    net.fit(inputs, labels)
    return float((net.predict(test) == truth).mean())
