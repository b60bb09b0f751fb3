"""Derivatives: one walk, backwards, and its forward-mode sister.

``value_and_grad`` opens a scope in which tensors remember their making; the walk then goes from
the output back to the inputs and asks each op for its vjp. Rules are written with ops, so the
result can be differentiated again. A backward rule is a value: ``rules={Matmul: rule}`` replaces
it for one derivative (feedback alignment does), ``custom_gradient`` for one function.

Source: Griewank & Walther, Evaluating Derivatives (2nd ed.), reverse mode, algorithm 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from retrograd import ops
from retrograd.ops.flow import Alias
from retrograd.tensor.errors import GradientError, ShapeError
from retrograd.tensor.history import apply, differentiating, history, leave_scope
from retrograd.tensor.op import Op
from retrograd.tensor.places import place_gradients_at
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tree import leaves, map_leaves, structure, with_leaves

Rule = Callable[..., tuple[Tensor | None, ...]]
"""``rule(op, g, out, *inputs)``: one gradient an input, or None where none flows."""
Rules = Mapping[type[Op], Rule]


def watch(x: Tensor, purpose: str = "differentiate") -> Tensor:
    """Return the same tensor under a name of its own, which derivatives can be asked for."""
    return Tensor(x.type, x.array, Alias(purpose), (x,))


def gradients(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    wrt: Sequence[Tensor],
    rules: Rules | None = None,
    ends: Sequence[Tensor] = (),
) -> list[Tensor | None]:
    """Walk back from the outputs and return the gradient at each tensor of ``wrt``.

    ``cotangents`` are the gradients at the outputs. A tensor that the outputs do not depend on
    gets None. Any tensor computed inside the scope may be asked for. ``ends`` end the walk.
    """
    order = history(outputs)
    wanted, behind = {id(x) for x in wrt}, {id(x) for x in ends}
    leads = set(wanted)
    for x in order:
        if x.op is not None and x.op.differentiable and any(id(y) in leads for y in x.inputs):
            leads.add(id(x))
    grads: dict[int, Tensor] = {}
    for x, g in zip(outputs, cotangents, strict=True):
        _accumulate(grads, x, g)
    for x in reversed(order):
        arrived = grads.get(id(x)) if id(x) in wanted else grads.pop(id(x), None)
        if arrived is None or x.op is None or id(x) not in leads or id(x) in behind:
            continue
        place_gradients_at(x)
        for y, g_y in zip(x.inputs, _ask(x, arrived, rules), strict=True):
            if g_y is not None and id(y) in leads:
                _accumulate(grads, y, g_y)
    return [grads.get(id(x)) for x in wrt]


def _accumulate(grads: dict[int, Tensor], x: Tensor, g: Tensor) -> None:
    """Add g to what has arrived at x: the sum over all paths."""
    grads[id(x)] = g if id(x) not in grads else ops.add(grads[id(x)], g)


def _ask(x: Tensor, g: Tensor, rules: Rules | None) -> tuple[Tensor | None, ...]:
    """Ask the op that made x, or the rule instead of it, for the gradients at its inputs."""
    assert x.op is not None
    if rules and type(x.op) in rules:
        return rules[type(x.op)](x.op, g, x, *x.inputs)
    return x.op.vjp(g, x, *x.inputs)


def value_and_grad(
    function: Callable[..., Any], *, has_aux: bool = False, rules: Rules | None = None
) -> Callable[..., Any]:
    """Return a function that computes ``function`` and its gradient in the first argument.

    The first argument is a tensor or any tree of tensors, and the gradient is a tree like it;
    leaves that the output does not depend on get zeros. With ``has_aux`` the function returns
    ``(output, anything)`` and so does the value. Raises GradientError if the output is not one
    float, or if the first argument holds no tensor.

    >>> from retrograd.tensor.tensor import tensor
    >>> value_and_grad(lambda x: ops.sum(x * x))(tensor([1.0, 2.0]))
    (tensor(5., float32[]), tensor([2., 4.], float32[2]))
    """

    def value_and_gradient(params: Any, *arguments: Any, **keywords: Any) -> tuple[Any, Any]:
        with differentiating():
            watched = {name: watch(x) for name, x in leaves(params).items()}
            answer = function(with_leaves(params, watched), *arguments, **keywords)
        value, aux = answer if has_aux else (answer, None)
        if not watched and not (isinstance(params, Mapping) and not params):
            asked = "the gradient in the first argument"
            raise GradientError(asked, "it holds no tensor", "make one: retrograd.tensor(values)")
        _require_scalar(value)
        found = gradients([value], [ops.ones_like(value)], list(watched.values()), rules)
        grads = dict(zip(watched, map(_left_or_zeros, found, watched.values()), strict=True))
        value = leave_scope(value)
        result = (value, map_leaves(leave_scope, aux)) if has_aux else value
        return result, with_leaves(params, grads)

    return value_and_gradient


def _left_or_zeros(g: Tensor | None, x: Tensor) -> Tensor:
    return leave_scope(ops.zeros_like(x) if g is None else g)


def grad(function: Callable[..., Any], *, rules: Rules | None = None) -> Callable[..., Any]:
    """Return the gradient function of ``function`` in its first argument.

    >>> from retrograd.tensor.tensor import tensor
    >>> grad(grad(lambda x: x * x * x))(tensor(2.0))
    tensor(12., float32[])
    """
    both = value_and_grad(function, rules=rules)
    return lambda *arguments, **keywords: both(*arguments, **keywords)[1]


def vjp(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Return the output and its pullback, which maps a gradient there to one at each input.

    >>> from retrograd.tensor.tensor import tensor
    >>> out, pullback = vjp(lambda x, y: x * y, tensor([2.0]), tensor([3.0]))
    >>> pullback(tensor([1.0]))
    (tensor([3.], float32[1]), tensor([2.], float32[1]))
    """
    with differentiating():
        watched = [watch(x) for x in inputs]
        out = function(*watched)

    def pullback(g: Tensor) -> tuple[Tensor, ...]:
        _require_like("pulling back", g, out)
        return tuple(map(_left_or_zeros, gradients([out], [g], watched), watched))

    return leave_scope(out), pullback


def jvp(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], tangents: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the output and its change along ``tangents``: forward mode.

    Each op's tangent is the transpose of its vjp, which is linear in g, so ops answer for both
    modes with one rule.

    >>> from retrograd.tensor.tensor import tensor
    >>> jvp(lambda x: x * x, [tensor(3.0)], [tensor(1.0)])
    (tensor(9., float32[]), tensor(6., float32[]))
    """
    for x, tangent in zip(inputs, tangents, strict=True):
        _require_like("pushing forward", tangent, x)
    with differentiating():
        watched = [watch(x) for x in inputs]
        out = function(*watched)
        found = {id(x): t for x, t in zip(watched, tangents, strict=True)}
        for x in history([out]):
            arriving = [found.get(id(y)) for y in x.inputs]
            if id(x) in found or x.op is None or not x.op.differentiable:
                continue
            if any(t is not None for t in arriving):
                pushed = _push(x, arriving)
                if pushed is not None:
                    found[id(x)] = pushed
    return leave_scope(out), leave_scope(found.get(id(out), ops.zeros_like(out)))


def _push(x: Tensor, tangents: Sequence[Tensor | None]) -> Tensor | None:
    """Return the tangent of x from those of its inputs: d/dg of the sum of <vjp(g), tangent>."""
    g = watch(ops.zeros_like(x))
    pulled = zip(_ask(x, g, None), tangents, strict=True)
    products = [ops.sum(p * t) for p, t in pulled if p is not None and t is not None]
    return gradients(products, [ops.ones_like(p) for p in products], [g])[0] if products else None


def hvp(function: Callable[[Any], Tensor], x: Any, direction: Any) -> Any:
    """Return the Hessian of ``function`` at x times a direction, without forming the Hessian.

    >>> from retrograd.tensor.tensor import tensor
    >>> hvp(lambda x: ops.sum(x * x * x), tensor([1.0, 2.0]), tensor([1.0, 0.0]))
    tensor([6., 0.], float32[2])
    """
    along = leaves(direction)
    if structure(direction) != structure(x):
        raise ShapeError("a Hessian times a direction", "it is not a tree like x", "make it one")

    def slope(at: Any) -> Tensor:
        terms = [ops.sum(g * along[name]) for name, g in leaves(grad(function)(at)).items()]
        return sum(terms[1:], terms[0])

    return grad(slope)(x)


def jacobian(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function that gives all derivatives: x (n), function(x) (m) -> (m, n).

    The shape is the output's followed by the input's; one backward walk a row.

    >>> from retrograd.tensor.tensor import tensor
    >>> jacobian(lambda x: x * x)(tensor([1.0, 2.0])).numpy().tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    def all_derivatives(x: Tensor) -> Tensor:
        out, pullback = vjp(function, x)
        identity = np.eye(out.size, dtype=out.dtype.numpy).reshape(out.size, *out.shape)
        rows = [ops.reshape(pullback(from_array(row))[0], (1, x.size)) for row in identity]
        rows.append(ops.zeros((0, x.size), x.dtype))  # where the output is empty, so are the rows
        return ops.reshape(ops.concatenate(rows, 0), (*out.shape, *x.shape))

    return all_derivatives


def hessian(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function that gives all second derivatives: x (n) -> (n, n)."""
    return jacobian(grad(function))


def per_example_grads(function: Callable[..., Tensor], params: Any, *batch: Tensor) -> Any:
    """Return the gradient of each example by itself: leaves (n, *shape of the parameter).

    ``function(params, *rows)`` gets batches of one row. Their mean is the gradient of a mean loss.
    Raises ShapeError unless all of the batch has the same number of rows.
    """
    if len({x.shape[:1] for x in batch}) != 1 or not batch[0].rank:
        asked = f"gradients of each example of {[x.type for x in batch]}"
        raise ShapeError(asked, "they have not one number of rows", "give a row an example")
    rows = [grad(function)(params, *(x[i : i + 1] for x in batch)) for i in range(len(batch[0]))]
    none = map_leaves(lambda p: ops.zeros((0, *p.shape), p.dtype), params)  # for no rows
    return map_leaves(lambda x, *gs: ops.concatenate([x, *(g[None] for g in gs)]), none, *rows)


def custom_gradient(function: Callable[..., Tensor], rule: Rule) -> Callable[..., Tensor]:
    """Return ``function`` with the backward rule ``rule(g, out, *inputs)`` instead of its own."""
    return lambda *inputs: ops.replace_gradient(function(*inputs), rule, *inputs)


def checkpoint(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return ``function`` that keeps nothing for the backward pass and computes it again there.

    Memory for time: the insides are recomputed once when their gradient is asked for. Tensors that
    the function closes over, such as a layer's weights, get their gradients like its arguments.
    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost, section 4.
    """

    def checkpointed(*inputs: Tensor) -> Tensor:
        # Names of their own: the function may close over an input as well.
        unwatched = [watch(x) if x.is_traced else from_array(x.numpy()) for x in inputs]
        value = function(*unwatched)
        closed = _watched_within(value, unwatched)

        def recompute(g: Tensor, out: Tensor, *sources: Tensor) -> tuple[Tensor | None, ...]:
            with differentiating():
                again = [watch(apply(Alias("recompute"), x)) for x in sources[: len(inputs)]]
                asked = [*again, *closed]
                # What lies behind them is the outer walk's: it would be counted twice.
                found = gradients([function(*again)], [g], asked, ends=asked)
            return tuple(None if grad is None else leave_scope(grad) for grad in found)

        kept = value if value.is_traced else Tensor(value.type, value.array)
        return ops.replace_gradient(kept, recompute, *inputs, *closed)

    return checkpointed


def _watched_within(value: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what the value was made from that derivatives are asked for, besides the inputs."""
    found, stack, seen = [], [value], {id(x) for x in inputs}
    while stack:
        x = stack.pop()
        if id(x) not in seen and isinstance(x.op, Alias):
            found.append(x)
        elif id(x) not in seen:
            stack.extend(x.inputs)
        seen.add(id(x))
    return found


def _require_scalar(value: object) -> None:
    if not isinstance(value, Tensor) or value.shape or not value.dtype.is_float:
        found = value.type if isinstance(value, Tensor) else type(value).__name__
        asked, repair = "the gradient of a function", "reduce it first, with ops.mean or ops.sum"
        raise GradientError(asked, f"its output is {found}, not one float", repair)


def _require_like(asked: str, given: Tensor, place: Tensor) -> None:
    """Raise ShapeError unless the types agree: a stretched tangent would be a silent mistake."""
    if given.type != place.type:
        found = f"its place is {place.type}"
        raise ShapeError(f"{asked} a {given.type}", found, "give one like it")
