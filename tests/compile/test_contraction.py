"""The matrix product of native code: values, bits that no cut changes, and memory kept to."""

from __future__ import annotations

import ctypes
import itertools
import mmap
from typing import NamedTuple

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from retrograd.compile import contraction_plan as plan
from retrograd.compile.contraction import (
    Operand,
    Product,
    scratch_bytes,
    tile_rows,
    write_product,
)
from retrograd.compile.modules import module
from retrograd.compile.native import host, load
from retrograd.compile.text import Text
from retrograd.compile.values import Value
from retrograd.tensor.errors import InputError

DTYPES = {"float": np.float32, "double": np.float64}
PAGE = mmap.PAGESIZE


@pytest.fixture(params=["avx512", "avx2", "plain"])
def target(request, monkeypatch):
    monkeypatch.setenv("RETROGRAD_CPU", request.param)
    try:
        return host()
    except InputError:
        pytest.skip(f"this machine has no {request.param}")


class Strides(NamedTuple):
    """Strides in elements: from row to row or column to column, and along the summed axes."""

    outer: int
    inner: tuple[int, ...]


def fenced(values, at_end=True):
    """Copy an array to pages of its own, with one that kills before it and one after it."""
    size = -(-max(values.nbytes, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, size + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None)
    for fence in (start, start + PAGE + size):
        assert libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(PAGE), 0) == 0
    offset = PAGE + (size - values.nbytes if at_end else 0)
    copy = np.frombuffer(memory, values.dtype, values.size, offset)
    copy[:] = values.ravel()
    return copy


def native(target, product, a, b, rolled=False):
    """Compile a product that stores its sums; slots: a, b, c, scratch, first row, last row."""
    text = Text("product", [Value("i64", "%thread"), Value("ptr", "%slots")])
    slots = [
        text.load(type, text.address(Value("ptr", "%slots"), 8 * i), 8)
        for i, type in enumerate(["ptr"] * 4 + ["i64"] * 2)
    ]

    def store(row, column, sums, count):
        offset = text.add(text.multiply(row, product.columns), column)
        text.store(sums, text.address(slots[2], offset, product.scalar), product.size, count)

    operands = Operand(slots[0], *a), Operand(slots[1], *b)
    bounds = slots[4], slots[5]
    # Rolled sums of several blocks are handed on late only by an epilogue that divides.
    write_product(
        text, target, product, *operands, bounds, store, rolled=rolled, divides=rolled,
        scratch=slots[3],
    )  # fmt: skip
    return load(module([text], target), target)


def run(target, product, a, b, left, right, rolled=False, cuts=(), at_end=True):
    """Return the product of two arrays of numbers, computed part by part between the cuts."""
    library = native(target, product, left, right, rolled)
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(library.address("product"))
    c = fenced(np.full(product.rows * product.columns, np.nan, a.dtype), at_end)
    scratch = fenced(np.full(scratch_bytes(target, product), 255, np.uint8))
    a, b = fenced(a, at_end), fenced(b, at_end)
    ends = [0, *cuts, product.rows]
    for start, stop in itertools.pairwise(ends):
        pointers = [x.ctypes.data for x in (a, b, c, scratch)]
        slots = np.array([*pointers, start, stop], np.int64)
        function(0, slots.ctypes.data)
    return c.reshape(product.rows, product.columns).copy()


def forms(rows, length, columns):
    """Yield strides of operands as the three products of a layer have them, and as none has."""
    yield Strides(length, (1,)), Strides(1, (columns,))
    yield Strides(length, (1,)), Strides(length, (1,))
    yield Strides(1, (rows,)), Strides(1, (columns,))
    yield Strides(3 * length, (3,)), Strides(2, (2 * columns,))


def matrix(rng, strides, outer, extents, dtype):
    """Return the numbers in memory, and the matrix (outer, summed) that the strides see there."""
    shape = (outer, *extents)
    steps = (strides.outer, *strides.inner)
    last = sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
    memory = rng.standard_normal(last + 1).astype(dtype)
    seen = as_strided(memory, shape, [s * memory.itemsize for s in steps])
    return memory, seen.reshape(outer, -1)


def check(got, a, b):
    """Compare with the product in float64, to what sums of that length may round."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    close = np.finfo(got.dtype).eps * (abs(a) @ abs(b.T)) * 3 + 1e-300
    assert (abs(got - a @ b.T) <= close * max(a.shape[1], 1) ** 0.25).all()


SIZES = [
    (1, 1, 1),
    (1, 37, 5),
    (1, 131, 200),
    (2, 300, 33),
    (3, 17, 129),
    (5, 1, 31),
    (7, 13, 1),
    (13, 29, 10),
    (17, 64, 48),
    (31, 257, 47),
    (32, 64, 64),
    (53, 2, 97),
]


@pytest.mark.parametrize("scalar", DTYPES)
@pytest.mark.parametrize("rolled", [False, True])
def test_the_products_of_a_layer_equal_those_of_float64_and_stay_in_their_memory(
    target, scalar, rolled
):
    rng = np.random.default_rng(0)
    for i, (rows, length, columns) in enumerate(SIZES):
        product = Product(scalar, rows, columns, (length,))
        for left, right in forms(rows, length, columns):
            a, seen_a = matrix(rng, left, rows, (length,), DTYPES[scalar])
            b, seen_b = matrix(rng, right, columns, (length,), DTYPES[scalar])
            got = run(target, product, a, b, left, right, rolled, at_end=i % 2 == 0)
            check(got, seen_a, seen_b)


@pytest.mark.parametrize("form", range(4))
def test_neither_cuts_nor_rows_nor_layout_nor_rolling_change_a_bit(target, form):
    rng = np.random.default_rng(1)
    rows, length, columns = 61, 300, 45
    product = Product("float", rows, columns, (length,))
    plain = Strides(length, (1,)), Strides(1, (columns,))
    values = rng.standard_normal((rows, length)).astype(np.float32)
    weights = rng.standard_normal((length, columns)).astype(np.float32)
    whole = run(target, product, values.ravel(), weights.ravel(), *plain)

    left, right = list(forms(rows, length, columns))[form]
    a, seen_a = matrix(rng, left, rows, (length,), np.float32)
    b, seen_b = matrix(rng, right, columns, (length,), np.float32)
    seen_a[:], seen_b[:] = values, weights.T
    height = tile_rows(target, product)
    cuts = (height, 3 * height)
    for rolled in (False, True):
        assert np.array_equal(run(target, product, a, b, left, right, rolled, cuts), whole)
    for few in (1, 2, 3, 7):
        fewer = product._replace(rows=few)
        some = run(target, fewer, values[:few].ravel(), b, plain[0], right)
        assert np.array_equal(some, whole[:few])
    narrow = run(target, product._replace(columns=3), a, b, left, right)
    assert np.array_equal(narrow, whole[:, :3])


@pytest.mark.parametrize("extents", [(3, 48), (5, 7), (2, 3, 130), (37, 5, 1), (1, 1), (9, 40)])
def test_sums_run_over_nests_as_a_convolution_has_them(target, extents):
    rng = np.random.default_rng(2)
    rows, columns = 19, 37
    product = Product("float", rows, columns, extents)
    steps = [int(np.prod(extents[i + 1 :])) for i in range(len(extents))]
    image = Strides(4, tuple(step + 11 * (step > 1) for step in steps))
    for right in (
        Strides(1, tuple(columns * step for step in steps)),
        Strides(int(np.prod(extents)), tuple(steps)),
        Strides(-1 + 2 * columns, tuple(2 * columns * step for step in steps)),
    ):
        a, seen_a = matrix(rng, image, rows, extents, np.float32)
        b, seen_b = matrix(rng, right, columns, extents, np.float32)
        for rolled in (False, True):
            check(run(target, product, a, b, image, right, rolled), seen_a, seen_b)


@pytest.mark.parametrize("extents", [(4500,), (9001,), (3, 3001), (70, 9, 11)])
@pytest.mark.parametrize("rows", [1, 20, 61])
def test_long_sums_go_through_the_cache_part_by_part(target, monkeypatch, extents, rows):
    rng = np.random.default_rng(3)
    product = Product("float", rows, 41, extents)
    length = product.length
    steps = tuple(int(np.prod(extents[i + 1 :])) for i in range(len(extents)))
    left, right = Strides(length, steps), Strides(1, tuple(41 * step for step in steps))
    a, seen_a = matrix(rng, left, rows, extents, np.float32)
    b, seen_b = matrix(rng, right, 41, extents, np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "LARGEST", 1 << 30)
        whole = run(target, product, a, b, left, right)
    check(whole, seen_a, seen_b)
    monkeypatch.setattr(plan, "LARGEST", 1 << 17)
    monkeypatch.setattr(plan, "GROUP", 30)
    cuts = (tile_rows(target, product),) if rows > 1 else ()
    assert plan.chunk(target, product) < extents[0]
    assert np.array_equal(run(target, product, a, b, left, right, cuts=cuts), whole)
    assert np.array_equal(run(target, product, a, b, left, right, rolled=True), whole)


@pytest.mark.parametrize("scalar", DTYPES)
@pytest.mark.parametrize("rows", [512, 523])
def test_far_rows_are_packed_without_changing_a_bit(target, monkeypatch, rows, scalar):
    rng = np.random.default_rng(4)
    product = Product(scalar, rows, 300, (70,))
    left, right = Strides(1, (rows,)), Strides(1, (300,))
    a, seen_a = matrix(rng, left, rows, (70,), DTYPES[scalar])
    b, seen_b = matrix(rng, right, 300, (70,), DTYPES[scalar])
    height = tile_rows(target, product)
    monkeypatch.setattr(plan, "LARGEST", 70 * product.size * 9 * height)
    assert plan.panel_rows(target, product) == 9 * height
    packed = run(target, product, a, b, left, right, cuts=(2 * height, 30 * height))
    check(packed, seen_a, seen_b)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "panel_rows", lambda *_: 0)
        assert np.array_equal(run(target, product, a, b, left, right), packed)


def test_nothing_to_add_gives_zeros_and_nothing_to_compute_writes_nothing(target):
    none = np.zeros(0, np.float32)
    product = Product("float", 5, 20, (0,))
    strides = Strides(0, (1,)), Strides(1, (20,))
    assert np.array_equal(run(target, product, none, none, *strides), np.zeros((5, 20)))
    assert run(target, Product("float", 0, 3, (2,)), none, none, *strides).shape == (0, 3)
    assert run(target, Product("float", 3, 0, (2,)), none, none, *strides).shape == (3, 0)


@pytest.mark.parametrize("length", [32, 200, 256, 784, 1024, 4096])
def test_sums_round_no_worse_than_those_of_numpy(target, length):
    rng = np.random.default_rng(5)
    a = rng.standard_normal((64, length)).astype(np.float32)
    b = rng.standard_normal((length, 48)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    product = Product("float", 64, 48, (length,))
    got = run(target, product, a, b, Strides(length, (1,)), Strides(1, (48,)))
    ours, theirs = (np.sqrt(np.mean((x - exact) ** 2)) for x in (got, a @ b))
    assert ours <= 1.1 * theirs if target.fused else ours <= 1.5 * theirs


def test_tiles_divide_the_rows_where_they_can(target):
    for rows in (1, 2, 3, 12, 20, 60):
        product = Product("float", rows, 64, (64,))
        assert rows % tile_rows(target, product) == 0
        assert scratch_bytes(target, product) % 64 == 0
