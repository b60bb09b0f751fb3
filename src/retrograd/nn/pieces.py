"""Piecewise-linear embeddings of numbers: a column bends where its own values lie.

A smooth network needs many steps to learn a threshold. Pieces between quantiles give it one unit
for each stretch of a column, so that a threshold is a weight of the first layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from retrograd import ops
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType

_REACH = 3.0
_NARROWEST = 1e-5  # of a feature's range: a narrower piece would be a jump


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """y = (bounded x, pieces of x).  x (n, features) -> (n, features + pieces)

    Piece p of feature f is clip((x_f - start_p) slope_p, 0, 1): 0 before the piece, 1 behind it,
    and linear within. Before the pieces come the features themselves, bounded by
    x / sqrt(1 + (x/3)^2), so that one far-off value cannot outweigh a row. None of the leaves is
    trained: `fit` reads them off the training rows. ``start``, ``slope`` and the whole numbers
    ``feature`` are (pieces,).
    Source: Gorishniy et al. 2022, On Embeddings for Numerical Features in Tabular Deep Learning,
    section 3.1.1, with both ends closed; the bound: Holzmüller et al. 2024, Better by Default,
    section 3.1.

    >>> from retrograd.tensor.tensor import tensor
    >>> layer = PiecewiseLinear.fit(np.array([[0.0], [1.0], [4.0]]), 2, dtype=DType.float64)
    >>> layer(tensor([[0.0], [2.5]], DType.float64)).numpy()[:, 1:].tolist()
    [[0.0, 0.0], [1.0, 0.5]]
    """

    start: Tensor = field(metadata={"trained": False})
    slope: Tensor = field(metadata={"trained": False})
    feature: Tensor = field(metadata={"trained": False})

    @classmethod
    def fit(cls, inputs: Array, pieces: int, *, dtype: DType = DType.float32) -> PiecewiseLinear:
        """Cut each feature of these rows at quantiles, into at most that many pieces.

        inputs (rows, features), finite. A feature of few values is cut at each of them; one of two
        values, which a line already tells apart, not at all. Raises InputError for fewer than one
        piece, or if there is nothing to cut.
        """
        if pieces < 1:
            raise InputError(
                f"PiecewiseLinear.fit(inputs, {pieces})",
                "a feature has at least one piece",
                "give for example 16",
            )
        edges = [_edges(column, pieces) for column in np.asarray(inputs, np.float64).T]
        start = np.concatenate([each[:-1] for each in edges] or [np.zeros(0)])
        if not len(start):
            raise InputError(
                "PiecewiseLinear.fit",
                "no feature has three different values",
                "leave the layer out: weights alone tell two values apart",
            )
        slope = 1.0 / np.concatenate([np.diff(each) for each in edges])
        feature = np.repeat(np.arange(len(edges)), [max(len(each) - 1, 0) for each in edges])
        return cls(
            from_array(start.astype(dtype.numpy)),
            from_array(slope.astype(dtype.numpy)),
            from_array(feature.astype(np.int64)),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return y; raises ShapeError for an input that is no rows of numbers."""
        if x.rank != 2:
            raise ShapeError(
                f"PiecewiseLinear of an input {x.type}",
                "the input is no table of rows and features",
                "put nn.Flatten() before it",
            )
        bounded = x * ops.rsqrt(ops.square(x * (1.0 / _REACH)) + 1.0)
        along = (ops.take(x, self.feature, 1) - self.start) * self.slope
        return ops.concatenate([bounded, ops.clip(along, 0.0, 1.0)], 1)

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return y and the state: training computes the same."""
        return self(x), state


def _edges(column: npt.NDArray[np.float64], pieces: int) -> npt.NDArray[np.float64]:
    """Return where the pieces of a feature begin and end, none for one of two values."""
    values = np.unique(column)
    if len(values) < 3:
        return values[:0]
    if len(values) > pieces + 1:
        shares = np.linspace(0.0, 1.0, pieces + 1)
        values = np.unique(np.quantile(column, shares, method="nearest"))
    least = _NARROWEST * (values[-1] - values[0])
    kept = [values[0]]
    for value in values[1:]:
        if value - kept[-1] > least:
            kept.append(value)
    return np.array(kept)
