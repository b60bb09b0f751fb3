"""Threefry-2x32: two words of random bits for a counter and a key, with nothing kept between calls.

Written twice on purpose, for NumPy arrays and for elements; the battery holds the two equal.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). The
paper's safety margin is 20 rounds; 13 are the fewest that pass BigCrush and what is used here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrograd.tensor.element import Cast, Element, call, constant
from retrograd.tensor.types import Array, DType

ROUNDS = 13
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA


def block(key: Array, high: Any, low: Any, rounds: int = ROUNDS) -> tuple[Array, Array]:
    """Return two arrays of uint32 for counters whose words are arrays of uint32.

    >>> word0, word1 = block(np.zeros(2, np.int32), np.uint32([0]), np.uint32([0]))
    >>> f"{word0[0]:x} {word1[0]:x}"
    '9d1c5ec6 8bd50731'
    """
    k0, k1 = key.astype(np.int32).view(np.uint32)[:, None]
    schedule = (k0, k1, k0 ^ k1 ^ np.uint32(_PARITY))
    # The counter's first word is the low one, as in the reference implementation.
    x0, x1 = np.atleast_1d(low) + k0, np.atleast_1d(high) + k1
    for i in range(rounds):
        rotation = np.uint32(_ROTATIONS[i % 8])
        x0 = x0 + x1
        x1 = ((x1 << rotation) | (x1 >> (np.uint32(32) - rotation))) ^ x0
        if i % 4 == 3:
            n = i // 4 + 1
            x0 = x0 + schedule[n % 3]
            x1 = x1 + schedule[(n + 1) % 3] + np.uint32(n)
    return x0, x1


def words(position: Array) -> tuple[Array, Array]:
    """Return the high and the low 32 bits of 64-bit integers, as uint32."""
    bits = position.astype(np.int64).view(np.uint64)
    return (bits >> np.uint64(32)).astype(np.uint32), bits.astype(np.uint32)


def block_element(
    key: tuple[Element, Element], high: Element, low: Element
) -> tuple[Element, Element]:
    """Return the same two words as int32 elements."""
    k0, k1 = key
    both = call("bitwise_xor", k0, k1)
    schedule = (k0, k1, call("bitwise_xor", both, _PARITY))
    x0, x1 = low + k0, high + k1
    for i in range(ROUNDS):
        rotation = _ROTATIONS[i % 8]
        x0 = x0 + x1
        left = call("left_shift", x1, rotation)
        right = call("logical_right_shift", x1, 32 - rotation)
        x1 = call("bitwise_xor", call("bitwise_or", left, right), x0)
        if i % 4 == 3:
            n = i // 4 + 1
            x0 = x0 + schedule[n % 3]
            x1 = x1 + schedule[(n + 1) % 3] + n
    return x0, x1


def word_elements(position: Element) -> tuple[Element, Element]:
    """Return the high and the low 32 bits of a 64-bit element, as int32."""
    high = call("logical_right_shift", position, 32)
    return Cast(high, DType.int32), Cast(position, DType.int32)


def signed(word: int) -> int:
    """Return the int32 with the bits of an unsigned word.

    >>> signed(0x80000000)
    -2147483648
    """
    return word - 2**32 if word >= 2**31 else word


def word_constant(word: int) -> Element:
    """Return an unsigned word as an int32 constant."""
    return constant(signed(word), DType.int32)
