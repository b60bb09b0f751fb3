"""Settings of optimizers: what may be given, and what is said when it may not."""

from __future__ import annotations

import math

from retrograd.tensor.errors import InputError


def _refuse(asked: str, name: str, value: object, wanted: str, usual: str) -> InputError:
    return InputError(f"{asked}({name}={value!r})", f"{name} must be {wanted}", f"try {usual}")


def _is_number(value: object) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)  # type: ignore[arg-type]  # is_real says so


def require_not_negative(asked: str, usual: float, **settings: float) -> None:
    """Raise InputError unless every setting is a finite number, 0 or more."""
    for name, value in settings.items():
        if not _is_number(value) or value < 0:
            raise _refuse(asked, name, value, "a finite number, at least 0", f"{name}={usual}")


def require_positive(asked: str, usual: float, **settings: float) -> None:
    """Raise InputError unless every setting is a finite number above 0."""
    for name, value in settings.items():
        if not _is_number(value) or value <= 0:
            raise _refuse(asked, name, value, "a finite number above 0", f"{name}={usual}")


def require_fraction(asked: str, usual: float, **settings: float) -> None:
    """Raise InputError unless every setting is at least 0 and below 1."""
    for name, value in settings.items():
        if not _is_number(value) or not 0 <= value < 1:
            raise _refuse(asked, name, value, "at least 0 and below 1", f"{name}={usual}")


def require_betas(asked: str, betas: tuple[float, float]) -> None:
    """Raise InputError unless betas are two numbers, each at least 0 and below 1."""
    if (
        not isinstance(betas, tuple | list)
        or len(betas) != 2
        or not all(_is_number(beta) and 0 <= beta < 1 for beta in betas)
    ):
        wanted = "two numbers, each at least 0 and below 1"
        raise _refuse(asked, "betas", betas, wanted, "betas=(0.9, 0.999)")


def require_count(asked: str, usual: int, **settings: int) -> None:
    """Raise InputError unless every setting is a whole number, 1 or more."""
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise _refuse(asked, name, value, "a whole number, at least 1", f"{name}={usual}")
