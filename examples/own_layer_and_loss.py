"""A layer, a loss and a listener of your own: how long will the journey take, to be on time?

    python examples/own_layer_and_loss.py

Arriving late costs three times as much as waiting, so the best answer is not the mean: it is the
time that three of four journeys keep. A layer is a frozen dataclass, a loss a function, and `fit`
tells what happens: nothing is registered, nothing inherited.
"""

from dataclasses import dataclass

import numpy as np

from retrograd import Tensor, fit, make_step, nn, ops, optim, tensor
from retrograd.data import batches
from retrograd.train.events import EpochDone, Stopped
from retrograd.train.step import initial_state, network


@dataclass(frozen=True)
class Waves:
    """The hour of the day as waves of learnt frequency: sin(x f + p).  x (n, 1) -> (n, waves)"""

    frequency: Tensor
    phase: Tensor

    @classmethod
    def init(cls, key: Tensor, waves: int) -> "Waves":
        """Draw frequencies around one turn a day, and phases all around."""
        first, second = ops.split(key)
        turn = 2 * np.pi
        return cls(
            ops.normal(first, (1, waves)) * turn, ops.uniform(second, (waves,), low=0.0, high=turn)
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return the waves."""
        return ops.sin(x @ self.frequency + self.phase)

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the same in training: no randomness, and no statistics to keep."""
        return self(x), state


def lateness(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cost: a minute late costs 3, a minute of waiting 1."""
    late = targets - predictions
    return ops.mean(ops.maximum(3.0 * late, -late))


def journeys(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of the day (rows, 1), and hours (rows, 1): two rush hours, and luck."""
    generator = np.random.default_rng(0)
    day = generator.uniform(0, 1, (rows, 1)).astype(np.float32)
    rush = np.exp(-(((day - 0.33) / 0.06) ** 2)) + np.exp(-(((day - 0.72) / 0.08) ** 2))
    luck = generator.gamma(2.0, 0.5, (rows, 1))
    return day, (0.5 + rush + 0.3 * (0.5 + rush) * luck).astype(np.float32)


def main() -> float:
    """Train, print what `fit` tells; return the share of new journeys that are on time."""
    day, hours = journeys(4000)
    seen, new = slice(0, 3000), slice(3000, None)
    first, second, third = ops.split(ops.key(0), 3)
    net = nn.Sequential(
        (Waves.init(first, 16), nn.Linear.init(second, 16, 16), nn.tanh,
         nn.Linear.init(third, 16, 1))
    )  # fmt: skip
    optimizer = optim.adam(0.01)

    def rows(epoch: int):
        return batches(day[seen], hours[seen], batch_size=64, seed=0, epoch=epoch)

    for event in fit(
        make_step(net, lateness, optimizer),
        initial_state(net, optimizer, ops.key(1)),
        rows,
        epochs=30,
    ):
        match event:
            case EpochDone(epoch=epoch, metrics=metrics) if epoch % 5 == 0:
                print(f"epoch {epoch:2}  cost {metrics['loss']:.4f}")
            case Stopped(message=message, state=state):
                print(f"stopped: {message}")
                net = network(net, state)
    on_time = float(np.mean(hours[new] <= net(tensor(day[new])).numpy()))
    print(f"{on_time:.0%} of new journeys are on time; the cost asks for 75%")
    return on_time


if __name__ == "__main__":
    main()
