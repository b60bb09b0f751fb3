"""Dropout: a network that may not rely on any one of its units."""

from __future__ import annotations

from dataclasses import dataclass

from retrograd import ops
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor


@dataclass(frozen=True)
class Dropout:
    """In training each number becomes 0 with probability ``rate``, else x / (1 - rate).

    x (any) -> the same. Inference leaves x alone: the division keeps the expected value, so nothing
    is left to correct. Which numbers fall is a function of the key alone. Raises InputError for a
    rate outside [0, 1).
    Source: Srivastava et al. 2014, Dropout, section 10 (the inverted form).

    >>> from retrograd.tensor.tensor import tensor
    >>> Dropout(0.5)(tensor([1.0, 2.0]))
    tensor([1., 2.], float32[2])
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        """Check the rate."""
        if not 0.0 <= self.rate < 1.0:
            raise InputError(
                f"Dropout({self.rate})",
                "the rate is not in [0, 1)",
                "give the share that falls, for example Dropout(0.2)",
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what the key leaves of x, and the state."""
        if self.rate == 0.0:
            return x, state
        is_kept = ops.bernoulli(key, 1.0 - self.rate, x.shape)
        # A choice and not a product: an inf that falls becomes 0 and not NaN.
        return ops.where(is_kept, x * (1.0 / (1.0 - self.rate)), 0.0), state
