"""Faults planted into schedules and layouts are found, by what they say."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from tests.compile.test_explain import AVX512, floats

from retrograd import nn
from retrograd.compile.checking import verify_layout, verify_schedule
from retrograd.compile.explaining import Stages, make_stages
from retrograd.compile.kernels import Group, Kernel, Schedule
from retrograd.compile.layout import Cut, Layout
from retrograd.compile.writing import arguments
from retrograd.tensor.element import Element
from retrograd.tensor.errors import CompileError
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import DType

FLOAT = DType.float32


class Planted(NamedTuple):
    """A wrong record, and what must be said of it."""

    plant: Callable[[Stages], Schedule | Layout]
    words: str


def stages() -> Stages:
    """Two dense layers with a softmax between them, and the sum of a column across all rows."""

    def network(x: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        hidden = nn.softmax(x @ first)
        return hidden @ second, hidden.T @ x

    case = (floats(512, 30), floats(30, 64), floats(64, 5))
    return make_stages(network, case, AVX512, 2, ())


def largest(made: Stages) -> tuple[int, Group]:
    """The group of most kernels, and its number."""
    groups = made.schedule.groups
    number = max(range(len(groups)), key=lambda n: len(groups[n].kernels))
    return number, groups[number]


def with_kernels(made: Stages, *kernels: Kernel) -> Schedule:
    """The schedule with other kernels in its largest group."""
    number, group = largest(made)
    groups = list(made.schedule.groups)
    groups[number] = group._replace(kernels=kernels)
    return made.schedule._replace(groups=tuple(groups))


def missing_answer(made: Stages) -> Schedule:
    last = made.schedule.groups[-1]
    return made.schedule._replace(groups=(*made.schedule.groups[:-1], last._replace(kernels=())))


def computed_twice(made: Stages) -> Schedule:
    _, group = largest(made)
    return with_kernels(made, *group.kernels, group.kernels[0])


def read_too_early(made: Stages) -> Schedule:
    _, group = largest(made)
    return with_kernels(made, *reversed(group.kernels))


def computed_nowhere(made: Stages) -> Schedule:
    _, group = largest(made)
    return with_kernels(made, *group.kernels[1:])


def wrong_shape(made: Stages) -> Schedule:
    _, group = largest(made)
    first, *others = group.kernels
    return with_kernels(made, first._replace(extents=(512, 65)), *others)


def wrong_group(made: Stages) -> Schedule:
    number, group = largest(made)
    groups = list(made.schedule.groups)
    groups[number] = group._replace(rows=256)
    return made.schedule._replace(groups=tuple(groups))


def another_row(made: Stages) -> Schedule:
    """A kernel that reads the next row of what its own group computes."""
    _, group = largest(made)
    value = group.kernels[0].values[0]
    rank = made.graph.type_of(value).rank
    zero = made.interner.constant(0, DType.int64)
    return of_last(made, made.interner.load(value, (zero,) * rank, FLOAT))


def another_group(made: Stages) -> Schedule:
    """What is read by a later stage is said to be local."""
    shared = next(iter(made.layout.shared))
    return made.schedule._replace(local=made.schedule.local | {shared})


def local_answer(made: Stages) -> Schedule:
    answer = made.graph.outputs[0]
    return made.schedule._replace(local=made.schedule.local | {answer})


def same_stage(made: Stages) -> Schedule:
    """All groups in one stage, though one reads what another computes."""
    groups = tuple(group._replace(stage=0) for group in made.schedule.groups)
    return made.schedule._replace(groups=groups)


def of_last(made: Stages, element: Element) -> Schedule:
    """The schedule with another element of the last value of its largest group."""
    _, group = largest(made)
    last = group.kernels[-1]
    output = last.outputs[0]._replace(element=element)
    return with_kernels(made, *group.kernels[:-1], last._replace(outputs=(output,)))


def wrong_rank(made: Stages) -> Schedule:
    return of_last(made, made.interner.load(0, largest(made)[1].kernels[0].variables[:1], FLOAT))


def wrong_dtype(made: Stages) -> Schedule:
    return of_last(made, made.interner.constant(0, DType.int64))


SCHEDULES = {
    "rank": Planted(wrong_rank, "%0 is read at an index of 1 axes"),
    "dtype": Planted(wrong_dtype, r"%\d+ is float32\[512, 5\], but its element int64"),
    "missing answer": Planted(missing_answer, r"the answer %\d+ is computed nowhere"),
    "computed twice": Planted(computed_twice, r"%\d+ is computed twice"),
    "too early": Planted(read_too_early, r"stage 0 reads %\d+ before it is computed"),
    "nowhere": Planted(computed_nowhere, r"reads %\d+, which is computed nowhere"),
    "shape": Planted(wrong_shape, r"float32\[512, 64\], but its kernel walks over \[512, 65\]"),
    "group": Planted(wrong_group, "a kernel of 512 rows is in a group of 256"),
    "row": Planted(another_row, r"reads %\d+ in another row than its own"),
    "local": Planted(another_group, r"reads %\d+, which is local to another group"),
    "local answer": Planted(local_answer, r"%\d+ cannot be local to a group"),
    "stage": Planted(same_stage, r"reads %\d+, which another group computes in the same stage"),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_wrong_schedule_is_found(name: str) -> None:
    made = stages()
    planted = SCHEDULES[name]
    wrong = planted.plant(made)
    assert isinstance(wrong, Schedule)
    assert verify_schedule(made.graph, made.schedule) is made.schedule
    with pytest.raises(CompileError, match=f"verifying the schedule: .*{planted.words}"):
        verify_schedule(made.graph, wrong)


def moved(made: Stages, to: int) -> Layout:
    """The layout with one of its values in the arena somewhere else."""
    value = next(iter(made.layout.shared))
    return made.layout._replace(shared={**made.layout.shared, value: to})


def overlapping(made: Stages) -> Layout:
    """What a kernel reads lies where it writes, in a thread's own memory."""
    first, second, *_ = made.layout.own
    return made.layout._replace(own={**made.layout.own, second: made.layout.own[first]})


def two_places(made: Stages) -> Layout:
    value = next(iter(made.layout.own))
    return made.layout._replace(shared={**made.layout.shared, value: 0})


def longer_chunk(made: Stages) -> Layout:
    """More rows at a time than a thread's memory was laid out for."""
    cuts = tuple(cut._replace(chunk=2 * cut.chunk) for cut in made.layout.cuts)
    return made.layout._replace(cuts=cuts)


LAYOUTS = {
    "overlap": Planted(
        overlapping, r"%\d+ and %\d+ overlap in a thread's memory while both are alive"
    ),
    "alignment": Planted(lambda made: moved(made, 4), "starts at byte 4 of the arena, within a li"),
    "end": Planted(lambda made: moved(made, 64), r"ends at byte \d+ of the arena, which has \d+"),
    "places": Planted(two_places, r"%\d+ has not exactly the one place that it needs"),
    "chunk": Planted(longer_chunk, r"(ends at byte \d+ of|overlap in) a thread's memory"),
    "cuts": Planted(lambda made: made.layout._replace(cuts=()), "0 cuts for 2 groups"),
    "no rows": Planted(
        lambda made: made.layout._replace(cuts=(Cut(8, 0),) * 2), r"512 rows are cut into Cut\("
    ),
    "packing": Planted(
        lambda made: made.layout._replace(thread_bytes=64),
        "a thread's 64 bytes end before their part for packing",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_wrong_layout_is_found(name: str) -> None:
    made = stages()
    planted = LAYOUTS[name]
    wrong = planted.plant(made)
    assert isinstance(wrong, Layout)
    given = set(arguments(made.graph, ()))
    assert verify_layout(made.graph, made.schedule, made.layout, given) is made.layout
    with pytest.raises(CompileError, match=f"verifying the layout: .*{planted.words}"):
        verify_layout(made.graph, made.schedule, wrong, given)


def test_what_is_dead_may_lie_under_what_is_alive() -> None:
    made = stages()
    offsets = list(made.layout.own.values())
    assert len(set(offsets)) < len(offsets), "no memory is used twice: the test is empty"
