"""Two spirals, told apart by a network of two layers written out by hand: no layer, no optimizer.

    python examples/network_by_hand.py

Forward, loss, gradient and update are the whole program. At the end it draws what it has learnt.
"""

import numpy as np

import retrograd
from retrograd import Tensor, nn, ops, tensor

UNITS, STEPS, LEARNING_RATE = 24, 1000, 0.5


def two_spirals(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return points (rows, 2) in the square from -1 to 1, and the spiral that each is on."""
    turn = np.sqrt(np.linspace(0.05, 1, rows // 2)) * 1.5 * 2 * np.pi
    arm = np.stack([turn * np.cos(turn), turn * np.sin(turn)], axis=1) / turn.max()
    return np.concatenate([arm, -arm]).astype(np.float32), np.repeat([0, 1], rows // 2)


def network(params: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return a score for each spiral.  x (n, 2) -> (n, 2)"""
    hidden = ops.tanh(x @ params["first weight"] + params["first bias"])
    hidden = ops.tanh(hidden @ params["second weight"] + params["second bias"])
    return hidden @ params["last weight"]


def first_params(seed: int) -> dict[str, Tensor]:
    """Return weights to start from, by name."""
    first, second, last = ops.split(ops.key(seed), 3)
    return {
        "first weight": ops.normal(first, (2, UNITS)) * 2.0,
        "first bias": ops.zeros((UNITS,)),
        "second weight": ops.normal(second, (UNITS, UNITS)) * UNITS**-0.5,
        "second bias": ops.zeros((UNITS,)),
        "last weight": ops.normal(last, (UNITS, 2)) * UNITS**-0.5,
    }


def draw(params: dict[str, Tensor], points: np.ndarray, labels: np.ndarray) -> str:
    """Return a map of the square: what the network says everywhere, and the points in capitals."""
    across, down = np.linspace(-1, 1, 64), np.linspace(1, -1, 28)
    square = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2).astype(np.float32)
    said = network(params, tensor(square)).numpy().argmax(1).reshape(len(down), len(across))
    picture = np.where(said == 1, "·", " ")
    for (x, y), label in zip(points, labels, strict=True):
        picture[np.abs(down - y).argmin(), np.abs(across - x).argmin()] = "OX"[label]
    return "\n".join("".join(line) for line in picture)


def main() -> float:
    """Train, report, draw; return the share of points that are told apart."""
    points, labels = two_spirals()
    x, y = tensor(points), tensor(labels)

    def loss_of(params: dict[str, Tensor]) -> Tensor:
        return nn.cross_entropy(network(params, x), y)

    loss_and_gradients = retrograd.compile(retrograd.value_and_grad(loss_of))
    params = first_params(seed=0)
    for step in range(STEPS + 1):
        loss, gradients = loss_and_gradients(params)
        if step % 250 == 0:
            print(f"step {step:4}  loss {loss.item():.4f}")
        params = {name: w - LEARNING_RATE * gradients[name] for name, w in params.items()}
    right = float(np.mean(network(params, x).numpy().argmax(1) == labels))
    print(f"\n{right:.0%} of the points are on the right side\n\n{draw(params, points, labels)}")
    return right


if __name__ == "__main__":
    main()
