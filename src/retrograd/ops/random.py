"""Random numbers from keys: the same key gives the same numbers, in any order, on any thread.

A key is two words, int32[2]. Each element's bits are a hash of its own number under the key
(`retrograd.ops.threefry`), so no element waits for another. Splitting and folding count in domains
of their own, which element numbers never reach. A key is used once: split it for more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.ops.comparison import less
from retrograd.ops.curves import cos
from retrograd.ops.exponential import log1p, sqrt
from retrograd.ops.flow import cast
from retrograd.ops.movement import broadcast_to
from retrograd.ops.threefry import (
    block,
    block_element,
    signed,
    word_constant,
    word_elements,
    words,
)
from retrograd.tensor.element import (
    Cast,
    Element,
    Index,
    Reader,
    call,
    constant,
    flat_index,
    select,
)
from retrograd.tensor.errors import DTypeError, InputError, ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor, from_array
from retrograd.tensor.types import Array, DType, DTypeLike, Shape, TensorType, as_dtype, as_shape

# High words of counters; those of element numbers are below 2^31.
_SPLIT, _FOLD_LOW, _FOLD_HIGH = 0x80000000, 0x80000001, 0x80000002


@dataclass(frozen=True)
class Uniform(Op):
    """Uniform numbers in [0, 1).  key int32[2] -> shape. No derivative.

    float32 has 24 random bits, float64 has 53: every value is a multiple of 2^-24 or 2^-53.
    """

    differentiable: ClassVar[bool] = False
    shape: Shape
    dtype: DType

    def result_type(self, key: TensorType) -> TensorType:
        """Return the shape and dtype; raises DTypeError or ShapeError for what is no key."""
        _require_key("uniform", key)
        if not self.dtype.is_float:
            raise DTypeError(
                f"uniform numbers as {self.dtype.value}", "they are fractions", "take a float dtype"
            )
        return TensorType(self.shape, self.dtype)

    def evaluate(self, key: Array) -> Array:
        """Return the top bits of each element's hash as a fraction."""
        word0, word1 = block(key, *words(np.arange(math.prod(self.shape))))
        if self.dtype is DType.float32:
            fraction = (word0 >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
        else:
            top = (word0 >> np.uint32(5)).astype(np.float64) * 2.0**26
            fraction = (top + (word1 >> np.uint32(6)).astype(np.float64)) * 2.0**-53
        return fraction.reshape(self.shape)

    def vjp(self, g: Tensor, out: Tensor, key: Tensor) -> tuple[None]:
        """Let no gradient flow: a key is integers."""
        return (None,)

    def lower(self, out: TensorType, index: Index, key: Reader) -> Element:
        """Return the same fraction of the same hash."""
        position = flat_index(index, self.shape)
        word0, word1 = block_element(_key_elements(key), *word_elements(position))
        if self.dtype is DType.float32:
            return Cast(call("logical_right_shift", word0, 8), DType.float32) * 2.0**-24
        top = Cast(call("logical_right_shift", word0, 5), DType.float64) * 2.0**26
        return (top + Cast(call("logical_right_shift", word1, 6), DType.float64)) * 2.0**-53

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return numbers under some key."""
        return Example(cls(draw.shape(), draw.float_dtype()), (_some_key(draw),))


@dataclass(frozen=True)
class Split(Op):
    """Independent keys from one.  key int32[2] -> int32[count, 2]. No derivative."""

    differentiable: ClassVar[bool] = False
    count: int

    def result_type(self, key: TensorType) -> TensorType:
        """Return one row a key; raises DTypeError or ShapeError for what is no key."""
        _require_key("split", key)
        return TensorType((self.count, 2), DType.int32)

    def evaluate(self, key: Array) -> Array:
        """Return the hashes of 0..count-1 in the domain of splits."""
        numbers = np.arange(self.count, dtype=np.uint32)
        return np.stack(block(key, np.uint32(_SPLIT), numbers), 1).view(np.int32)

    def vjp(self, g: Tensor, out: Tensor, key: Tensor) -> tuple[None]:
        """Let no gradient flow: keys are integers."""
        return (None,)

    def lower(self, out: TensorType, index: Index, key: Reader) -> Element:
        """Return the word of the same hash."""
        number, word = index
        low = Cast(number, DType.int32)
        return _word(block_element(_key_elements(key), word_constant(_SPLIT), low), word)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a split of some key."""
        return Example(cls(draw.integer(1, 4)), (_some_key(draw),))


@dataclass(frozen=True)
class FoldIn(Op):
    """A key for this number, independent of those for others.  key, data int64 scalar -> key

    No derivative.
    """

    differentiable: ClassVar[bool] = False

    def result_type(self, key: TensorType, data: TensorType) -> TensorType:
        """Return a key's type; raises DTypeError or ShapeError for what does not fit."""
        _require_key("fold_in", key)
        if data != TensorType((), DType.int64):
            raise ShapeError(
                f"fold_in of {data}", "the number is no int64 scalar", "give one integer"
            )
        return key

    def evaluate(self, key: Array, data: Array) -> Array:
        """Return the hash of the number's low word, then of its high word under that."""
        high, low = words(np.atleast_1d(data))
        first = np.concatenate(block(key, np.uint32(_FOLD_LOW), low)).view(np.int32)
        return np.concatenate(block(first, np.uint32(_FOLD_HIGH), high)).view(np.int32)

    def vjp(self, g: Tensor, out: Tensor, key: Tensor, data: Tensor) -> tuple[None, None]:
        """Let no gradient flow: keys are integers."""
        return None, None

    def lower(self, out: TensorType, index: Index, key: Reader, data: Reader) -> Element:
        """Return the word of the same two hashes."""
        high, low = word_elements(data())
        first = block_element(_key_elements(key), word_constant(_FOLD_LOW), low)
        return _word(block_element(first, word_constant(_FOLD_HIGH), high), index[0])

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a number of either sign under some key."""
        data = np.asarray(draw.integer(-(2**62), 2**62), np.int64)
        return Example(cls(), (_some_key(draw), data))


def key(seed: int) -> Tensor:
    """Return the key of a seed, an integer from 0 up to 2^64; raises InputError for another.

    >>> key(7)
    tensor([0, 7], int32[2])
    """
    if not 0 <= seed < 2**64:
        raise InputError(f"a key of seed {seed}", "it is not in 0..2^64-1", "give another seed")
    return from_array(np.array([signed(seed >> 32), signed(seed & 0xFFFFFFFF)], np.int32))


def split(key: Tensor, count: int = 2) -> Tensor:
    """Return independent keys from one, int32[count, 2]; the given key is then used up.

    >>> first, second = split(key(7))
    """
    (count,) = as_shape(count, "split")
    return apply(Split(count), key)


def fold_in(key: Tensor, data: Tensor | int) -> Tensor:
    """Return the key for a number, such as a layer's place or the step: any integer.

    >>> fold_in(key(7), 1).shape
    (2,)
    """
    return apply(FoldIn(), key, cast(_as_integer(data), DType.int64))


def uniform(
    key: Tensor,
    shape: Shape | int,
    dtype: DTypeLike = DType.float32,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """Return uniform numbers in [low, high): 24 random bits in float32, 53 in float64.

    Between bounds other than 0 and 1 rounding may reach ``high`` itself.

    >>> uniform(key(7), (3,)).shape
    (3,)
    """
    fraction = apply(Uniform(as_shape(shape, "uniform"), as_dtype(dtype)), key)
    return fraction if (low, high) == (0.0, 1.0) else fraction * (high - low) + low


def normal(key: Tensor, shape: Shape | int, dtype: DTypeLike = DType.float32) -> Tensor:
    """Return normal numbers of mean 0 and variance 1: sqrt(-2 log(1 - u)) cos(2 pi v).

    u and v are `uniform` under the two halves of a split. The largest magnitude is 5.77 in float32
    and 8.57 in float64, which a true normal passes once in 1e8 and 1e17.

    Source: Box and Muller 1958, A Note on the Generation of Random Normal Deviates.

    >>> normal(key(7), (3,)).shape
    (3,)
    """
    halves = split(key)
    radius = sqrt(log1p(-uniform(halves[0], shape, dtype)) * -2.0)
    return radius * cos(uniform(halves[1], shape, dtype) * (2.0 * math.pi))


def bernoulli(key: Tensor, probability: TensorLike, shape: Shape | int) -> Tensor:
    """Return bools that are true with the given probability, a number or a float tensor.

    Raises InputError for a number outside 0..1.

    >>> bernoulli(key(7), 1.0, (2,))
    tensor([ True,  True], bool[2])
    """
    if isinstance(probability, float | int) and not 0 <= probability <= 1:
        raise InputError(
            f"bernoulli with probability {probability}", "it is not in 0..1", "give another"
        )
    chance = as_tensor(float(probability) if isinstance(probability, int) else probability)
    return less(
        uniform(key, shape, chance.dtype), broadcast_to(chance, as_shape(shape, "bernoulli"))
    )


def _as_integer(data: Tensor | int) -> Tensor:
    number = as_tensor(data)
    if not number.dtype.is_integer:
        raise DTypeError(f"fold_in of {number.type}", "it is no integer", "give an integer")
    return number


def _require_key(asked: str, key: TensorType) -> None:
    kind = DTypeError if key.dtype is not DType.int32 else ShapeError
    if key != TensorType((2,), DType.int32):
        raise kind(f"{asked} with the key {key}", "a key is int32[2]", "make one: ops.key(seed)")


def _key_elements(key: Reader) -> tuple[Element, Element]:
    return key(constant(0)), key(constant(1))


def _word(pair: tuple[Element, Element], word: Element) -> Element:
    return select(call("equal", word, 0), *pair)


def _some_key(draw: Draw) -> Array:
    bound = 2**31
    return np.array([draw.integer(-bound, bound - 1) for _ in range(2)], np.int32)
