"""How near a compiled function's numbers must be to the evaluated ones."""

import numpy as np

from retrograd.compile.compiled import is_native
from retrograd.tensor.types import Array


def assert_agree(compiled: Array, evaluated: Array, scale: float = 1.0) -> None:
    """Native code rounds in other places than NumPy: 1e-5 in float32, 1e-12 in float64, of what
    was added up, which is about as large as ``scale``. A graph that is evaluated has equal bits.
    """
    compiled, evaluated = np.asarray(compiled), np.asarray(evaluated)
    assert compiled.dtype == evaluated.dtype
    if not is_native() or evaluated.dtype.kind != "f":
        np.testing.assert_array_equal(compiled, evaluated)
        return
    tolerance = 1e-5 if evaluated.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(compiled, evaluated, tolerance, tolerance * scale)
