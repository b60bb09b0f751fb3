"""The name and place of every leaf: "layers.0.weight" is the one name of a parameter everywhere.

A tree is a tensor, or a dict, tuple, list, named tuple or frozen dataclass of trees. Everything
else in it is static. Leaves are named by their path, joined with dots, in field order; names and
order are part of the checkpoint format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar, cast

from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor

Tree = TypeVar("Tree")


def leaves(tree: Any) -> dict[str, Tensor]:
    """Return every tensor of the tree by name; a tree that is one tensor names it "".

    Raises InputError if two would have one name.

    >>> from retrograd.tensor.tensor import tensor
    >>> list(leaves({"layers": (tensor(1.0), "static", tensor(2.0))}))
    ['layers.0', 'layers.2']
    """
    named = list(_walk(tree, ""))
    found = dict(named)
    if len(found) < len(named):
        names = [name for name, _ in named]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            "naming the leaves of a tree",
            f"two are called {twice!r}",
            "rename a key: 1 and '1', or 'a.b' and 'b' inside 'a', give one name",
        )
    return found


def _walk(tree: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(tree, Tensor):
        yield path, tree
        return
    for name, child in children(tree):
        yield from _walk(child, f"{path}.{name}" if path else name)


def children(tree: Any) -> list[tuple[str, Any]]:
    """Return the named parts of one level of a tree; nothing for a tensor or a static value."""
    if isinstance(tree, Tensor):
        return []
    if isinstance(tree, Mapping):
        return [(str(key), value) for key, value in tree.items()]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(zip(cast(Any, tree)._fields, tree, strict=True))
    if isinstance(tree, tuple | list):
        return [(str(i), value) for i, value in enumerate(tree)]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return [(f.name, getattr(tree, f.name)) for f in dataclasses.fields(tree)]
    return []


def map_leaves(function: Callable[..., Any], tree: Tree, *others: Any) -> Tree:
    """Return the tree with each leaf replaced by ``function(leaf, *same leaf of the others)``.

    >>> from retrograd.tensor.tensor import tensor
    >>> map_leaves(lambda x: x + 1, (tensor(1.0), "static"))
    (tensor(2., float32[]), 'static')
    """
    if isinstance(tree, Tensor):
        return cast(Tree, function(tree, *others))
    rows = [dict(children(other)) for other in others]
    parts = {
        name: map_leaves(function, child, *(row.get(name) for row in rows))
        for name, child in children(tree)
    }
    return _rebuild(tree, parts)


def with_leaves(tree: Tree, replacements: Mapping[str, Tensor]) -> Tree:
    """Return the tree with the named leaves replaced, and the others as they were.

    Raises InputError for a name that the tree does not have.

    >>> from retrograd.tensor.tensor import tensor
    >>> with_leaves({"w": tensor(1.0), "b": tensor(2.0)}, {"b": tensor(5.0)})["b"]
    tensor(5., float32[])
    """
    unknown = set(replacements) - set(leaves(tree))
    if unknown:
        raise InputError(
            f"replacing the leaves {sorted(unknown)}",
            f"the tree has {sorted(leaves(tree))}",
            "use names that tree.leaves gives",
        )
    return _with(tree, "", replacements)


def _with(tree: Tree, path: str, replacements: Mapping[str, Tensor]) -> Tree:
    if isinstance(tree, Tensor):
        return cast(Tree, replacements.get(path, tree))
    parts = {
        name: _with(child, f"{path}.{name}" if path else name, replacements)
        for name, child in children(tree)
    }
    return _rebuild(tree, parts)


def _rebuild(tree: Tree, parts: Mapping[str, Any]) -> Tree:
    """Return a tree of the same kind from new parts."""
    node: Any = tree
    if not parts:
        return tree
    if isinstance(node, Mapping):
        return cast(Tree, {key: parts[str(key)] for key in node})
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return cast(Tree, type(node)(**parts))
    if isinstance(node, tuple | list):
        return cast(Tree, type(node)(parts.values()))
    return cast(Tree, dataclasses.replace(node, **parts))


def flatten(tree: Any) -> tuple[list[Tensor], Hashable]:
    """Return the leaves in order, and the tree's structure: all that is static in it, hashable.

    Trees of equal structure differ in their numbers only. Raises InputError for a static part that
    cannot be hashed, such as a NumPy array.

    >>> from retrograd.tensor.tensor import tensor
    >>> flatten((tensor(1.0), "a"))[1] == flatten((tensor(2.0), "a"))[1]
    True
    """
    found: list[Tensor] = []
    return found, _structure(tree, found)


def structure(tree: Any) -> Hashable:
    """Return the structure alone, as `flatten` gives it."""
    return flatten(tree)[1]


def _structure(tree: Any, found: list[Tensor]) -> Hashable:
    # Runs at every call of a compiled function, hence the common kinds first and without names.
    if isinstance(tree, Tensor):
        found.append(tree)
        return tree.type
    kind = type(tree)
    if kind is dict:
        return kind, tuple(tree), tuple([_structure(part, found) for part in tree.values()])
    if isinstance(tree, tuple | list):
        return kind, tuple([_structure(part, found) for part in tree])
    parts = children(tree)
    if parts or isinstance(tree, Mapping):
        return kind, tuple([(name, _structure(part, found)) for name, part in parts])
    try:
        hash(tree)
    except TypeError:
        raise InputError(
            f"using {kind.__name__} inside a compiled function's arguments",
            "it is neither a tensor nor hashable",
            "make it a tensor first",
        ) from None
    return kind, tree


def refill(tree: Tree, leaves_in_order: Iterator[Tensor]) -> Tree:
    """Return the tree with its leaves taken from an iterator, in the order of `flatten`."""
    node: Any = tree
    if isinstance(node, Tensor):
        return cast(Tree, next(leaves_in_order))
    # As in `_structure`, the common kinds first and without names.
    kind: Any = type(node)
    if kind is dict:
        return cast(Tree, {key: refill(part, leaves_in_order) for key, part in node.items()})
    if isinstance(node, tuple):
        parts = [refill(part, leaves_in_order) for part in node]
        return cast(Tree, kind._make(parts) if hasattr(node, "_fields") else kind(parts))
    return cast(
        Tree, _rebuild(node, {name: refill(part, leaves_in_order) for name, part in children(node)})
    )
