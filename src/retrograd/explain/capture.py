"""One training step with everything kept: what each layer got and gave, and every gradient.

The forward pass is the network's own: each member of its containers is wrapped in a `Recorded`
that calls it and remembers input and output. Step and recording are one program, with the values
that were asked for as its outputs, so every number is the one that training computes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd import nn, ops
from retrograd.autodiff import Rules, gradients, watch
from retrograd.compile import compile
from retrograd.data.batches import Batch
from retrograd.explain.recording import Trace, joined, recorded
from retrograd.nn.containers import is_layer
from retrograd.ops.flow import Alias
from retrograd.optim import Optimizer
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.history import differentiating
from retrograd.tensor.tensor import Tensor, as_tensor, from_array
from retrograd.train.batch import as_tensors
from retrograd.train.state import TrainState
from retrograd.tree import leaves, with_leaves

Numbers = npt.NDArray[Any]
Loss = Callable[..., Tensor]
Penalty = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Visit:
    """One layer in the pass: what it got, gave, and what came back.

    ``x`` and ``y`` are its input and output for the whole batch; ``dx`` and ``dy`` the gradients
    of the batch's loss there (``dx`` through this layer alone), and ``slope`` what comes back to x
    when 1 arrives everywhere at y: f'(x) of an elementwise layer. ``state`` and ``key`` are those
    that it was called with. ``source`` is the number of the visit whose output x is, None for the
    network's input; ``inner_y`` and ``inner_dx`` are output and handed-back gradient of what is
    inside a residual.
    """

    path: str
    layer: Any
    x: Numbers
    y: Numbers
    dx: Numbers
    dy: Numbers
    slope: Numbers
    state: Mapping[str, Tensor]
    key: Tensor | None
    source: int | None = None
    inner_y: Numbers | None = None
    inner_dx: Numbers | None = None


@dataclass(frozen=True)
class Pass:
    """One training step, phase by phase, as the engine computed it.

    ``visits`` are in the order of the forward pass. ``loss`` is the batch's, to which training adds
    ``penalty`` (the regulariser's part) if there is one; ``total_after`` is the sum of both after
    the update. ``rows`` holds the loss of each row, None for a loss that is not made of rows.
    ``step`` is this step's number, from 1, and ``key`` its key.
    """

    net: Any
    loss_function: Loss
    batch: Batch
    step: int
    key: Tensor
    statistics: Mapping[str, Tensor]
    visits: tuple[Visit, ...]
    predictions: Numbers
    at_predictions: Numbers
    rows: Numbers | None
    loss: float
    penalty: float | None
    params: Mapping[str, Tensor]
    grads: Mapping[str, Tensor]
    optimizer: Optimizer
    optimizer_before: Any
    optimizer_after: Any
    params_after: Mapping[str, Tensor]
    total_after: float
    penalty_function: Penalty | None = None
    rules: Rules | None = None

    @property
    def total(self) -> float:
        """The loss with the regulariser's part: what the gradient lowers."""
        return self.loss + (self.penalty or 0.0)

    @property
    def batch_size(self) -> int:
        """How many rows the step saw."""
        return len(self.batch.inputs)

    @property
    def dtype(self) -> str:
        """The dtype of the predictions."""
        return str(self.predictions.dtype)


def capture(
    net: Any, loss: Loss, optimizer: Optimizer, state: TrainState, batch: Batch, *,
    penalty: Penalty | None = None, rules: Rules | None = None,
) -> Pass:  # fmt: skip
    """Run one training step, compiled as `train.make_step` is, with everything as its output.

    The numbers are those of training, bit for bit: what a program is asked for besides does not
    change what it computes. Raises NonFiniteError if the loss is not a finite number: then there is
    nothing to add up.
    """
    traces: list[Trace] = []

    def everything(state: TrainState, batch: Batch) -> dict[str, Any]:
        traces.clear()
        return _record(net, loss, optimizer, state, batch, traces, penalty, rules)

    found = compile(everything)(state, as_tensors(batch))
    _require_finite(found["total"])
    visits = [
        _visit(trace, _settled(trace, net, state), numbers)
        for trace, numbers in zip(traces, found["visits"], strict=True)
    ]
    return Pass(
        net=net,
        loss_function=loss,
        batch=batch,
        step=int(state.step) + 1,
        key=found["key"],
        statistics=state.statistics,
        visits=tuple(_linked(visits, traces)),
        predictions=found["predictions"].numpy(),
        at_predictions=found["at_predictions"].numpy(),
        rows=_rows(loss, found["predictions"], batch),
        loss=float(found["loss"].item()),
        penalty=None if penalty is None else float(found["penalty"].item()),
        params=state.params,
        grads=found["grads"],
        optimizer=optimizer,
        optimizer_before=state.optimizer,
        optimizer_after=found["optimizer"],
        params_after=found["params"],
        total_after=float(found["total_after"].item()),
        penalty_function=penalty,
        rules=rules,
    )


def _record(
    net: Any, loss: Loss, optimizer: Optimizer, state: TrainState, batch: Batch,
    traces: list[Trace], penalty: Penalty | None, rules: Rules | None,
) -> dict[str, Any]:  # fmt: skip
    """Return every number of a step by name; ``traces`` gets what the layers saw."""
    key = step_key(state)
    forward = _forward(net, loss, state, state.params, batch, key, penalty)
    visits, grads, at_predictions = _backward(forward, rules)
    updated, optimizer_after = optimizer.update(grads, state.optimizer, state.params)
    after = _forward(net, loss, state, updated, batch, key, penalty)
    traces.extend(forward.traces)
    return {
        "key": key,
        "predictions": forward.predictions,
        "at_predictions": at_predictions,
        "loss": forward.loss,
        "penalty": forward.penalty,
        "total": forward.total,
        "visits": visits,
        "grads": grads,
        "params": updated,
        "optimizer": optimizer_after,
        "total_after": after.total,
    }


@dataclass(frozen=True, eq=False)
class _Forward:
    """A forward pass with its history: what the backward walk starts from."""

    sources: Mapping[str, Tensor]
    traces: list[Trace]
    predictions: Tensor
    loss: Tensor
    penalty: Tensor | None
    total: Tensor


def _forward(
    net: Any, loss: Loss, state: TrainState, params: Mapping[str, Tensor], batch: Batch,
    key: Tensor, penalty: Penalty | None,
) -> _Forward:  # fmt: skip
    weights = {} if batch.weights is None else {"weights": as_tensor(batch.weights)}
    traces: list[Trace] = []
    with differentiating():
        sources = {name: watch(x) for name, x in params.items()}
        placed = recorded(with_leaves(net, {**sources, **state.statistics}), traces)
        inputs = watch(as_tensor(batch.inputs))
        predictions, _ = placed.apply(inputs, dict(state.statistics), key)
        value = loss(predictions, as_tensor(batch.targets), **weights)
        extra = None if penalty is None else penalty(sources)
        total = value if extra is None else value + extra
    return _Forward(sources, traces, predictions, value, extra, total)


def _backward(
    forward: _Forward, rules: Rules | None
) -> tuple[list[dict[str, Any]], dict[str, Tensor], Tensor]:
    """Walk back once: return what layers saw, the gradients, and that at the predictions."""
    names, traces = list(forward.sources), forward.traces
    wanted = [forward.sources[name] for name in names]
    wanted += [forward.predictions, *(t.x for t in traces), *(t.y for t in traces)]
    one = from_array(np.ones((), forward.total.dtype.numpy))
    found = [
        _zeros(x) if g is None else g
        for x, g in zip(wanted, gradients([forward.total], [one], wanted, rules), strict=True)
    ]
    grads = dict(zip(names, found, strict=False))
    at_predictions, *rest = found[len(names) :]
    dx, dy = rest[: len(traces)], rest[len(traces) :]
    visits = [_numbers(*three) for three in zip(traces, dx, dy, strict=True)]
    return visits, grads, at_predictions


def _numbers(trace: Trace, dx: Tensor, dy: Tensor) -> dict[str, Any]:
    """Return everything of a visit that is a number."""
    ones = from_array(np.ones(trace.y.shape, trace.y.dtype.numpy))
    (slope,) = gradients([trace.y], [ones], [trace.x])
    slope = _zeros(trace.x) if slope is None else slope
    both = {"state": dict(trace.state), "key": trace.key}
    return {"x": trace.x, "y": trace.y, "dx": dx, "dy": dy, "slope": slope, **both}


def _zeros(x: Tensor) -> Tensor:
    return from_array(np.zeros(x.shape, x.dtype.numpy))


def _linked(visits: list[Visit], traces: list[Trace]) -> Iterator[Visit]:
    """Yield the visits with where their input came from and what is inside them."""
    makers = {id(trace.y): i for i, trace in enumerate(traces)}
    for i, (visit, trace) in enumerate(zip(visits, traces, strict=True)):
        given = trace.x.inputs[0]
        while id(given) not in makers and isinstance(given.op, Alias):
            given = given.inputs[0]
        linked = dataclasses.replace(visit, source=makers.get(id(given)))
        inside = [k for k in range(i) if traces[k].path.startswith(joined(trace.path, "inner"))]
        if isinstance(trace.layer, nn.Residual) and inside:
            first = next(v for v in (visits[k] for k in inside))
            last = visits[inside[-1]]
            linked = dataclasses.replace(linked, inner_y=last.y, inner_dx=first.dx)
        yield linked


def _visit(trace: Trace, layer: Any, found: Mapping[str, Any]) -> Visit:
    arrays = {name: found[name].numpy() for name in ("x", "y", "dx", "dy", "slope")}
    return Visit(trace.path, layer, **arrays, state=found["state"], key=found["key"])


def _settled(trace: Trace, net: Any, state: TrainState) -> Any:
    """Return the layer with the numbers that it had in the step."""
    layer = trace.layer
    if not is_layer(layer):
        return layer
    if isinstance(layer, nn.Residual):  # what is inside has visits of its own
        return nn.Residual(nn.identity)
    known = leaves(with_leaves(net, {**state.params, **state.statistics}))
    return with_leaves(layer, {name: known[joined(trace.path, name)] for name in leaves(layer)})


def _rows(loss: Loss, predictions: Tensor, batch: Batch) -> Numbers | None:
    """Return the loss of each row from the predictions of the pass, if the loss is made of rows."""
    try:
        given = from_array(predictions.numpy())
        rows = loss(given, as_tensor(batch.targets), reduction="none")
    except TypeError:  # a loss of the user's own, without that argument
        return None
    return rows.numpy()


def step_key(state: TrainState) -> Tensor:
    """Return the key that this step draws with: the run's key and the number of the step."""
    return ops.fold_in(state.key, state.step)


def _require_finite(loss: Tensor) -> None:
    if not np.isfinite(loss.numpy()).all():
        raise NonFiniteError(
            "explaining a step",
            f"its loss is {loss.item()}",
            "explain an earlier step, or look for NaN and infinities in the rows",
        )
