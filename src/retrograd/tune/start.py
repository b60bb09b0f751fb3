"""Where a search starts: the learning-rate range test, and the curvature of the loss."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from retrograd import nn, ops, optim
from retrograd.autodiff import hvp
from retrograd.data import Batch, batches
from retrograd.recipe.names import OPTIMIZERS
from retrograd.recipe.training import Job
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.train.batch import as_tensors
from retrograd.train.events import StepDone
from retrograd.train.fit import fit
from retrograd.train.step import initial_state, make_step, network
from retrograd.train.stopping import Steps
from retrograd.tree import leaves

_LOWEST, _HIGHEST, _STEPS = 1e-6, 10.0, 120
_BLOWN_UP = 4.0  # times the lowest loss
_ROWS = 512  # that the curvature is measured on


class RangeTest(NamedTuple):
    """A learning rate to begin with, and the one at which the loss blew up (or the last tried)."""

    suggested: float
    highest: float


def rate_range(job: Job) -> RangeTest:
    """Train 120 steps while the learning rate grows from 1e-6 to 10, and watch the loss.

    Suggested is a tenth of the rate at which the smoothed loss was lowest. Source: Smith 2017,
    Cyclical Learning Rates for Training Neural Networks, section 3.3.
    """
    growth = (_HIGHEST / _LOWEST) ** (1 / _STEPS)
    name = job.config.optimization.optimizer
    assert name is not None
    optimizer = OPTIMIZERS[name](optim.exponential(_LOWEST, factor=growth))
    state = initial_state(job.net, optimizer, ops.fold_in(ops.key(job.config.seed), 1))
    step, size = make_step(job.net, job.loss, optimizer), job.config.optimization.batch_size or 32

    def batches_of(epoch: int) -> Any:
        part, seed = job.train, job.config.seed
        return batches(part.inputs, part.targets, batch_size=size, seed=seed, epoch=epoch)

    losses: list[float] = []
    try:
        for event in fit(step, state, batches_of, epochs=_STEPS, stop=[Steps(_STEPS)]):
            if isinstance(event, StepDone):
                losses.append(event.numbers()["loss"])
    except NonFiniteError:
        pass  # what was looked for: the rate is too high from here on
    return _read(losses, growth)


def _read(losses: list[float], growth: float) -> RangeTest:
    """Return what the losses of growing rates say; their average forgets with 0.9 a step."""
    mean, smooth = 0.0, []
    for i, loss in enumerate(losses, start=1):
        mean = 0.9 * mean + 0.1 * loss
        smooth.append(mean / (1 - 0.9**i))
    if not smooth:
        return RangeTest(_LOWEST, _HIGHEST)
    lowest = int(np.argmin(smooth))
    blown = (i for i in range(lowest, len(smooth)) if smooth[i] > _BLOWN_UP * smooth[lowest])
    highest = next(blown, len(smooth))
    return RangeTest(_LOWEST * growth**lowest / 10, _LOWEST * growth**highest)


def largest_curvature(job: Job, *, most: int = 30, tolerance: float = 0.01) -> float:
    """Return the largest eigenvalue, by size, of the loss's Hessian at the first weights.

    Power iteration on Hessian-vector products over at most 512 training rows, until the estimate
    changes by less than the tolerance. Gradient descent with steps above 2 / lambda runs away along
    that direction. Source: LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, section 8; Cohen
    et al. 2021, Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability.
    """
    rows = as_tensors(Batch(job.train.inputs[:_ROWS], job.train.targets[:_ROWS]))
    params = nn.parameters(network(job.net, job.state))
    names = list(params)

    def loss(at: dict[str, Tensor]) -> Tensor:
        net = network(job.net, job.state._replace(params=at))
        value: Tensor = job.loss(net(rows.inputs), rows.targets)
        return value

    draw = np.random.default_rng(0)
    along = {name: draw.standard_normal(params[name].shape) for name in names}
    found = 0.0
    for _ in itertools.repeat(None, most):
        length = math.sqrt(sum(float((a * a).sum()) for a in along.values()))
        if not math.isfinite(length) or length == 0:
            return 0.0
        unit = {n: from_array((a / length).astype(params[n].dtype.numpy)) for n, a in along.items()}
        bent = leaves(hvp(loss, params, unit))
        before, along = found, {n: bent[n].numpy().astype(np.float64) for n in names}
        found = math.sqrt(sum(float((a * a).sum()) for a in along.values()))
        if abs(found - before) <= tolerance * found:
            break
    return found


def largest_step(job: Job) -> float:
    """Return 2 / lambda, the largest stable step of gradient descent; infinity without curvature.

    Dropout and batch statistics are left out: it is the loss of the network that answers.
    """
    curvature = largest_curvature(job)
    return 2 / curvature if curvature > 0 else math.inf
