"""Products: the kernels that are sums of products of two loads, read off their indices.

Dense layers, their gradients, attention, convolutions and recurrent cells are all such sums. What
counts is which variables move which factor: the columns move one and lie side by side in the
output, the rows move the other, and all further variables are loops around.
"""

from __future__ import annotations

from typing import NamedTuple

from retrograd.compile.affine import Sum, coefficient
from retrograd.compile.expressions import Interner, folds_in
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Kernel
from retrograd.tensor.element import Call, Element, Fold, Load, Var
from retrograd.tensor.types import Shape

SMALLEST = 64
"""Products with fewer terms a row than this are written as plain loops: tiles would be empty."""


class ProductPlan(NamedTuple):
    """How a kernel is a product: ``a`` moves with the rows, ``b`` with the columns.

    ``lead`` are the variables of loops around, ``inner`` those that are summed over.
    """

    fold: Fold
    a: Load
    b: Load
    lead: tuple[Var, ...]
    row: Var | None
    column: Var
    inner: tuple[Var, ...]


def strides(shape: Shape) -> tuple[int, ...]:
    """Return the distance in elements between neighbours along each axis, row-major.

    >>> strides((2, 3, 4))
    (12, 4, 1)
    """
    result, stride = [], 1
    for length in reversed(shape):
        result.append(stride)
        stride *= length
    return tuple(reversed(result))


def flat(interner: Interner, graph: Graph, load: Load) -> Element:
    """Return the position of a load in its buffer, as an affine element."""
    return flat_index(interner, graph.type_of(load.source).shape, load.index)


def flat_index(interner: Interner, shape: Shape, index: tuple[Element, ...]) -> Element:
    """Return the row-major position of an index."""
    total = Sum((), 0)
    for i, stride in zip(index, strides(shape), strict=True):
        total = total.combine(interner.sum_of(i), stride, interner.number)
    return interner.affine(total)


def product_plan(interner: Interner, graph: Graph, kernel: Kernel) -> ProductPlan | None:
    """Return how the kernel is a product, or None if it is none."""
    fold = _only_fold(kernel)
    body = fold.body if fold is not None else None
    if fold is None or not isinstance(body, Call) or body.function != "product":
        return None
    first, second = body.arguments
    if not isinstance(first, Load) or not isinstance(second, Load):
        return None
    one, other = flat(interner, graph, first), flat(interner, graph, second)
    axes = [v for v in kernel.variables if isinstance(v, Var)]
    known = {*axes, *fold.variables}
    if not axes or not all(_is_plain(interner, x, known) for x in (one, other)):
        return None
    column = axes[-1]
    is_last = kernel.variables[-1] is column
    if coefficient(one, column):
        (one, first), (other, second) = (other, second), (one, first)
    if coefficient(one, column) or not coefficient(other, column):
        return None  # a column that moves both factors, or none
    if not is_last and (len(axes) > 1 or coefficient(other, column) != 1):
        return None
    rows = [v for v in axes[:-1] if coefficient(one, v) and not coefficient(other, v)]
    row = rows[-1] if rows else None
    lead = tuple(v for v in axes if v is not column and v is not row)
    terms = interner.extent(column)
    for extent in fold.extents:
        terms *= extent
    if terms < SMALLEST:
        return None
    return ProductPlan(fold, first, second, lead, row, column, fold.variables)


def is_swapped(kernel: Kernel, plan: ProductPlan) -> bool:
    """Return whether the columns are the kernel's rows, so that rows cannot be cut."""
    return plan.column is kernel.variables[0]


def _only_fold(kernel: Kernel) -> Fold | None:
    found = {id(f): f for output in kernel.outputs for f in folds_in(output.element)}
    if kernel.loops is not None or len(found) != 1:
        return None
    return next(iter(found.values()))


def _is_plain(interner: Interner, index: Element, known: set[Var]) -> bool:
    """Return whether an index is a combination of loop variables and nothing else."""
    sum = interner.sum_of(index)
    return all(isinstance(atom, Var) and atom in known for atom, _ in sum.terms)
