"""JAX, compiled by XLA for the CPU.

Forms of training: "jit", one compiled step a call, state donated; "scan", many steps in one call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.clock import Run, checksum
from benchmarks.workloads import ADAM, Task, Workload, staged

jax.config.update("jax_default_prng_impl", "unsafe_rbg")  # the cheapest random bits, for dropout


def forward(params: Any, x: Any, dropout: float, key: Any) -> Any:
    """Return the logits; without a key nothing is dropped."""
    for i, (weight, bias) in enumerate(params):
        x = x @ weight + bias
        if i < len(params) - 1:
            x = jax.nn.relu(x)
            if dropout and key is not None:
                key, own = jax.random.split(key)
                is_kept = jax.random.bernoulli(own, 1 - dropout, x.shape)
                x = jnp.where(is_kept, x / (1 - dropout), 0)
    return x


def cross_entropy(z: Any, y: Any) -> Any:
    """Return the mean loss of integer labels (n,)."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y.reshape(-1, 1), 1))


def binary(z: Any, y: Any) -> Any:
    """Return the mean loss of targets 0 and 1."""
    return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))


def adam(params: Any, gradients: Any, state: Any) -> tuple[Any, Any]:
    """Move the parameters as Adam does."""
    m, v, t = state
    each, t, beta1, beta2 = jax.tree.map, t + 1, ADAM["beta1"], ADAM["beta2"]
    m = each(lambda m, g: beta1 * m + (1 - beta1) * g, m, gradients)
    v = each(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, gradients)
    rate, seen = ADAM["learning_rate"] / (1 - beta1**t), 1 / (1 - beta2**t)
    params = each(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v * seen) + ADAM["epsilon"]), params, m, v
    )
    return params, (m, v, t)


def momentum(params: Any, gradients: Any, state: Any, work: Workload) -> tuple[Any, Any]:
    """Move the parameters along a velocity."""
    settings, each = work.settings, jax.tree.map
    (v,) = state
    v = each(lambda v, g: settings["momentum"] * v + g, v, gradients)
    return each(lambda p, v: p - settings["learning_rate"] * v, params, v), (v,)


def start(work: Workload, params: Any) -> Any:
    """Return (parameters, optimizer's state, key)."""
    params = jax.tree.map(jnp.array, params)
    zeros, more = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
    state = (zeros, more, jnp.zeros(())) if work.optimizer == "adam" else (zeros,)
    return params, state, jax.random.key(0)


def step_of(work: Workload) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return ``step(carried, (x, y)) -> (carried, loss)``."""
    loss = binary if work.loss == "binary" else cross_entropy
    update = adam if work.optimizer == "adam" else functools.partial(momentum, work=work)

    def step(carried: Any, batch: Any) -> tuple[Any, Any]:
        params, state, key = carried
        own = None
        if work.dropout:
            key, own = jax.random.split(key)

        def objective(params: Any) -> Any:
            return loss(forward(params, batch[0], work.dropout, own), batch[1])

        value, gradients = jax.value_and_grad(objective)(params)
        params, state = update(params, gradients, state)
        return (params, state, key), value

    return step


def train(task: Task) -> Run:
    """Return the training."""
    work, step = task.work, step_of(task.work)
    carried = start(work, task.weights)
    data: list[Any]
    if task.form == "scan":
        data = [tuple(map(jnp.asarray, staged(task)))]
        run = jax.jit(lambda c, xy: lax.scan(step, c, xy), donate_argnums=0)
    else:
        data = [(jnp.asarray(x), jnp.asarray(y)) for x, y in task.data]
        run = jax.jit(step, donate_argnums=0)

    def call(i: int) -> Any:
        nonlocal carried
        carried, losses = run(carried, data[i % len(data)])
        return losses

    steps = work.steps if task.form == "scan" else 1
    return Run(call, lambda x: np.atleast_1d(x).tolist(), steps, lambda: wait(carried))


def wait(values: Any) -> None:
    """Return when they are computed."""
    jax.block_until_ready(values)


def infer(task: Task) -> Run:
    """Return one row's way through the network, whose weights are constants."""
    params, row = jax.tree.map(jnp.array, task.weights), task.data
    network = jax.jit(lambda x: forward(params, x, 0.0, None))
    return Run(lambda i: np.asarray(network(row)), lambda answer: [checksum(answer)])


def normalize(x: Any, scale: Any, shift: Any) -> Any:
    """Return layer norm over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * lax.rsqrt(variance + 1e-5) * scale + shift


def norm(x: Any, scale: Any, shift: Any, gradient: Any) -> Any:
    """Return layer norm and its three gradients."""
    y, back = jax.vjp(normalize, x, scale, shift)
    return y, *back(gradient)


def kernel(task: Task) -> Run:
    """Return one of the kernels."""
    data: Any = tuple(map(jnp.asarray, task.data))
    held: Any = None
    if task.work.kind == "adam":
        params, gradients = data
        held = (params, (jnp.zeros_like(params), jnp.zeros_like(params), jnp.zeros(())))
        update = jax.jit(lambda c, g: adam(c[0], g, c[1]), donate_argnums=0)
    else:
        run = jax.jit(jax.value_and_grad(cross_entropy) if task.work.kind == "softmax" else norm)

    def call(i: int) -> Any:
        nonlocal held
        held = update(held, gradients) if task.work.kind == "adam" else run(*data)
        return held[0] if task.work.kind == "adam" else held

    return Run(call, lambda x: [checksum(*jax.tree.leaves(x))], wait=lambda: wait(held))


def prepare(task: Task) -> Run:
    """Return what was asked for, ready to run."""
    makers = {"train": train, "infer": infer}
    return makers.get(task.work.kind, kernel)(task)


def job(task: Task) -> float:
    """Train on the digits, an epoch a call; return the accuracy on the test rows."""
    inputs, labels, test, truth = task.data
    size, step = task.work.batch, step_of(task.work)
    count = len(inputs) // size
    carried = start(task.work, task.weights)
    run = jax.jit(lambda c, xy: lax.scan(step, c, xy), donate_argnums=0)
    generator = np.random.default_rng(0)
    for _ in range(task.work.epochs):
        rows = generator.permutation(len(inputs))[: count * size].reshape(count, size)
        carried, _ = run(carried, (inputs[rows], labels[rows]))
    logits = np.asarray(jax.jit(forward, static_argnums=(2, 3))(carried[0], test, 0.0, None))
    return float((logits.argmax(1) == truth).mean())
