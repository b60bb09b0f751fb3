"""Every stage can be printed, and the texts of five small programs are kept in ``golden/``.

Write them anew, and read the difference: ``python -m tests.compile.test_explain``
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from retrograd import nn, ops, optim
from retrograd.autodiff import value_and_grad
from retrograd.compile import explain
from retrograd.compile.overwriting import Pair
from retrograd.compile.printing import print_loops, print_outputs
from retrograd.compile.target import Target
from retrograd.optim.adam import AdamState
from retrograd.tensor.element import (
    OUTPUT,
    BufferReader,
    Const,
    Element,
    Load,
    Store,
    Var,
    call,
    constant,
    fold,
    loop,
    select,
)
from retrograd.tensor.element import Loops as Statements
from retrograd.tensor.errors import TraceError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import DType, TensorType

GOLDEN = Path(__file__).with_name("golden")
AVX512 = Target("avx512", "x86-64-v4", "", lanes=16, rows=8, vectors=2, fused=True)
AVX2 = Target("avx2", "x86-64-v3", "", lanes=8, rows=6, vectors=2, fused=True)


def floats(*shape: int) -> TensorType:
    return TensorType(shape, DType.float32)


class Case(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    carried: tuple[Pair, ...] = ()


def chain(x: Tensor, y: Tensor) -> Tensor:
    return ops.where(x > 0.0, ops.exp(-x * x) * 2.0 + y, y / 3.0)


def dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return nn.relu(x @ weight + bias)


def normalised(given: dict[str, Tensor], g: Tensor) -> Tensor:
    x = given["x"]
    centred = x - ops.mean(x, axes=1, keepdims=True)
    variance = ops.mean(centred * centred, axes=1, keepdims=True)
    out = centred / ops.sqrt(variance + 1e-5) * given["scale"] + given["shift"]
    return ops.sum(out * g)


def adam(state: tuple[Any, Any], gradients: dict[str, Tensor]) -> Any:
    params, means = state
    return optim.adam(learning_rate=0.01).update(gradients, means, params)


LEAVES = {"weight": floats(32, 48), "bias": floats(48)}
MEANS = AdamState(TensorType((), DType.int64), LEAVES, LEAVES)
CASES = {
    "elementwise": Case(chain, (floats(40, 33), floats(40, 33))),
    "dense": Case(dense, (floats(64, 100), floats(100, 48), floats(48))),
    "cross_entropy": Case(
        value_and_grad(nn.cross_entropy), (floats(256, 10), TensorType((256,), DType.int64))
    ),
    "layer_norm": Case(
        value_and_grad(normalised),
        ({"x": floats(128, 96), "scale": floats(96), "shift": floats(96)}, floats(128, 96)),
    ),
    "adam": Case(adam, ((LEAVES, MEANS), LEAVES), tuple((i, i) for i in range(7))),
}


def text_of(case: Case) -> str:
    """All stages but the last, which changes with every instruction."""
    text = explain(case.function, *case.arguments, target=AVX512, threads=2, carried=case.carried)
    return text.partition("== written ==")[0]


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_the_golden_one(name: str) -> None:
    kept = (GOLDEN / f"{name}.txt").read_text()
    assert text_of(CASES[name]) == kept, "python -m tests.compile.test_explain writes it anew"


def test_names_do_not_depend_on_what_was_made_before() -> None:
    case = CASES["cross_entropy"]
    before = text_of(case)
    text_of(CASES["layer_norm"])
    assert text_of(case) == before


def test_tensors_explain_as_their_types_do() -> None:
    types = [floats(3, 2), floats(2, 4), floats(4)]
    tensors = [tensor([[0.5] * t.shape[-1]] * t.shape[0]) for t in types[:2]]
    both = explain(dense, *tensors, tensor([1.0] * 4)), explain(dense, *types)
    assert both[0] == both[1]


def test_the_target_decides_tiles_and_lanes() -> None:
    case = CASES["dense"]
    wide, narrow = (explain(case.function, *case.arguments, target=t) for t in (AVX512, AVX2))
    assert "tiles of 8 rows x 2 vectors of 16 lanes" not in narrow
    assert "of 16 lanes" in wide
    assert "of 8 lanes" in narrow
    assert "target avx2: 8 lanes, with fused multiply-add" in narrow


def test_the_native_text_is_there_for_those_who_ask() -> None:
    assert "define void @program(" not in explain(chain, floats(3), floats(3))
    assert "define void @program(" in explain(chain, floats(3), floats(3), native=True)


def test_a_function_that_asks_for_numbers_cannot_be_explained() -> None:
    with pytest.raises(TraceError, match="numbers"):
        explain(lambda x: x if x.item() > 0 else -x, floats())


def test_state_that_cannot_be_overwritten_is_copied() -> None:
    def swapped(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return b, a * 2.0 + b

    text = explain(swapped, floats(5), floats(5), carried=((0, 0), (1, 1)))
    assert "is copied over argument %0 when the step is over" in text


def formula(e: Any, *axes: Var) -> list[str]:
    return print_outputs(axes, [("y", e)], lambda source: f"%{source}")


ROW, COLUMN = Var("anything"), Var("anything")
X = BufferReader(0, floats(3, 4))


def test_signs_bind_as_people_read_them() -> None:
    x, y = X(ROW, COLUMN), X(COLUMN, ROW)
    assert formula(x - (y - 1.0), ROW, COLUMN) == ["y[i0, i1] = %0[i0, i1] - (%0[i1, i0] - 1.0)"]
    assert formula(x - y - 1.0, ROW, COLUMN) == ["y[i0, i1] = %0[i0, i1] - %0[i1, i0] - 1.0"]
    assert formula((x + y) * -y, ROW, COLUMN) == [
        "y[i0, i1] = (%0[i0, i1] + %0[i1, i0]) * -%0[i1, i0]"
    ]
    low = call("bitwise_and", ROW + 1, call("bitwise_or", COLUMN, 3))
    assert formula(select(call("less", low, 2), x, 0.0), ROW, COLUMN) == [
        "y[i0, i1] = where(((i0 + 1) & (i1 | 3)) < 2, %0[i0, i1], 0.0)"
    ]


def test_shared_parts_have_one_name() -> None:
    total = fold("add", (4,), lambda k: X(ROW, k))
    assert formula(total * total, ROW) == [
        "t0 = sum(k0 < 4: %0[i0, k0])",
        "y[i0] = t0 * t0",
    ]


def test_constants_are_as_short_as_their_type_allows() -> None:
    tenth = constant(0.10000000149011612, DType.float32)
    assert formula(call("exp", tenth)) == ["y[] = exp(0.1)"]


def test_loops_are_statements_in_order() -> None:
    def body(i: Element, j: Element) -> tuple[Store, ...]:
        old = Load(OUTPUT, (j,), DType.float32)
        return Store((j,), X(i, j), add=True), Store((i,), old * old)

    statements = Statements(Const(0.0, DType.float32), (loop((3, 4), body),))
    assert print_loops(statements, "%1", lambda source: f"%{source}") == [
        "%1[...] = 0.0",
        "for j0 < 3:",
        "    for j1 < 4:",
        "        %1[j1] += %0[j0, j1]",
        "        %1[j0] = %1[j1] * %1[j1]",
    ]


if __name__ == "__main__":
    for name, case in CASES.items():
        (GOLDEN / f"{name}.txt").write_text(text_of(case))
