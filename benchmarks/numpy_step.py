"""A training step evaluated in NumPy, beside the same arithmetic written by hand.

    python benchmarks/numpy_step.py

The network is 64-128-64-10 with relu, the batch 32 rows, the loss softmax cross-entropy, the
optimiser Adam. Both start from the same weights and see the same batches; their losses after ten
steps must agree, since a fast wrong step does not count. Times are the best of several
interleaved rounds, and the figure is their ratio.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable

import numpy as np

from retrograd import nn, ops, optim
from retrograd.compile import compile
from retrograd.data import Batch
from retrograd.tensor.tensor import from_array
from retrograd.train.step import initial_state, make_step

SIZES, BATCH, ROUNDS, STEPS = (64, 128, 64, 10), 32, 15, 300


class ByHand:
    """The step as one would write it for this network only."""

    def __init__(self, params: dict[str, np.ndarray]) -> None:
        self.params = {name: array.copy() for name, array in params.items()}
        self.m = {name: np.zeros_like(array) for name, array in params.items()}
        self.v = {name: np.zeros_like(array) for name, array in params.items()}
        self.count = 0

    def step(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Forward, loss, backward, update; return the loss."""
        weights = [name for name in self.params if name.endswith("weight")]
        biases = [name.replace("weight", "bias") for name in weights]
        activations, z = [x], x
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = activations[-1] @ self.params[w] + self.params[b]
            if i < len(weights) - 1:
                activations.append(np.maximum(z, 0))
        shifted = z - z.max(1, keepdims=True)
        exponentials = np.exp(shifted)
        total = exponentials.sum(1, keepdims=True)
        rows = np.arange(len(labels))
        loss = np.mean(np.log(total[:, 0]) - shifted[rows, labels])
        delta = exponentials / total
        delta[rows, labels] -= 1
        delta /= np.float32(len(labels))
        grads = {}
        for i in reversed(range(len(weights))):
            grads[weights[i]] = activations[i].T @ delta
            grads[biases[i]] = delta.sum(0)
            if i:
                delta = (delta @ self.params[weights[i]].T) * (activations[i] > 0)
        self.update(grads)
        return float(loss)

    def update(self, grads: dict[str, np.ndarray]) -> None:
        """Move the weights as Adam does."""
        self.count += 1
        first = np.float32(1 / (1 - 0.9**self.count))
        second = np.float32(1 / (1 - 0.999**self.count))
        for name, g in grads.items():
            m = self.m[name] = np.float32(0.9) * self.m[name] + np.float32(0.1) * g
            v = self.v[name] = np.float32(0.999) * self.v[name] + np.float32(0.001) * (g * g)
            rate = np.float32(0.001) * (m * first)
            self.params[name] -= rate / (np.sqrt(v * second) + np.float32(1e-8))


def microseconds(work: Callable[[], object]) -> float:
    """Return the mean time of one call over a round."""
    start = time.perf_counter()
    for _ in range(STEPS):
        work()
    return (time.perf_counter() - start) / STEPS * 1e6


def main() -> int:
    """Print the table; return 1 if the losses disagree."""
    net = nn.mlp(ops.key(0), SIZES, activation=nn.relu)
    optimizer = optim.adam(1e-3)
    state = initial_state(net, optimizer, ops.key(1))
    generator = np.random.default_rng(0)
    x = generator.standard_normal((BATCH, SIZES[0]), np.float32)
    labels = generator.integers(0, SIZES[-1], BATCH)
    batch = Batch(from_array(x), from_array(labels))
    step = compile(make_step(net, nn.cross_entropy, optimizer))
    hand = ByHand({name: np.array(p) for name, p in state.params.items()})

    def engine_step() -> float:
        nonlocal state
        state, metrics = step(state, batch)
        return float(metrics["loss"])

    for _ in range(10):
        losses = engine_step(), hand.step(x, labels)
    if abs(losses[0] - losses[1]) > 1e-5 * abs(losses[1]):
        print(f"the losses after ten steps disagree: {losses[0]} and {losses[1]}")
        return 1
    rounds = [
        (microseconds(engine_step), microseconds(lambda: hand.step(x, labels)))
        for _ in range(ROUNDS)
    ]
    ours, theirs = (min(column) for column in zip(*rounds, strict=True))
    print(f"step 64-128-64-10, batch 32, Adam: retrograd {ours:.0f} us, by hand {theirs:.0f} us")
    print(f"ratio {ours / theirs:.2f} (limit 4)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
