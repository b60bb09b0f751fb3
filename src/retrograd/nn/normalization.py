"""Normalisation: batch norm and layer norm.

Both centre first and take the variance of what is left (two passes, corrected), because the mean
of squares less the square of the mean has no correct digit where the mean is large.
Source: Chan, Golub & LeVeque 1983, Algorithms for Computing the Sample Variance, equation 1.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from retrograd import ops
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import DType


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """y = (x - mean) / sqrt(variance + epsilon) * scale + shift, feature by feature.

    x (n, ..., features) -> the same. In training mean and (biased) variance are the batch's, over
    all axes but the last, and the running statistics move towards them:
    running <- (1 - momentum) running + momentum batch, with the batch's unbiased variance.
    Inference uses the running statistics. A training batch with fewer than two values a feature
    has no variance: it is normalised with the running statistics, which stay as they are.
    Source: Ioffe & Szegedy 2015, Batch Normalization, algorithms 1 and 2; momentum and epsilon are
    PyTorch's, since the paper gives none.
    """

    scale: Tensor
    shift: Tensor
    running_mean: Tensor = field(metadata={"trained": False})
    running_variance: Tensor = field(metadata={"trained": False})
    momentum: float = 0.1
    epsilon: float = 1e-5

    @classmethod
    def init(
        cls,
        features: int,
        *,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        dtype: DType = DType.float32,
    ) -> BatchNorm:
        """Start with scale 1, shift 0, running mean 0 and running variance 1.

        Raises InputError for a momentum outside [0, 1], an epsilon that is not above 0, or fewer
        than one feature.

        >>> BatchNorm.init(3).scale
        tensor([1., 1., 1.], float32[3])
        """
        _require_settings("BatchNorm", features, epsilon)
        if not 0.0 <= momentum <= 1.0:
            raise InputError(
                f"BatchNorm.init(momentum={momentum})",
                "the weight of the newest batch is not in [0, 1]",
                "give for example 0.1",
            )
        one, zero = ops.ones((features,), dtype), ops.zeros((features,), dtype)
        return cls(one, zero, zero, one, momentum, epsilon)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise with the running statistics; raises ShapeError for other features."""
        _require_features("BatchNorm", self.scale, x, 2)
        return self._with_statistics(x, self.running_mean, self.running_variance)

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Normalise with the batch's statistics, and return the running ones moved towards them.

        Raises InputError for a state without them.
        """
        _require_features("BatchNorm", self.scale, x, 2)
        if not state.keys() >= {"running_mean", "running_variance"}:
            raise InputError(
                "training a BatchNorm",
                f"the state holds {sorted(state)}, not its running_mean and running_variance",
                "pass the statistics: net.apply(x, nn.statistics(net), key)",
            )
        running_mean, running_variance = state["running_mean"], state["running_variance"]
        count = math.prod(x.shape[:-1])
        if count < 2:
            return self._with_statistics(x, running_mean, running_variance), state
        axes = tuple(range(x.rank - 1))
        mean, centred, variance = _moments(x, axes)
        mean, variance = ops.reshape(mean, -1), ops.reshape(variance, -1)
        y = centred * (ops.rsqrt(variance + self.epsilon) * self.scale) + self.shift
        unbiased = variance * (count / (count - 1))
        moved = {
            "running_mean": self._moved(running_mean, mean),
            "running_variance": self._moved(running_variance, unbiased),
        }
        return y, {**state, **moved}

    def _with_statistics(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return (x - mean) * (ops.rsqrt(variance + self.epsilon) * self.scale) + self.shift

    def _moved(self, running: Tensor, batch: Tensor) -> Tensor:
        latest = ops.stop_gradient(batch)
        return running * (1.0 - self.momentum) + latest * self.momentum


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """y = (x - mean) / sqrt(variance + epsilon) * scale + shift, row by row.

    x (..., features) -> the same, with mean and (biased) variance over the last axis. Training and
    inference are alike, and rows do not touch each other.
    Source: Ba et al. 2016, Layer Normalization, equation 3; epsilon is PyTorch's.
    """

    scale: Tensor
    shift: Tensor
    epsilon: float = 1e-5

    @classmethod
    def init(
        cls, features: int, *, epsilon: float = 1e-5, dtype: DType = DType.float32
    ) -> LayerNorm:
        """Start with scale 1 and shift 0; raises InputError for features or epsilon not above 0.

        >>> from retrograd.tensor.tensor import tensor
        >>> LayerNorm.init(2)(tensor([[1.0, 3.0]]))
        tensor([[-1.,  1.]], float32[1, 2])
        """
        _require_settings("LayerNorm", features, epsilon)
        return cls(ops.ones((features,), dtype), ops.zeros((features,), dtype), epsilon)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise each row; raises ShapeError for other features."""
        _require_features("LayerNorm", self.scale, x, 1)
        _, centred, variance = _moments(x, (x.rank - 1,))
        return centred * ops.rsqrt(variance + self.epsilon) * self.scale + self.shift

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the same and the state."""
        return self(x), state


def _moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, x less its mean, and biased variance over axes, which stay with length 1.

    The mean itself is rounded, by more than a small deviation if it is large. What is left of it
    after centring is nothing but that rounding, and is taken out as well; it has no derivative.
    """
    mean = ops.mean(x, axes, keepdims=True)
    nearly = x - mean
    slip = ops.stop_gradient(ops.mean(nearly, axes, keepdims=True))
    centred = nearly - slip
    return mean + slip, centred, ops.mean(ops.square(centred), axes, keepdims=True)


def _require_settings(name: str, features: int, epsilon: float) -> None:
    if features < 1:
        raise InputError(
            f"{name}.init({features})",
            "it normalises at least one feature",
            "give the out_features of the layer before",
        )
    if not epsilon > 0.0:
        raise InputError(
            f"{name}.init(epsilon={epsilon})",
            "it is not above 0, so a constant feature would divide by 0",
            "give for example 1e-5",
        )


def _require_features(name: str, scale: Tensor, x: Tensor, rank: int) -> None:
    if x.rank < rank or x.shape[-1] != scale.size:
        raise ShapeError(
            f"{name} over {scale.size} features of an input {x.type}",
            "the input does not end in that many features" + (" after rows" if rank > 1 else ""),
            f"make the layer with {name}.init({x.shape[-1] if x.shape else 1})"
            if x.rank >= rank
            else f"give an input of shape (n, {scale.size})",
        )
