"""From the losses of all rows to one number: the mean, the sum, or nothing at all."""

from __future__ import annotations

from typing import Literal

from retrograd import ops
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor

Reduction = Literal["mean", "sum", "none"]
"""What becomes of the rows' losses. The weighted mean divides by the sum of the weights."""


def reduce(
    losses: Tensor, weights: Tensor | None, reduction: Reduction, counts: Tensor | None = None
) -> Tensor:
    """Return the losses times the weights, as one number or as they are ("none").

    losses (n, ...), weights (n,) or more axes of the losses. ``counts`` are weights that the losses
    carry already, such as those of classes. The mean divides by the sum of all weights; if they are
    all 0 it is 0, since no row counts. The mean of no rows is NaN. Raises InputError for another
    reduction.

    >>> from retrograd.tensor.tensor import tensor
    >>> reduce(tensor([1.0, 5.0]), tensor([3.0, 1.0]), "mean")
    tensor(2., float32[])
    """
    if reduction not in ("mean", "sum", "none"):
        raise InputError(
            f"a loss with reduction={reduction!r}",
            "there is no such reduction",
            'write reduction="mean", "sum" or "none"',
        )
    if weights is not None:
        losses = losses * _with_axes(weights, losses.rank)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return ops.sum(losses)
    if counts is None and weights is None:
        return ops.mean(losses)
    if counts is None or weights is None:
        share = weights if counts is None else counts
        assert share is not None
    else:
        share = counts * _with_axes(weights, counts.rank)
    # Each weight counts once for every loss that it multiplied.
    divisor = ops.sum(share) * (losses.size / max(share.size, 1))
    return ops.sum(losses) / ops.where(divisor == 0.0, 1.0, divisor)


def _with_axes(weights: Tensor, rank: int) -> Tensor:
    """Return the weights with axes of length 1 behind, so that they stretch over the losses."""
    return ops.reshape(weights, (*weights.shape, *(1,) * (rank - weights.rank)))
