"""Losses for numbers: squared, absolute, robust, quantiles, counts, and mean with variance.

Predictions and targets have equal shapes, (n,) or (n, k), unless a docstring says otherwise; the
mean is taken over all numbers. Each raises ShapeError, DTypeError or DataError for arguments that
do not fit.
"""

from __future__ import annotations

import math
from typing import Any

from retrograd import ops
from retrograd.nn.losses import arguments
from retrograd.nn.losses.reduction import Reduction, reduce
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor


def mean_squared_error(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    weights: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return (prediction - target)^2; its gradient is 2 (prediction - target).

    Source: Legendre 1805, the method of least squares.

    >>> from retrograd.tensor.tensor import tensor
    >>> mean_squared_error(tensor([1.0, 2.0]), tensor([1.0, 4.0]))
    tensor(2., float32[])
    """
    given, wanted = arguments.paired("mean_squared_error", predictions, targets)
    losses = ops.square(given - wanted)
    return reduce(losses, arguments.as_weights("mean_squared_error", weights, losses), reduction)


def mean_absolute_error(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    weights: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return |prediction - target|; where they are equal the gradient is 0.

    >>> from retrograd.tensor.tensor import tensor
    >>> mean_absolute_error(tensor([1.0, 2.0]), tensor([1.0, 4.0]))
    tensor(1., float32[])
    """
    given, wanted = arguments.paired("mean_absolute_error", predictions, targets)
    losses = ops.absolute(given - wanted)
    return reduce(losses, arguments.as_weights("mean_absolute_error", weights, losses), reduction)


def huber(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    delta: float = 1.0,
    weights: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return r^2 / 2 for errors |r| up to delta, delta (|r| - delta / 2) beyond.

    Its gradient is r held between -delta and delta. Raises InputError for a delta not above 0.
    Source: Huber 1964, Robust Estimation of a Location Parameter.

    >>> from retrograd.tensor.tensor import tensor
    >>> huber(tensor([0.5, 3.0]), tensor([0.0, 0.0]), reduction="none")
    tensor([0.125, 2.5  ], float32[2])
    """
    given, wanted = arguments.paired("huber", predictions, targets)
    if not 0.0 < delta < math.inf:
        raise InputError(f"huber with delta={delta}", "it is not above 0", "give for example 1.0")
    error = given - wanted
    held = ops.clip(error, -delta, delta)
    losses = held * (error - held * 0.5)
    return reduce(losses, arguments.as_weights("huber", weights, losses), reduction)


def log_cosh(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    weights: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return log(cosh(r)) of the error r: r^2 / 2 near 0, |r| - log 2 far out, smooth between.

    Its gradient is tanh(r). Exact for small errors and large ones.

    >>> from retrograd.tensor.tensor import tensor
    >>> log_cosh(tensor([1e-3, 1000.0]), tensor([0.0, 0.0]), reduction="none")
    tensor([5.0000e-07, 9.9931e+02], float32[2])
    """
    given, wanted = arguments.paired("log_cosh", predictions, targets)
    error = given - wanted
    size = ops.absolute(error)
    # cosh r = 1 + (e^r - 1)^2 / (2 e^r) keeps the digits of a small r; e^-2r those of a large one.
    near = ops.log1p(ops.square(ops.expm1(size)) / (ops.exp(size) * 2.0))
    far = size + (ops.log1p(ops.exp(size * -2.0)) - math.log(2.0))
    losses = ops.replace_gradient(ops.where(size < 1.0, near, far), _log_cosh_rule, error)
    return reduce(losses, arguments.as_weights("log_cosh", weights, losses), reduction)


def _log_cosh_rule(g: Tensor, out: Tensor, error: Tensor) -> tuple[Tensor]:
    """Return g tanh(r): the parts above are chosen by size, their derivative is one function."""
    return (g * ops.tanh(error),)


def quantile(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    level: float = 0.5,
    weights: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return level r for r = target - prediction above 0, (level - 1) r below: the pinball loss.

    Its smallest mean is at the quantile of that level; 0.5 is the median and half the absolute
    error. Where prediction and target are equal the gradient is 0. Raises InputError for a level
    outside (0, 1).
    Source: Koenker & Bassett 1978, Regression Quantiles.

    >>> from retrograd.tensor.tensor import tensor
    >>> quantile(tensor([0.0, 0.0]), tensor([1.0, -1.0]), level=0.9, reduction="none")
    tensor([0.9, 0.1], float32[2])
    """
    given, wanted = arguments.paired("quantile", predictions, targets)
    if not 0.0 < level < 1.0:
        raise InputError(
            f"quantile with level={level}", "it is not in (0, 1)", "give for example 0.9"
        )
    error = wanted - given
    slope = ops.where(error > 0.0, level, ops.cast(error < 0.0, error.dtype) * (level - 1.0))
    losses = slope * error
    return reduce(losses, arguments.as_weights("quantile", weights, losses), reduction)


def poisson(
    log_rates: TensorLike,
    counts: TensorLike,
    *,
    weights: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return e^z - t z for the logarithm z of the expected count and the count t.

    The negative log-likelihood of a Poisson law without log(t!), which no prediction changes; its
    gradient is e^z - t. Raises DataError for a count below 0.

    >>> from retrograd.tensor.tensor import tensor
    >>> poisson(tensor([0.0]), tensor([3.0]))
    tensor(1., float32[])
    """
    given, wanted = arguments.paired("poisson", log_rates, counts)
    if wanted.array is not None:
        repair = "counts are 0 or more: for other numbers write nn.mean_squared_error"
        arguments.require_range("poisson", wanted.array, 0.0, math.inf, repair)
    losses = ops.exp(given) - given * wanted
    return reduce(losses, arguments.as_weights("poisson", weights, losses), reduction)


def gaussian_nll(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    weights: Any = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return (s + (t - m)^2 e^-s) / 2: t under a normal law of mean m and variance e^s.

    predictions (..., 2) hold m and s, the logarithm of the variance, which keeps it above 0;
    targets (...). The constant log(2 pi) / 2 is left out.
    Source: Nix & Weigend 1994, Estimating the Mean and Variance of the Target Distribution.

    >>> from retrograd.tensor.tensor import tensor
    >>> gaussian_nll(tensor([[1.0, 0.0]]), tensor([3.0]))
    tensor(2., float32[])
    """
    given, wanted = arguments.as_predictions("gaussian_nll", predictions), as_tensor(targets)
    if given.shape != (*wanted.shape, 2):
        raise ShapeError(
            f"gaussian_nll of predictions {given.type} and targets {wanted.type}",
            "the predictions are not a mean and a logarithm of the variance for each target",
            f"end the network with 2 outputs a target: shape {(*wanted.shape, 2)}",
        )
    mean, log_variance = given[..., 0], given[..., 1]
    mean, wanted = arguments.paired("gaussian_nll", mean, wanted)
    losses = (log_variance + ops.square(wanted - mean) * ops.exp(-log_variance)) * 0.5
    return reduce(losses, arguments.as_weights("gaussian_nll", weights, losses), reduction)
