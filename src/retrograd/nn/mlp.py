"""The multilayer perceptron, ready to train: dense layers whose start fits their activation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from retrograd import ops
from retrograd.nn.activations import identity, relu
from retrograd.nn.containers import Layer, Member, Sequential
from retrograd.nn.dropout import Dropout
from retrograd.nn.initializers import Initializer, initializer_for
from retrograd.nn.linear import Linear
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import DType


def mlp(
    key: Tensor,
    sizes: Sequence[int],
    *,
    activation: Callable[[Tensor], Tensor] = relu,
    dropout: float = 0.0,
    normalization: Callable[..., Layer] | None = None,
    initializer: Initializer | None = None,
    dtype: DType = DType.float32,
) -> Sequential:
    """Return dense layers of these sizes.  x (n, sizes[0]) -> (n, sizes[-1])

    After each but the last come ``normalization(size, dtype=dtype)`` if given (`BatchNorm.init` or
    `LayerNorm.init`), the activation, and dropout if the rate is above 0. The last gives bare
    scores, as losses want them. Weights are drawn by ``initializer``, or by what fits: hidden
    layers by `initializer_for` the activation, the last by `glorot_uniform`. Raises InputError for
    fewer than two sizes, or one below 1.

    >>> from retrograd.nn.parameters import describe
    >>> [row.kind for row in describe(mlp(ops.key(0), (4, 8, 3), dropout=0.1))]
    ['Linear', 'relu', 'Dropout', 'Linear']
    """
    if len(sizes) < 2:
        raise InputError(
            f"mlp of sizes {tuple(sizes)}",
            "a network has an input and an output size",
            "give for example (64, 128, 10)",
        )
    layers: list[Member] = []
    last = len(sizes) - 2
    for i, (in_features, out_features) in enumerate(itertools.pairwise(sizes)):
        draw = initializer or initializer_for(identity if i == last else activation)
        own = ops.fold_in(key, i)
        layers.append(Linear.init(own, in_features, out_features, initializer=draw, dtype=dtype))
        if i < last:
            layers += [normalization(out_features, dtype=dtype)] if normalization else []
            layers += [activation]
            layers += [Dropout(dropout)] if dropout else []
    return Sequential(tuple(layers))
