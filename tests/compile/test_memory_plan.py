"""What a program works in is known before it runs, and can be limited without changing a bit."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from retrograd import nn, ops, optim
from retrograd.compile import native
from retrograd.compile.checking import homes_of
from retrograd.compile.expressions import Interner
from retrograd.compile.fitting import LimitError, is_held
from retrograd.compile.graph import Graph
from retrograd.compile.machine import Machine
from retrograd.compile.ordering import Model, model_of, order_of
from retrograd.compile.program import Program
from retrograd.compile.rematerialising import Choice, Chooser, Made, alive_bytes, rewrite
from retrograd.compile.resident import Resident
from retrograd.compile.schedule import ANY, Order, schedule
from retrograd.compile.simplify import simplify
from retrograd.compile.storing import choose_stored
from retrograd.compile.trace import trace
from retrograd.data import Batch
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import from_array
from retrograd.train.batch import as_tensors
from retrograd.train.step import initial_state, make_step
from retrograd.tree import leaves

pytestmark = pytest.mark.skipif(
    native.can_compile() is not None, reason="native code cannot run here"
)
NUMPY_DOMAIN = np.lib.tracemalloc_domain
SHARES = {"plain": 0.55, "layer": 0.55, "batch": 0.65}
"""What is left of the arena where it is limited."""
NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {"activation": nn.relu},
    "layer": {"activation": nn.gelu, "dropout": 0.2, "normalization": nn.LayerNorm.init},
    "batch": {"activation": nn.tanh, "dropout": 0.2, "normalization": nn.BatchNorm.init},
}


def made(
    sizes: tuple[int, ...] = (20, 32, 32, 32, 32, 32, 5), rows: int = 512, **given: Any
) -> tuple[Callable[..., Any], Any, Batch]:
    random = np.random.default_rng(0)
    net = nn.mlp(ops.key(0), sizes, **(given or NETWORKS["plain"]))
    adam = optim.adam(0.01)
    x = random.standard_normal((rows, sizes[0])).astype(np.float32)
    batch = as_tensors(Batch(x, random.integers(0, sizes[-1], rows), None))
    return make_step(net, nn.cross_entropy, adam), initial_state(net, adam, ops.key(3)), batch


def graph_of(name: str) -> tuple[Graph, list[Any]]:
    step, state, batch = made(**NETWORKS[name])
    arrays = [x.numpy() for x in (*leaves(state).values(), *leaves(batch).values())]
    return simplify(trace(step, state, batch).graph), arrays


def chooser_of(graph: Graph) -> Chooser:
    return Chooser(model_of(graph, choose_stored(graph), graph.outputs, {}))


def bits(resident: Resident) -> dict[str, bytes]:
    return {name: x.numpy().tobytes() for name, x in leaves(resident.state).items()}


def limited(free: Resident, share: float) -> int:
    """Return a limit that leaves the arena a share of what it takes."""
    memory = free.memory
    return memory.total - int((1 - share) * memory.arena)


@pytest.mark.parametrize(
    ("name", "threads"),
    [
        ("plain", 1),
        ("plain", 2),
        ("layer", 1),
        pytest.param("layer", 2, marks=pytest.mark.slow),
        pytest.param("batch", 1, marks=pytest.mark.slow),
        pytest.param("batch", 2, marks=pytest.mark.slow),
    ],
)
def test_a_limit_changes_no_bit(name: str, threads: int) -> None:
    step, state, batch = made(**NETWORKS[name])
    free = Resident(step, state, batch, threads)
    tight = Resident(step, state, batch, threads, memory=limited(free, SHARES[name]))
    assert tight.memory.total <= limited(free, SHARES[name]) < free.memory.total
    assert tight.machine is not None
    assert 0 < tight.machine.signature.extra < 0.7
    stacked = [x.numpy() for x in leaves(batch).values()]
    many = Batch(*(np.stack([x] * 8) for x in stacked), None)
    for resident in (free, tight):
        resident.step(batch)
        resident.run(as_tensors(many))
    assert bits(free) == bits(tight)


def test_a_loose_limit_changes_no_plan() -> None:
    step, state, batch = made()
    free = Resident(step, state, batch, 1)
    same = Resident(step, state, batch, 1, memory=free.memory.total + 10_000)
    assert free.machine is not None
    assert same.machine is not None
    assert same.machine.signature == free.machine.signature
    assert same.machine.signature.extra == 0


def test_order_comes_before_recomputation() -> None:
    step, state, batch = made()
    free = Resident(step, state, batch, 1)
    slightly = Resident(step, state, batch, 1, memory=limited(free, 0.9))
    assert slightly.machine is not None
    assert slightly.machine.signature.extra == 0
    assert slightly.memory.arena <= 0.9 * free.memory.arena


def test_what_cannot_fit_is_refused_before_it_runs() -> None:
    step, state, batch = made()
    free = Resident(step, state, batch, 1)
    with pytest.raises(LimitError, match=r"running a program in 200,000 bytes: it takes [\d,]+, "
                       r"and [\d,]+ with values made anew instead of kept; give more memory, "
                       r"smaller batches, or a smaller network") as caught:  # fmt: skip
        Resident(step, state, batch, 1, memory=200_000)
    assert isinstance(caught.value, InputError)
    assert caught.value.smallest < caught.value.plain
    assert caught.value.plain >= free.memory.total
    smallest = Resident(step, state, batch, 1, memory=caught.value.smallest)
    assert smallest.memory.total <= caught.value.smallest


def test_all_that_is_allocated_was_planned() -> None:
    step, state, batch = made((600, 900, 900, 900, 10), rows=2048)
    Resident(step, state, batch, 1)
    gc.collect()
    tracemalloc.start()
    try:
        resident = Resident(step, state, batch, 1)
        gc.collect()
        held = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.DomainFilter(True, NUMPY_DOMAIN)]
        )
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        resident.step(batch)
        risen = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    planned = resident.memory.total
    assert planned > 80_000_000
    assert sum(x.size for x in held.traces) == pytest.approx(planned, rel=0.03)
    assert risen < 0.01 * planned


def test_programs_of_one_state_share_an_arena() -> None:
    step, state, batch = made()
    _, _, few = made(rows=100)
    one = Resident(step, state, batch, 1)
    address = one.store.arena
    other = Resident(step, state, few, 1, store=one.store)
    assert one.store.arena == address
    alone = Resident(step, state, few, 1)
    larger = Resident(step, state, batch, 1, store=alone.store)
    for resident, given in ((one, batch), (other, few), (one, batch)):
        resident.step(given)
    for resident, given in ((larger, batch), (alone, few), (larger, batch)):
        resident.step(given)
    assert bits(one) == bits(larger)


def test_a_constant_of_one_number_takes_no_room() -> None:
    graph = simplify(
        trace(
            lambda x: x * ops.ones((200, 100)) + 1, from_array(np.ones((200, 100), np.float32))
        ).graph
    )
    assert not any(is_held(c) for c in graph.constants if c.size > 64)
    (answer,) = Machine(graph, native.host(), 1)([np.full((200, 100), 3, np.float32)])
    assert (answer == 4).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_rewritten_graph_computes_the_same(name: str) -> None:
    graph, arrays = graph_of(name)
    chooser = chooser_of(graph)
    choice = chooser.choose(chooser.simulate(frozenset()).peak // 2)
    assert choice.dropped
    new = rewrite(graph, chooser.model, choice, choice.peak)
    assert len(new.graph.nodes) > len(graph.nodes)
    for a, b in zip(Program.of(graph)(arrays), Program.of(new.graph)(arrays), strict=True):
        assert a.tobytes() == b.tobytes()


def test_what_is_made_anew_comes_in_a_later_stage() -> None:
    graph, _ = graph_of("plain")
    chooser = chooser_of(graph)
    choice = chooser.choose(0)
    new = rewrite(graph, chooser.model, choice, choice.peak)
    found = schedule(new.graph, Interner(), Order(new.stored, new.phases))
    homes = homes_of(found)
    stages: dict[int, list[int]] = {}
    for value in new.stored.intersection(homes):
        stages.setdefault(new.origins[value], []).append(homes[value].group.stage)
    twice = {v: own for v, own in stages.items() if len(own) > 1}
    # One that nobody reads any more since its reader was merged with it is in no kernel.
    assert len(choice.dropped.intersection(twice)) >= 2
    assert all(len(set(own)) == 2 for v, own in twice.items() if v in choice.dropped)
    assert ANY.phase(10**6) == 0


def test_orders_and_choices_keep_every_promise() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        model = random_model(random, int(random.integers(1, 40)))
        order = order_of(model)
        assert sorted(order) == sorted(model.sizes)
        place = {v: i for i, v in enumerate(order)}
        assert all(place[r] < place[v] for v in order for r in model.reads[v])
        chooser = Chooser(model)
        free = chooser.simulate(frozenset())
        for limit in (free.peak, free.peak // 2, 0):
            choice = chooser.choose(limit)
            check_choice(model, choice)
            assert choice.worth(limit) <= free.worth(limit)
        assert chooser.smallest().peak <= free.peak


def random_model(random: np.random.Generator, count: int) -> Model:
    reads = {
        v: tuple(sorted({int(x) for x in random.integers(max(v - 9, 0), v, 3)})) if v else ()
        for v in range(count)
    }
    sizes = {v: int(random.choice([0, 64, 6400, 64000])) for v in range(count)}
    work = {v: float(random.integers(1, 100)) for v in range(count)}
    waits = {v: (v - 3,) for v in range(3, count) if random.random() < 0.2}
    return Model(sizes, reads, dict.fromkeys(range(count), ()), work, waits)


def check_choice(model: Model, choice: Choice) -> None:
    """Everything is made once, copies of what was dropped or died at most once more, in order."""
    seen: set[Made] = set()
    for item in choice.items:
        assert item.made not in seen
        assert [read for read, _ in item.reads] == list(model.reads[item.made[0]])
        assert seen.issuperset(item.reads)
        seen.add(item.made)
    assert {v for v, is_copy in seen if not is_copy} == set(model.sizes)
    last = {r: i for i, item in enumerate(choice.items) for r in (item.made, *item.reads)}
    first = {item.made: i for i, item in enumerate(choice.items)}
    alive = [
        sum(model.sizes[m[0]] for m in first if first[m] <= i <= last[m])
        for i in range(len(choice.items))
    ]
    assert alive_bytes(model, choice.items) == alive
    assert choice.peak == max(alive)
