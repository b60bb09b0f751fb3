"""Temperature: scores divided by one number, so that their softmax is as sure as it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor


@dataclass(frozen=True)
class Temperature:
    """y = x / temperature.  x (n, classes) -> the same

    Above 1 it makes probabilities humbler, below 1 surer; the likeliest class stays the likeliest.
    It is not trained with the rest, but fitted on validation rows afterwards.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.

    Raises InputError for a temperature that is not above 0.

    >>> from retrograd.tensor.tensor import tensor
    >>> Temperature(2.0)(tensor([[1.0, 3.0]]))
    tensor([[0.5, 1.5]], float32[1, 2])
    """

    temperature: float

    def __post_init__(self) -> None:
        """Check that it is above 0."""
        if not 0.0 < self.temperature < math.inf:
            raise InputError(
                f"Temperature({self.temperature})", "it is not above 0", "give for example 1.5"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Return the scores, less or more apart."""
        return x * (1.0 / self.temperature)

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the same and the state."""
        return self(x), state
