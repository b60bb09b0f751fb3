"""The dense layer: every output is a weighted sum of all inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retrograd import ops
from retrograd.nn.initializers import Initializer, glorot_uniform
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import DType


@dataclass(frozen=True, eq=False)
class Linear:
    """z = x @ weight + bias.  x (..., in_features) -> (..., out_features)

    ``weight`` (in_features, out_features): column j holds the weights of output j. ``bias``
    (out_features,), or None. `nn.Dense` is another name for it.

    >>> from retrograd.tensor.tensor import tensor
    >>> layer = Linear(tensor([[1.0], [10.0]]), tensor([0.5]))
    >>> layer(tensor([[2.0, 3.0]]))
    tensor([[32.5]], float32[1, 1])
    """

    weight: Tensor
    bias: Tensor | None = None

    @classmethod
    def init(
        cls,
        key: Tensor,
        in_features: int,
        out_features: int,
        *,
        initializer: Initializer | None = None,
        bias: bool = True,
        dtype: DType = DType.float32,
    ) -> Linear:
        """Draw the weights, by `glorot_uniform` unless another is given; the bias starts at 0.

        `mlp` and `initializer_for` choose by the activation that follows. Raises InputError for
        sizes below 1.

        >>> Linear.init(ops.key(0), 3, 2).weight.shape
        (3, 2)
        """
        if in_features < 1 or out_features < 1:
            raise InputError(
                f"Linear.init(key, {in_features}, {out_features})",
                "a layer has at least one input and one output",
                "count the columns of its input and the numbers it should give",
            )
        draw = glorot_uniform if initializer is None else initializer
        weight = draw(key, (in_features, out_features), dtype)
        return cls(weight, ops.zeros((out_features,), dtype) if bias else None)

    def __call__(self, x: Tensor) -> Tensor:
        """Return z; raises ShapeError if x has another number of features."""
        in_features, out_features = self.weight.shape
        if not x.shape or x.shape[-1] != in_features:
            raise ShapeError(
                f"Linear with weight {self.weight.type} of an input {x.type}",
                f"the last axis of the input is not {in_features} long",
                f"give rows of {in_features} numbers, or make the layer with "
                f"Linear.init(key, {x.shape[-1] if x.shape else 1}, {out_features})",
            )
        # One product of two matrices: leading axes are rows like any other.
        lead = x.shape[:-1]
        rows = x if x.rank == 2 else ops.reshape(x, (math.prod(lead), in_features))
        z = ops.matmul(rows, self.weight)
        if self.bias is not None:
            z = z + self.bias
        return z if x.rank == 2 else ops.reshape(z, (*lead, out_features))

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return z and the state: training computes the same."""
        return self(x), state


Dense = Linear
"""Another name of `Linear`: half of the field calls it so."""
