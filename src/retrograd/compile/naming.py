"""Naming: which layer and which part of a step each value of a graph belongs to.

Read off the names of the leaves that go in and come out. A forward value belongs to the nearest
parameter that it was made from. A backward value that reads a parameter itself belongs to that one;
any other, and all of the update, to the parameter whose new value it makes soonest.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Schedule

PHASES = ("forward", "backward", "update")
MOST_LAYERS = 3
"""Layers that a kernel's label names; of more, the first and the last."""

Found = tuple[int, tuple[str, ...]]
"""How far away the nearest parameters are, and their layers; nothing if there are several."""


class Names(NamedTuple):
    """The names of a graph's inputs and outputs, as `retrograd.tree.leaves` gives them."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class Label(NamedTuple):
    """The layer of a value, "" where none is nearest, and its phase."""

    layer: str
    phase: str


def label_values(graph: Graph, names: Names) -> tuple[Label, ...]:
    """Return a label for every value; without names, layers are "" and all is forward.

    What the loss needs is the forward pass, what the gradient's norm needs besides is the backward
    pass, and the rest is the update. Without a norm the rest is the update only if the function
    hands a state on.
    """
    leaf_of = _parameters(names)
    phases = _phases(graph, names)
    made_from = _made_from(graph, leaf_of)
    makes = _makes(graph, names, set(leaf_of.values()))
    views = _views(graph, leaf_of)
    labels = []
    for value, phase in enumerate(phases):
        found = made_from[value] if phase == "forward" else makes[value]
        if phase == "backward" and value >= graph.first_node:
            inputs = graph.nodes[value - graph.first_node].inputs
            read = next((views[i] for i in inputs if i in views), None)
            found = found if read is None else (0, (read,))
        if value in leaf_of:
            found = (0, (layer_of(leaf_of[value]),))
        labels.append(Label(found[1][0] if found and len(found[1]) == 1 else "", phase))
    return tuple(labels)


def label_kernels(graph: Graph, schedule: Schedule, names: Names) -> tuple[str, ...]:
    """Return for each kernel, in the schedule's order, the layers and phases that it computes.

    A kernel computes its outputs and whatever it alone computes on the way to them.
    """
    labels = label_values(graph, names)
    kernels = [kernel for group in schedule.groups for kernel in group.kernels]
    stored = {value for kernel in kernels for value in kernel.values}
    inside = [_inside(graph, kernel.values, stored) for kernel in kernels]
    times = Counter(value for values in inside for value in values)
    order = list(dict.fromkeys(label.layer for label in labels))
    ends = _soonest(graph, _without_layer(graph, names))
    texts = []
    for kernel, values in zip(kernels, inside, strict=True):
        own = [labels[v] for v in sorted(values) if v in stored or times[v] == 1]
        layers = sorted({each.layer for each in own} - {""}, key=order.index)
        if not layers:
            # Nothing near makes a random draw a part of what happens to need it first.
            made = [ends[v] for v in kernel.values if labels[v].phase != "forward"]
            layers = list(dict.fromkeys(name for found in made if found for name in found[1]))
        phases = [phase for phase in PHASES if any(each.phase == phase for each in own)]
        texts.append(f"{_listed(layers)} {', '.join(phases)}".strip())
    return tuple(texts)


def layer_of(leaf: str) -> str:
    """Return the layer of a parameter.

    >>> layer_of("layers.0.weight"), layer_of("weight")
    ('layers.0', 'weight')
    """
    return leaf.rpartition(".")[0] or leaf


def walk_back(
    graph: Graph, start: int, follow: Callable[[int], bool] = lambda value: True
) -> Iterator[int]:
    """Yield start and what it was made from, nearest first, over values that ``follow`` accepts."""
    seen, queue = {start}, deque([start])
    while queue:
        value = queue.popleft()
        yield value
        if value >= graph.first_node:
            inputs = graph.nodes[value - graph.first_node].inputs
            new = [i for i in dict.fromkeys(inputs) if i not in seen and follow(i)]
            seen.update(new)
            queue.extend(new)


def _listed(layers: Sequence[str]) -> str:
    if len(layers) > MOST_LAYERS:
        return f"{layers[0]} to {layers[-1]}"
    return ", ".join(layers)


def _inside(graph: Graph, values: Iterable[int], stored: set[int]) -> set[int]:
    """Return what a kernel computes: its outputs, and all between them and other buffers."""
    found: set[int] = set()
    for start in values:
        found.update(walk_back(graph, start, lambda v: v >= graph.first_node and v not in stored))
    return found


def _parameters(names: Names) -> dict[int, str]:
    """Return the inputs that are parameters, with their leaves' names.

    Those of a state are in its "params". Else they are the inputs that an output is called after,
    as gradients are, or all that have names of their own.
    """
    in_state = {i: _after_params(name) for i, name in enumerate(names.inputs)}
    found = {i: leaf for i, leaf in in_state.items() if leaf}
    if found:
        return found
    tails = {i: _tail(name) for i, name in enumerate(names.inputs) if _tail(name)}
    answered = {_tail(name) for name in names.outputs}
    return {i: tail for i, tail in tails.items() if tail in answered} or tails


def _after_params(name: str) -> str:
    return f".{name}".partition(".params.")[2]


def _tail(name: str) -> str:
    """Return a name without the number of its argument."""
    return name.partition(".")[2]


def _phases(graph: Graph, names: Names) -> list[str]:
    outputs = dict(zip(names.outputs, graph.outputs, strict=False))
    count = graph.first_node + len(graph.nodes)
    loss, norm = (_called(outputs, name) for name in ("loss", "gradient_norm"))
    if loss is None and len(outputs) > 1:
        first = graph.type_of(graph.outputs[0])
        loss = graph.outputs[0] if first.shape == () and first.dtype.is_float else None
    if loss is None:
        return ["forward"] * count
    hands_on = any(f"0.{_tail(name)}" in names.inputs for name in outputs if name[:2] == "0.")
    phases = ["update" if norm is not None or hands_on else "backward"] * count
    for phase, output in (("backward", norm), ("forward", loss)):
        for value in () if output is None else walk_back(graph, output):
            phases[value] = phase
    return phases


def _called(outputs: dict[str, int], last: str) -> int | None:
    found = (value for name, value in outputs.items() if name.rpartition(".")[2] == last)
    return next(found, None)


def _made_from(graph: Graph, leaf_of: dict[int, str]) -> list[Found | None]:
    """Return for each value the nearest parameter that it was made from."""
    found: list[Found | None] = [
        (0, (layer_of(leaf_of[value]),)) if value in leaf_of else None
        for value in range(graph.first_node)
    ]
    for node in graph.nodes:
        known = [(found[i], i) for i in node.inputs if found[i] is not None]
        nearest = min((each for each, _ in known if each), key=lambda f: f[0], default=None)
        found.append(None if nearest is None else (nearest[0] + 1, nearest[1]))
    return found


def _makes(graph: Graph, names: Names, leaves: set[str]) -> list[Found | None]:
    """Return for each value the parameters whose new values or gradients it makes soonest."""
    ends = [(value, _leaf_in(name, leaves)) for value, name in _outputs(graph, names)]
    return _soonest(graph, [(value, layer_of(leaf)) for value, leaf in ends if leaf is not None])


def _without_layer(graph: Graph, names: Names) -> list[tuple[int, str]]:
    """Return the outputs that are no parameter's, such as the loss, with the last of their name."""
    leaves = set(_parameters(names).values())
    own = [(v, n) for v, n in _outputs(graph, names) if n and _leaf_in(n, leaves) is None]
    return [(value, name.rpartition(".")[2]) for value, name in own]


def _outputs(graph: Graph, names: Names) -> list[tuple[int, str]]:
    return list(zip(graph.outputs, names.outputs, strict=False))


def _leaf_in(name: str, leaves: set[str]) -> str | None:
    """Return the leaf that an output is called after, as "0.optimizer.m.layers.0.weight" is."""
    parts = name.split(".")
    ends = (".".join(parts[i:]) for i in range(len(parts)))
    return next((end for end in ends if end in leaves), None)


def _soonest(graph: Graph, ends: Sequence[tuple[int, str]]) -> list[Found | None]:
    """Return for each value what it makes soonest: the names of the nearest of some values."""
    found: list[Found | None] = [None] * (graph.first_node + len(graph.nodes))
    for value, name in ends:
        found[value] = _nearer(found[value], (0, (name,)))
    for i in range(len(graph.nodes) - 1, -1, -1):
        made = found[graph.first_node + i]
        if made is not None:
            for value in graph.nodes[i].inputs:
                found[value] = _nearer(found[value], (made[0] + 1, made[1]))
    return found


def _nearer(one: Found | None, other: Found) -> Found:
    if one is None or other[0] < one[0]:
        return other
    if other[0] > one[0] or one[1] == other[1]:
        return one
    return one[0], tuple(dict.fromkeys((*one[1], *other[1])))[:2]


def _views(graph: Graph, leaf_of: dict[int, str]) -> dict[int, str]:
    """Return the layers of parameters, and of what only lays one out in another way."""
    views = {value: layer_of(leaf) for value, leaf in leaf_of.items()}
    for value, node in enumerate(graph.nodes, graph.first_node):
        if len(node.inputs) == 1 and node.inputs[0] in views:
            (given,) = node.inputs
            if graph.type_of(given).size == node.type.size:
                views[value] = views[given]
    return views
