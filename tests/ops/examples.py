"""Examples of ops, seen as the checks of the battery need them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from retrograd.tensor.op import Example
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType, TensorType, dtype_of


def tensors(arrays: Sequence[Array]) -> list[Tensor]:
    return [from_array(np.asarray(array)) for array in arrays]


def type_of(array: Array) -> TensorType:
    return TensorType(np.shape(array), dtype_of(np.asarray(array)))


def is_float(array: Array) -> bool:
    return np.asarray(array).dtype.kind == "f"


def in_dtype(example: Example, dtype: DType) -> Example:
    """The same use with every float, given and asked for, of one dtype."""
    asked = {
        field.name: dtype
        for field in dataclasses.fields(example.op)
        if isinstance(value := getattr(example.op, field.name), DType) and value.is_float
    }
    arrays = tuple(x.astype(dtype.numpy) if is_float(x) else x for x in example.inputs)
    return Example(dataclasses.replace(example.op, **asked), arrays)


def has_derivative(example: Example) -> bool:
    """Whether finite differences are to agree: the output is a float, and nothing redirects g."""
    out = example.op.result_type(*map(type_of, example.inputs))
    return out.dtype.is_float and not example.op.redirects_gradient


def random_like(array: Array, seed: int) -> Array:
    # Not normal numbers: none is so large that a step along it reaches the next kink.
    return np.random.default_rng(seed).uniform(-1.5, 1.5, np.shape(array))
