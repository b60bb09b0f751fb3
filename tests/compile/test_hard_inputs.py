"""Native code with arrays as they come: strided, foreign, shared, empty, of many axes or shapes."""

import threading

import numpy as np
import pytest
from tests.compile.agreement import assert_graph_agrees, graph_of, targets, tensors

from retrograd import ops
from retrograd.autodiff import grad
from retrograd.compile import compile
from retrograd.compile.compiled import MOST_PROGRAMS
from retrograd.compile.machine import Machine
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.tensor import Tensor, from_array, tensor
from retrograd.tensor.types import Array, DType

TARGETS = targets()
HOST = next(iter(TARGETS.values()))
BASE = np.random.default_rng(0).standard_normal((34, 46))


def unaligned(x: Array) -> Array:
    block = np.zeros(x.nbytes + 1, np.uint8)
    found = block[1:].view(x.dtype).reshape(x.shape)
    found[...] = x
    assert not found.flags.aligned or x.itemsize == 1
    return found


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


FORMS = {
    "every second": lambda x: x.repeat(2, 0).repeat(2, 1)[::2, ::2],
    "transposed": lambda x: x.T.copy().T,
    "backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "unaligned": unaligned,
    "one number": lambda x: np.broadcast_to(x[:1, :1], x.shape),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_])
@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_any_form(form: str, dtype: type) -> None:
    given = FORMS[form]((BASE * 3).astype(dtype))
    plain = np.ascontiguousarray(given).astype(dtype)
    graph = graph_of(lambda x, y: (ops.where(ops.equal(x, y), x, y), ops.transpose(x)),
                     *tensors([plain, plain]))  # fmt: skip
    machine, before = Machine(graph, HOST, 1), given.copy()
    for arrays in ([given, plain], [plain, given], [given, given]):
        same, turned = machine(arrays)
        np.testing.assert_array_equal(same, plain)
        np.testing.assert_array_equal(turned, plain.T)
    np.testing.assert_array_equal(given, before)


def test_outputs_are_the_callers_own() -> None:
    graph = graph_of(lambda x: (x, x + 1, x, x + 1, tensor(np.ones(3))), tensor(np.zeros(3)))
    x = np.zeros(3)
    machine = Machine(graph, HOST, 1)
    for _ in range(2):
        answers = machine([x])
        assert [a.tolist() for a in answers] == [[0] * 3, [1] * 3, [0] * 3, [1] * 3, [1] * 3]
        for answer in answers:
            answer += 7
        assert x.tolist() == [0] * 3


def test_inputs_may_be_parts_of_each_other() -> None:
    block = np.arange(40.0)
    arrays = [block[:30], block[5:35], block[:30]]
    graph = graph_of(lambda a, b, c: (a + b, b * c, ops.sum(a - c)), *tensors(arrays))
    assert_graph_agrees(graph, arrays, HOST, 1)


def test_the_number_of_programs_is_bounded() -> None:
    traced = []

    @compile
    def function(x: Tensor) -> Tensor:
        traced.append(x.shape)
        return ops.sum(x * 2)

    for n in (*range(MOST_PROGRAMS + 5), MOST_PROGRAMS, 0):
        assert function(tensor(np.ones(n))).item() == 2 * n
    assert traced == [(n,) for n in (*range(MOST_PROGRAMS + 5), 0)]


@pytest.mark.parametrize("on", TARGETS)
def test_forty_axes(on: str) -> None:
    shape = (3, *[1] * 18, 2, *[1] * 19, 5)
    x, y = np.random.default_rng(0).standard_normal((2, *shape))
    few = y[:, ..., :1]

    def function(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        total = x * y + y
        return total, ops.sum(total, (0, 19)), ops.max(total, 39), ops.transpose(total)

    assert_graph_agrees(graph_of(function, *tensors([x, few])), [x, few], TARGETS[on], 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("n", "m", "k"), [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (40, 0, 40)])
def test_axes_of_length_zero(n: int, m: int, k: int, threads: int) -> None:
    x, y = np.ones((n, m)), np.ones((m, k))

    def function(x: Tensor, y: Tensor) -> list[Tensor]:
        out = ops.tanh(x @ y)
        sums = [ops.sum(out), ops.sum(out, 0), ops.sum(x, 1), ops.mean(out + 1, 1) if k else out]
        joined = ops.concatenate([out, out + 1])
        return [*sums, joined, ops.cumsum(joined, 1), ops.logsumexp(out, 0), ops.prod(x, 0),
                grad(lambda x: ops.sum(ops.exp(x @ y)))(x), out[:0], ops.pad(out, [(1, 0), (0, 2)]),
                ops.scatter_add(out, tensor(np.zeros(0, int)), out[:0])]  # fmt: skip

    assert_graph_agrees(graph_of(function, *tensors([x, y])), [x, y], HOST, threads)


INDEXED = {
    "take": lambda x, i: ops.take(x, i),
    "gather": lambda x, i: ops.gather(
        x, ops.reshape(i, (37, 1)) + ops.full((37, 7), 0, i.dtype), 0
    ),
    "one_hot": lambda x, i: ops.one_hot(i, x.shape[0]),
    "scatter_add": lambda x, i: ops.scatter_add(x, i, ops.ones((*i.shape, 7), x.dtype)),
    "take, then sum": lambda x, i: ops.sum(ops.take(x, i) * 2),
    "gradient": lambda x, i: grad(lambda x: ops.sum(ops.square(ops.take(x, i))))(x),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("wrong", [9, -1, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("dtype", [DType.int32, DType.int64])
@pytest.mark.parametrize("name", INDEXED)
def test_a_wrong_index_is_refused(name: str, dtype: DType, wrong: int, threads: int) -> None:
    x = np.random.default_rng(0).standard_normal((9, 7))
    right = (np.arange(37) % 9).astype(dtype.numpy)
    graph = graph_of(lambda x, i: (INDEXED[name](x, i), x * 2), *tensors([x, right]))
    machine = Machine(graph, HOST, threads)
    expected = [a.tobytes() for a in machine([x, right])]
    for place in (0, 20, 36):
        broken = right.copy()
        broken[place] = wrong
        with pytest.raises(IndexRangeError, match=rf"reading index {wrong}: it is not in 0\.\.8;"):
            machine([x, broken])
        assert [a.tobytes() for a in machine([x, right])] == expected


@pytest.mark.parametrize("on", TARGETS)
def test_an_index_that_is_not_asked_for_may_be_wrong(on: str) -> None:
    x, i = np.arange(5.0), np.array([0, 9, 4, -3, 2] * 9)

    def function(x: Tensor, i: Tensor) -> Tensor:
        inside = ops.logical_and(ops.greater_equal(i, 0), ops.less(i, 5))
        return ops.where(inside, ops.take(x, ops.where(inside, i, 0)), -1.0)

    (found,) = Machine(graph_of(function, *tensors([x, i])), TARGETS[on], 1)([x, i])
    assert found.tolist() == [0, -1, 4, -1, 2] * 9


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_whole_division_never_traps(dtype: type, on: str) -> None:
    least = np.iinfo(dtype).min
    x = np.array([least, least, least, 7, -7, 7, 0, least + 1] * 5, dtype)
    y = np.array([-1, 0, 1, 0, 2, -2, 0, -1] * 5, dtype)
    function = lambda x, y: (x // y, x % y, x // 3, x % -1, x // 0)  # noqa: E731
    assert_graph_agrees(graph_of(function, *tensors([x, y])), [x, y], TARGETS[on], 1)


def test_threads_of_python_share_a_program() -> None:
    function = compile(lambda x: ops.sum(ops.tanh(x @ x), 1))
    arrays = [np.random.default_rng(i).standard_normal((40, 40)) for i in range(3)]
    expected = [function(from_array(x)).numpy() for x in arrays]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(200):
            if function(from_array(arrays[i])).numpy().tobytes() != expected[i].tobytes():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
