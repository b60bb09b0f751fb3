"""Many networks in one: members that share their large weights and own a few small vectors.

Rows carry an axis of members, (n, members, features), from the first `Members` on. In training
every member answers for itself; inference returns what they say together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from retrograd import ops
from retrograd.nn.activations import log_softmax, relu
from retrograd.nn.containers import Layer, Member, Sequential
from retrograd.nn.dropout import Dropout
from retrograd.nn.initializers import Initializer, glorot_uniform, initializer_for
from retrograd.nn.linear import Linear
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import DType


@dataclass(frozen=True, eq=False)
class Members:
    """y_k = x scale_k + shift_k for each member k.  x (n, features) -> (n, members, features)

    An input that has its members already, (n, members, features), keeps them.
    After a dense layer without bias, this makes one weight matrix serve many networks: each sees it
    through its own scales. ``scale`` and ``shift`` are (members, features).
    Source: Wen et al. 2020, BatchEnsemble, equation 2, of which the scales of the outputs;
    Gorishniy et al. 2024, TabM, section 3.2.

    >>> from retrograd.tensor.tensor import tensor
    >>> layer = Members(tensor([[1.0], [-1.0]]), tensor([[0.0], [0.5]]))
    >>> layer(tensor([[2.0]])).numpy().tolist()
    [[[2.0], [-1.5]]]
    """

    scale: Tensor
    shift: Tensor

    @classmethod
    def init(
        cls,
        features: int,
        members: int,
        *,
        key: Tensor | None = None,
        dtype: DType = DType.float32,
    ) -> Members:
        """Start with shift 0 and scale 1, or with a key with scales of +1 and -1 drawn evenly.

        The first of a network needs the signs: members that start alike stay alike. Raises
        InputError for sizes below 1.

        >>> Members.init(3, 2).scale.shape
        (2, 3)
        """
        if features < 1 or members < 1:
            raise InputError(
                f"Members.init({features}, {members})",
                "there is at least one feature and one member",
                "give the out_features of the layer before, and for example 8",
            )
        shape = (members, features)
        scale = ops.ones(shape, dtype)
        if key is not None:
            scale = ops.where(ops.bernoulli(key, 0.5, shape), scale, -scale)
        return cls(scale, ops.zeros(shape, dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Return y; raises ShapeError for other features or members."""
        members, features = self.scale.shape
        if x.rank not in (2, 3) or x.shape[-1] != features or x.shape[1:-1] not in ((), (members,)):
            raise ShapeError(
                f"{members} Members of {features} features of an input {x.type}",
                f"the input is neither (n, {features}) nor (n, {members}, {features})",
                "make the layer with Members.init(features, members)",
            )
        rows = ops.reshape(x, (x.shape[0], 1, features)) if x.rank == 2 else x
        return rows * self.scale + self.shift

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return y and the state: training computes the same."""
        return self(x), state


@dataclass(frozen=True, eq=False)
class MemberLinear:
    """z_k = x_k @ weight_k + bias_k for each member k.  x (n, members, in) -> (n, members, out)

    ``weight`` (members, in, out), ``bias`` (members, out): what members do not share, their heads.

    >>> from retrograd.tensor.tensor import tensor
    >>> layer = MemberLinear(tensor([[[2.0]], [[3.0]]]), tensor([[0.0], [1.0]]))
    >>> layer(tensor([[[1.0], [1.0]]])).numpy().tolist()
    [[[2.0], [4.0]]]
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def init(
        cls,
        key: Tensor,
        members: int,
        in_features: int,
        out_features: int,
        *,
        initializer: Initializer = glorot_uniform,
        dtype: DType = DType.float32,
    ) -> MemberLinear:
        """Draw each member's weights as those of a layer of its own; biases start at 0.

        Raises InputError for sizes below 1.

        >>> MemberLinear.init(ops.key(0), 4, 3, 2).weight.shape
        (4, 3, 2)
        """
        if min(members, in_features, out_features) < 1:
            raise InputError(
                f"MemberLinear.init(key, {members}, {in_features}, {out_features})",
                "there is at least one member, one input and one output",
                "count the members, the numbers that come in, and those it should give",
            )
        # The fans are one member's: each is a network of its own.
        drawn = [
            initializer(ops.fold_in(key, k), (in_features, out_features), dtype)
            for k in range(members)
        ]
        return cls(ops.stack(drawn), ops.zeros((members, out_features), dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Return z; raises ShapeError for other members or features."""
        members, in_features, _ = self.weight.shape
        if x.rank != 3 or x.shape[1:] != (members, in_features):
            raise ShapeError(
                f"MemberLinear with weight {self.weight.type} of an input {x.type}",
                f"the input is not (n, {members}, {in_features})",
                "put nn.Members before it",
            )
        by_member = ops.transpose(x, (1, 0, 2))
        return ops.transpose(ops.matmul(by_member, self.weight), (1, 0, 2)) + self.bias

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return z and the state: training computes the same."""
        return self(x), state


@dataclass(frozen=True)
class Average:
    """What the members say together.  x (n, members, outputs) -> (n, outputs) in inference

    Of several outputs, which are scores of classes, the logarithm of the mean probability
    log((1/members) sum over k of softmax(x_k)), whose own softmax is that mean; of a single one,
    an amount, the mean. In training x is handed on: the loss is each member's own
    (`loss_of_members`), since members that are only judged together learn to lean on each other.
    Source: Gorishniy et al. 2024, TabM, section 3.1.

    >>> from retrograd.tensor.tensor import tensor
    >>> Average()(tensor([[[1.0], [3.0]]]))
    tensor([[2.]], float32[1, 1])
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return what they say together; raises ShapeError for an input without members."""
        _require_members(x)
        if x.shape[2] == 1:
            return ops.mean(x, 1)
        return ops.logsumexp(log_softmax(x), 1) - math.log(x.shape[1])

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return x and the state: each member answers for itself."""
        _require_members(x)
        return x, state


def _require_members(x: Tensor) -> None:
    if x.rank != 3:
        raise ShapeError(
            f"Average of an input {x.type}",
            "the input has no axis of members",
            "give (n, members, outputs), as nn.MemberLinear does",
        )


def loss_of_members(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    loss: Callable[..., Tensor],
    weights: Any = None,
    **settings: Any,
) -> Tensor:
    """Return a loss over every member's own predictions.  (n, members, outputs), (n, ...) -> ()

    Each member is asked for the same targets, so the mean is over rows and members. Predictions
    without members, (n, outputs), as inference gives them, go to the loss as they are.

    >>> from retrograd.nn.losses.regression import mean_squared_error
    >>> from retrograd.tensor.tensor import tensor
    >>> both = tensor([[[1.0], [3.0]]])
    >>> loss_of_members(both, tensor([[1.0]]), loss=mean_squared_error)
    tensor(2., float32[])
    """
    given, wanted = as_tensor(predictions), as_tensor(targets)
    if given.rank == 3:
        wanted = _for_each(wanted, given.shape[1])
        weights = None if weights is None else _for_each(as_tensor(weights), given.shape[1])
    chosen = {} if weights is None else {"weights": weights}
    return loss(given, wanted, **chosen, **settings)


def _for_each(x: Tensor, members: int) -> Tensor:
    rows, *rest = x.shape
    return ops.broadcast_to(ops.reshape(x, (rows, 1, *rest)), (rows, members, *rest))


def ensemble(
    key: Tensor,
    sizes: Sequence[int],
    members: int,
    *,
    activation: Callable[[Tensor], Tensor] = relu,
    dropout: float = 0.0,
    normalization: Callable[..., Layer] | None = None,
    dtype: DType = DType.float32,
) -> Sequential:
    """Return as many networks of these sizes, which share their hidden layers' weights.

    x (n, sizes[0]) -> (n, sizes[-1]). After each hidden layer stand the members' own scales and
    shifts, those of the first with random signs; heads are the members' own. Train it with
    `loss_of_members`. Raises InputError for fewer than two sizes, or one below 1.
    Source: Gorishniy et al. 2024, TabM, section 3.2; there the signs stand before the first layer,
    which would then be computed once for each member instead of once.

    >>> ensemble(ops.key(0), (4, 8, 3), 5)(ops.zeros((2, 4))).shape
    (2, 3)
    """
    if len(sizes) < 2:
        raise InputError(
            f"ensemble of sizes {tuple(sizes)}",
            "a network has an input and an output size",
            "give for example (64, 128, 10)",
        )
    layers: list[Member] = []
    *hidden, last, outputs = sizes
    for i, (in_features, features) in enumerate(itertools.pairwise([*hidden, last])):
        own = ops.fold_in(key, i)
        draw = initializer_for(activation)
        layers += [
            Linear.init(own, in_features, features, initializer=draw, bias=False, dtype=dtype),
            Members.init(features, members, key=_signs(key, i), dtype=dtype),
            *([normalization(features, dtype=dtype)] if normalization else []),
            activation,
            *([Dropout(dropout)] if dropout else []),
        ]
    if not hidden:
        layers.append(Members.init(last, members, key=_signs(key, 0), dtype=dtype))
    heads = MemberLinear.init(ops.fold_in(key, len(sizes)), members, last, outputs, dtype=dtype)
    return Sequential((*layers, heads, Average()))


def _signs(key: Tensor, layer: int) -> Tensor | None:
    """Return the key of the first layer's signs: what follows differs because its inputs do."""
    return ops.fold_in(ops.fold_in(key, 0), 1) if layer == 0 else None
