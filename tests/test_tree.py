"""Leaves by name, rebuilding, and what is static."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tree import children, leaves, map_leaves, structure, with_leaves


@dataclass(frozen=True)
class Layer:
    weight: Tensor
    bias: Tensor | None
    name: str = "layer"


class State(NamedTuple):
    layers: tuple[Layer, ...]
    extra: dict[str, Any]


def state() -> State:
    layers = (Layer(tensor([1.0]), tensor([2.0])), Layer(tensor([3.0]), None, "last"))
    return State(layers, {"list": [tensor([4.0]), "static", 7], "none": None, "empty": ()})


NAMES = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "extra.list.0"]


def values(tree: Any) -> list[float]:
    return [x.item() for x in leaves(tree).values()]


def test_names_and_order_of_leaves() -> None:
    assert list(leaves(state())) == NAMES
    assert values(state()) == [1, 2, 3, 4]
    assert list(leaves(tensor(1.0))) == [""]
    assert leaves("static") == leaves({}) == leaves(None) == leaves(Layer) == {}
    assert list(leaves({"b": tensor(1.0), "a": tensor(2.0)})) == ["b", "a"]


def test_replacing_some_leaves_keeps_everything_else() -> None:
    before = state()
    after = with_leaves(before, {"layers.1.weight": tensor([9.0])})
    assert values(after) == [1, 2, 9, 4]
    assert values(before) == [1, 2, 3, 4]
    assert isinstance(after, State)
    assert after.layers[1].name == "last"
    assert after.extra["list"][1:] == ["static", 7]
    assert after.extra["empty"] == ()
    assert with_leaves(tensor(1.0), {"": tensor(2.0)}).item() == 2
    ordered = with_leaves(OrderedDict(a=tensor(1.0)), {"a": tensor(2.0)})
    assert ordered["a"].item() == 2


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        with_leaves({"a": tensor(1.0)}, {"b": tensor(2.0)})
    message = "replacing the leaves ['b']: the tree has ['a']; use names that tree.leaves gives"
    assert str(refused.value) == message


def test_two_leaves_of_one_name_are_refused() -> None:
    x = tensor(1.0)
    for tree, name in (({1: x, "1": x}, "1"), ({"a.b": x, "a": {"b": x}}, "a.b")):
        with pytest.raises(InputError, match=rf"naming the leaves of a tree: two are .*'{name}'"):
            leaves(tree)


def test_mapping_one_and_several_trees() -> None:
    doubled = map_leaves(lambda x: x * 2, state())
    assert values(doubled) == [2, 4, 6, 8]
    summed = map_leaves(lambda x, y: x + y, state(), doubled)
    assert values(summed) == [3, 6, 9, 12]
    assert summed.layers[1].bias is None
    assert map_leaves(lambda x: x, "static") == "static"


def test_structure_tells_types_and_statics_apart() -> None:
    same = map_leaves(lambda x: x + 1, state())
    assert structure(same) == structure(state())
    assert hash(structure(same)) == hash(structure(state()))
    for other in (
        with_leaves(state(), {"layers.0.weight": tensor([1.0, 2.0])}),
        with_leaves(state(), {"layers.0.weight": tensor([1])}),
        state()._replace(extra={"list": [tensor([4.0]), "other", 7], "none": None, "empty": ()}),
        state()._replace(layers=list(state().layers)),
    ):
        assert structure(other) != structure(state())
    assert structure((1,)) != structure((True,))
    assert structure({}) != structure(())


def test_a_static_part_that_cannot_be_hashed_is_refused() -> None:
    message = "using ndarray inside a compiled function's arguments: it is neither a tensor nor"
    with pytest.raises(InputError, match=message):
        structure({"x": np.zeros(2)})


def test_children_of_one_level() -> None:
    assert [name for name, _ in children(state())] == ["layers", "extra"]
    assert children(tensor(1.0)) == children(3) == children("text") == []
