"""The compiler's own mathematical functions, against wider arithmetic."""

import numpy as np
import pytest
from tests.compile.lanes import Native, padded, walk
from tests.compile.ulps import HAS_EXTENDED, ONE_ARGUMENT, true_error_function, ulps

from retrograd.compile.functions import expand
from retrograd.compile.functions.pieces import at_least, at_most, bits, real
from retrograd.tensor.element import Call, Cast, Const, Element, Load, Select, call, constant
from retrograd.tensor.types import DType

SINGLE = {
    "exp": 1.0,
    "expm1": 0.6,
    "log": 1.0,
    "log1p": 1.2,
    "sin": 0.6,
    "cos": 0.6,
    "tanh": 1.0,
    "erf": 0.6,
    "erfc": 0.6,
}
FLOATS = [DType.float32, DType.float64]
ON_FLOATS = {"add", "subtract", "multiply", "divide", "negative", "absolute", "floor", "fma"}
ON_INTEGERS = {"add", "subtract", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift"}
SHIFTS = {"logical_right_shift", "arithmetic_right_shift"}
COMPARISONS = {"equal", "not_equal", "less", "greater", "greater_equal"}

needs_extended = pytest.mark.skipif(not HAS_EXTENDED, reason="long double is double here")


def expanded(function: str, dtype: DType) -> Element:
    count = 2 if function == "power" else 1
    element = expand(function, tuple(Load(i, (), dtype) for i in range(count)))
    assert element is not None
    return element


def native(function: str, dtype: DType) -> Native:
    return Native(expanded(function, dtype), 2 if function == "power" else 1)


def neighbours(values: list[float], dtype: type) -> np.ndarray:
    x = np.array(values, dtype)
    x = np.concatenate([x, -x])
    with np.errstate(all="ignore"):
        near = [x]
        for _ in range(3):
            near += [np.nextafter(near[-1], dtype(np.inf))]
            near += [np.nextafter(near[-2] if len(near) > 2 else x, dtype(-np.inf))]
    return np.concatenate(near)


def floats(step: int) -> np.ndarray:
    """Return every so many-th float32, and all that border on something."""
    every = np.arange(step // 3, 2**32, step, dtype=np.uint32).view(np.float32)
    edges = [0, 2.0**-149, 2.0**-126, 1, 0.5, 2 / 3, 4 / 3, 2.0**127, np.inf, np.nan, 2.0**-27]
    edges += [0.34657359, 88.72284, 103.27893, 103.97208, 87.33655, 9.01, 3.95, 10.05, 2.0**24]
    edges += [np.pi * k / 4 for k in range(1, 40)] + [2.0**k for k in range(24, 128)]
    return padded(np.concatenate([every, neighbours(edges, np.float32)]))


@pytest.mark.parametrize("function", SINGLE)
def test_single_precision(function: str) -> None:
    x = floats(4093)
    with np.errstate(all="ignore"):
        error = ulps(native(function, DType.float32)(x), ONE_ARGUMENT[function](x.astype(float)))
    assert error.max() <= SINGLE[function], x[np.argmax(error)]


def test_the_sigmoid_as_its_op_writes_it() -> None:
    x = Load(0, (), DType.float32)
    z = expand("exp", (call("negative", call("absolute", x)),))
    one = constant(1, DType.float32)
    top = Select(call("greater_equal", x, 0), one, z, DType.float32)
    values = floats(4093)
    with np.errstate(all="ignore"):
        wide = values.astype(float)
        small = np.exp(-np.abs(wide))
        true = np.where(wide >= 0, 1, small) / (1 + small)
    error = ulps(Native(top / (one + z), 1)(values), true)
    assert error.max() <= 2.5, values[np.argmax(error)]


def doubles(function: str) -> np.ndarray:
    random = np.random.default_rng(7)
    patterns = random.integers(0, 2**64, 4000, dtype=np.uint64).view(np.float64)
    edges = [0, 5e-324, 2.0**-1022, 1, 0.5, 0.9, 1e300, np.inf, np.nan, 709.782712893384, 745.13]
    edges += [np.pi * k / 4 for k in range(1, 60)] + [2.0**k for k in range(20, 1023, 9)]
    edges += [6381956970095103 * 2.0**797]  # of all, the one nearest to a multiple of pi/2
    width = {"exp": 745, "expm1": 40, "sin": 1e6, "cos": 1e6}.get(function, 20)
    parts = [random.uniform(-width, width, 2000), random.uniform(-2, 2, 2000), patterns]
    parts += [neighbours(edges, np.float64), np.exp(random.uniform(-40, 2, 1000))]
    return padded(np.concatenate(parts))


@needs_extended
@pytest.mark.parametrize("function", [f for f in SINGLE if not f.startswith("erf")])
def test_double_precision(function: str) -> None:
    x = doubles(function)
    with np.errstate(all="ignore"):
        true = ONE_ARGUMENT[function](x.astype(np.longdouble))
    error = ulps(native(function, DType.float64)(x), true)
    assert error.max() <= 1.0, x[np.argmax(error)]


@needs_extended
def test_the_error_function_in_double_precision() -> None:
    x = padded(np.concatenate([np.linspace(-6, 6, 150), np.linspace(0.4, 1.2, 50), [13.0, 27.2]]))
    true = np.array([true_error_function(float(v)) for v in x])
    assert ulps(native("erf", DType.float64)(x), true[:, 0]).max() <= 1.0
    assert ulps(native("erfc", DType.float64)(x), true[:, 1]).max() <= 2.0
    ends = padded(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 30.0, -30.0, 1e300]))
    erf, erfc = native("erf", DType.float64)(ends)[:9], native("erfc", DType.float64)(ends)[:9]
    assert erf.tolist()[:4] == [0, 0, 1, -1]
    assert np.signbit(erf).tolist()[:2] == [False, True]
    assert erf.tolist()[5:] == [5e-324, 1, -1, 1]
    assert erfc.tolist()[:4] == [1, 1, 0, 2]
    assert erfc.tolist()[5:] == [1, 0, 2, 0]
    assert np.isnan([erf[4], erfc[4]]).all()


def powers(dtype: type, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bases and exponents whose powers fill the range, many of bases near 1."""
    random = np.random.default_rng(11)
    base, low, high = (80, -104, 89) if dtype is np.float32 else (700, -745, 709)
    x = np.exp(random.uniform(-base, base, count)).astype(dtype)
    x[::3] = random.uniform(0.5, 2, len(x[::3]))
    y = (random.uniform(low, high, count) / np.log(x.astype(float))).astype(dtype)
    y[1::3] = random.uniform(-3, 3, len(y[1::3]))
    return x, y


@pytest.mark.parametrize("dtype", FLOATS)
def test_power(dtype: DType) -> None:
    is_single = dtype is DType.float32
    if not is_single and not HAS_EXTENDED:
        pytest.skip("long double is double here")
    x, y = powers(dtype.numpy.type, 2**18 if is_single else 2**14)
    wide = np.float64 if is_single else np.longdouble
    error = ulps(native("power", dtype)(x, y), np.power(x.astype(wide), y.astype(wide)))
    assert error.max() <= 1.0, (x[np.argmax(error)], y[np.argmax(error)])


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_corners_of_power(dtype: DType) -> None:
    edges = [0, 1, 2, 3, 4, 0.5, 1.5, 2.5, 1e-40, 1e30, 2.0**24 - 1, 2.0**53 - 1, np.inf, np.nan]
    one = neighbours(edges, dtype.numpy.type)
    x, y = (padded(a.ravel()) for a in np.meshgrid(one, one))
    with np.errstate(all="ignore"):
        error = ulps(native("power", dtype)(x, y), np.power(x, y).astype(np.longdouble))
    assert error.max() <= 2.5, (x[np.argmax(error)], y[np.argmax(error)])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", [*SINGLE, "power"])
def test_only_what_a_machine_has(function: str, dtype: DType) -> None:
    for node in walk(expanded(function, dtype)):
        assert isinstance(node, Call | Cast | Const | Load | Select)
        if isinstance(node, Cast):
            assert node.dtype.is_float
            assert node.value.dtype.is_float
        if isinstance(node, Call) and node.function != "bitcast":
            kinds = {x.dtype for x in node.arguments}
            assert len(kinds) == 1
            allowed = ON_FLOATS if kinds.pop().is_float else ON_INTEGERS | SHIFTS
            assert node.function in allowed | COMPARISONS


def test_what_is_no_function_of_floats_stays() -> None:
    x = Load(0, (), DType.float32)
    assert expand("add", (x, x)) is None
    assert expand("sqrt", (x,)) is None
    assert expand("power", (Load(0, (), DType.int32), Load(1, (), DType.int32))) is None


def error_element(function: str) -> Element:
    """Return the float32 function's error in ulps of the float64 one's; NaN where either is."""
    x = Load(0, (), DType.float32)
    single, true = expand(function, (x,)), expand(function, (Cast(x, DType.float64),))
    assert single is not None
    assert true is not None
    got, true = (
        at_most(at_least(value, -(2.0**128)), 2.0**128)
        for value in (Cast(single, DType.float64), true)
    )
    power = real(call("bitwise_and", bits(true), 0x7FF << 52))
    return call("absolute", got - true) / (at_least(power, 2.0**-126) * 2.0**-23)


@pytest.mark.slow
@pytest.mark.parametrize("function", SINGLE)
def test_every_single_float(function: str) -> None:
    """Against the same function in float64, which the tests above hold to extended precision."""
    error = Native(error_element(function), 1)
    f, wide = native(function, DType.float32), native(function, DType.float64)
    for start in range(0, 2**32, 2**20):
        x = np.arange(start, start + 2**20, dtype=np.uint32).view(np.float32)
        found = error(x)
        assert np.fmax.reduce(found, initial=0.0) <= SINGLE[function]
        rest = x[np.isnan(found)]
        if len(rest):
            rest = padded(rest)
            assert np.isnan(f(rest)).all()
            with np.errstate(invalid="ignore"):
                assert np.isnan(wide(rest.astype(np.float64))).all()
