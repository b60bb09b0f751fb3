"""Retrograd. Forms of training: "one", a step a call; "many", many steps a call."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.clock import Run, checksum
from benchmarks.workloads import ADAM, Task, Workload, staged
from retrograd import nn, ops, optim
from retrograd.autodiff import value_and_grad, vjp
from retrograd.compile import native
from retrograd.data import Batch
from retrograd.data.batches import batch_rows
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.train.batch import as_tensors
from retrograd.train.events import Stopped
from retrograd.train.fit import fit
from retrograd.train.state import TrainState
from retrograd.train.step import initial_state, make_step, network

engine = importlib.import_module("retrograd.compile")  # the room: at the front door it is a name
native.can_compile()  # loads LLVM, which retrograd imports at first use, as peers import theirs


def resident(step: Callable[..., Any], state: Any, batch: Any) -> tuple[Callable[..., Any], Any]:
    """Return ``take(batch) -> metrics``, one step a call, and ``held()``, the state so far."""
    if has_many_steps():
        kept = engine.Resident(step, state, batch)
        return kept.step, lambda: kept.state
    compiled = engine.compile(step)

    def take(batch: Any) -> Any:
        nonlocal state
        state, metrics = compiled(state, batch)
        return metrics

    return take, lambda: state


def many_steps(step: Callable[..., Any], state: Any, task: Task) -> Run:
    """Return a compiled step called for many batches at once."""
    kept = engine.Resident(step, state, tensors(*task.data[0]))
    batches = tensors(*staged(task))
    return Run(
        lambda i: kept.run(batches),
        lambda metrics: metrics["loss"].numpy().tolist(),
        task.work.steps,
    )


def has_many_steps() -> bool:
    """Return whether this version keeps the state in the program, for many steps a call."""
    return hasattr(engine, "Resident")


def binary_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of one logit a row."""
    return nn.binary_cross_entropy(logits[..., 0], targets[..., 0])


def net_of(task: Task) -> nn.Sequential:
    """Return the network with the first weights."""
    layers: list[Any] = []
    for i, (weight, bias) in enumerate(task.weights):
        layers.append(nn.Linear(from_array(weight), from_array(bias)))
        if i < len(task.weights) - 1:
            layers.append(nn.relu)
            layers += [nn.Dropout(task.work.dropout)] if task.work.dropout else []
    return nn.Sequential(tuple(layers))


def optimizer_of(work: Workload) -> optim.Optimizer:
    """Return the optimizer."""
    given = work.settings
    if work.optimizer == "momentum":
        return optim.momentum(given["learning_rate"], given["momentum"])
    betas = (given["beta1"], given["beta2"])
    return optim.adam(given["learning_rate"], betas, given["epsilon"])


def tensors(inputs: Any, targets: Any) -> Any:
    """Return a batch of tensors."""
    return as_tensors(Batch(inputs, targets))


def parts(task: Task) -> tuple[Callable[..., Any], TrainState]:
    """Return the step and the state before the first."""
    net, optimizer = net_of(task), optimizer_of(task.work)
    loss = binary_loss if task.work.loss == "binary" else nn.cross_entropy
    return lean(make_step(net, loss, optimizer)), initial_state(net, optimizer, ops.key(1))


def lean(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that tells the loss alone, as the peers' do; the rest is not computed."""

    def told(state: Any, batch: Any) -> Any:
        state, metrics = step(state, batch)
        return state, {"loss": metrics["loss"]}

    return told


def train(task: Task) -> Run:
    """Return the training."""
    step, state = parts(task)
    if task.form == "many":
        return many_steps(step, state, task)
    batches = [tensors(*pair) for pair in task.data]
    take, _ = resident(step, state, batches[0])
    return Run(lambda i: take(batches[i % len(batches)]), lambda metrics: [float(metrics["loss"])])


def infer(task: Task) -> Run:
    """Return one row's way through the network."""
    row = task.data
    predict = engine.Bound(net_of(task), row)
    return Run(lambda i: predict(row), lambda answer: [checksum(answer)])


def softmax(logits: Tensor, labels: Tensor) -> Any:
    """Return the loss and its gradient."""
    return value_and_grad(lambda z: nn.cross_entropy(z, labels))(logits)


def norm(x: Tensor, scale: Tensor, shift: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
    """Return layer norm and its three gradients."""

    def layer(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return nn.LayerNorm(scale, shift)(x)

    y, back = vjp(layer, x, scale, shift)
    return y, *back(gradient)


def kernel(task: Task) -> Run:
    """Return one of the kernels."""
    data = [from_array(x) for x in task.data]
    if task.work.kind == "adam":
        return adam_kernel(*data)
    function = engine.compile(softmax if task.work.kind == "softmax" else norm)
    return Run(lambda i: function(*data), lambda answer: [checksum(*(x.numpy() for x in answer))])


def adam_kernel(values: Tensor, gradients: Tensor) -> Run:
    """Return Adam on all parameters."""
    optimizer = optim.adam(ADAM["learning_rate"])
    params, given = {"values": values}, {"values": gradients}

    def step(state: Any, gradients: Any) -> Any:
        params, moments = optimizer.update(gradients, state[1], state[0])
        return (params, moments), {}

    take, held = resident(step, (params, optimizer.init(params)), given)
    return Run(lambda i: take(given), lambda _: [checksum(held()[0]["values"].numpy())])


def prepare(task: Task) -> Run:
    """Return what was asked for, ready to run."""
    makers = {"train": train, "infer": infer}
    return makers.get(task.work.kind, kernel)(task)


def job(task: Task) -> float:
    """Train on the digits; return the accuracy on the test rows."""
    inputs, labels, test, truth = task.data
    step, state = parts(task)

    def batches(epoch: int) -> list[Batch]:
        rows = batch_rows(len(inputs), batch_size=task.work.batch, seed=0, epoch=epoch)
        return [Batch(inputs[chosen], labels[chosen]) for chosen in rows]

    *_, last = fit(step, state, batches, epochs=task.work.epochs)
    assert isinstance(last, Stopped)
    logits = network(net_of(task), last.state)(from_array(test)).numpy()
    return float(np.mean(logits.argmax(1) == truth))
