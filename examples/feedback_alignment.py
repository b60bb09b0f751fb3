"""Does learning need the exact gradient? Backpropagation beside feedback alignment, on digits.

    python examples/feedback_alignment.py

Feedback alignment hands errors back through fixed random weights instead of the network's own.
Beside it, as a control, a network whose hidden layers do not learn at all.
Source: Lillicrap, Cownden, Tweed & Akerman 2016, Random synaptic feedback weights support error
backpropagation for deep learning.
"""

from dataclasses import dataclass

import numpy as np

from retrograd import Tensor, fit, make_step, nn, ops, optim, tensor
from retrograd.autodiff import Rules, grad
from retrograd.data import batches, fit_preprocessor, infer_schema, read_table, split_table
from retrograd.ops.contraction import Matmul
from retrograd.tensor.op import Op
from retrograd.train.step import initial_state, network
from retrograd.tree import with_leaves


def random_feedback(op: Op, g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Hand g back through weights that never learn. The gradient of b itself is the true one."""
    fixed = ops.normal(ops.key(99), b.shape) * b.shape[0] ** -0.5
    return g @ fixed.T, a.T @ g


def no_feedback(op: Op, g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> tuple[None, Tensor]:
    """Hand nothing back: only the last layer learns."""
    return None, a.T @ g


WAYS: dict[str, Rules] = {
    "backpropagation": {},
    "feedback alignment": {Matmul: random_feedback},
    "last layer only": {Matmul: no_feedback},
}


@dataclass(frozen=True)
class Digits:
    """Rows to learn from, and rows to judge with."""

    inputs: np.ndarray
    labels: np.ndarray
    new_inputs: np.ndarray
    new_labels: np.ndarray


def read_digits() -> Digits:
    """Return scikit-learn's handwritten digits, standardised."""
    table = read_table("digits")
    schema = infer_schema(table)
    split = split_table(table, schema, seed=0)
    fitted = fit_preprocessor(table, schema, split.train)
    parts = (table.take(split.train), table.take(split.validation))
    return Digits(*(f(part) for part in parts for f in (fitted.transform, fitted.transform_target)))


def accuracy_by(rules: Rules, net: nn.Sequential, data: Digits) -> tuple[float, nn.Sequential]:
    """Train with these backward rules; return the share of new digits read right, and the net."""
    optimizer = optim.momentum(0.05)
    for event in fit(
        make_step(net, nn.cross_entropy, optimizer, rules=rules),
        initial_state(net, optimizer, ops.key(1)),
        lambda epoch: batches(data.inputs, data.labels, batch_size=32, seed=0, epoch=epoch),
        epochs=10,
    ):
        state = event.state
    trained = network(net, state)
    answers = trained(tensor(data.new_inputs)).numpy().argmax(1)
    return float(np.mean(answers == data.new_labels)), trained


def angle(net: nn.Sequential, data: Digits) -> float:
    """Return the degrees between the true gradient of the first layer and the aligned one."""

    def loss_of(params: dict[str, Tensor]) -> Tensor:
        return nn.cross_entropy(with_leaves(net, params)(x), labels)

    x, labels = tensor(data.inputs), tensor(data.labels)
    both = [grad(loss_of, rules=rules)(nn.parameters(net)) for rules in list(WAYS.values())[:2]]
    true, other = (found["layers.0.weight"].numpy().ravel() for found in both)
    cosine = true @ other / np.linalg.norm(true) / np.linalg.norm(other)
    return float(np.degrees(np.arccos(cosine)))


def main() -> dict[str, float]:
    """Train each way from the same weights; print and return the accuracies."""
    data = read_digits()
    net = nn.mlp(ops.key(0), (data.inputs.shape[1], 64, 32, 10), activation=nn.tanh)
    found = {}
    for name, rules in WAYS.items():
        found[name], trained = accuracy_by(rules, net, data)
        print(f"{name:20} {found[name]:.3f}")
        if name == "feedback alignment":
            degrees = angle(net, data), angle(trained, data)
            print(
                "  angle to the true gradient: {:.0f} degrees before, {:.0f} after".format(*degrees)
            )
    return found


if __name__ == "__main__":
    main()
