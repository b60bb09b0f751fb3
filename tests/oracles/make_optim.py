"""Write optim.npz: what PyTorch's optimizers and schedules do on one small problem, in float64.

Run by hand with any Python that has PyTorch (2.9 or newer, for Muon): `python make_optim.py`. The
tests of `retrograd.optim` compare with the stored numbers, so they need no PyTorch.

The problem is not convex: a (3, 4) and b (4,) minimise
    sum(h (a - c)^2)/2 + sum(sin(3 a))/3 + sum((b - d)^2)/2 + sum(sin(b + sum_i a_i))
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.optim import lr_scheduler as schedulers

STEPS, RATES = 50, 60
random = np.random.default_rng(2024)
PROBLEM = {
    "a": random.normal(size=(3, 4)),
    "b": random.normal(size=4),
    "c": random.normal(size=(3, 4)),
    "d": random.normal(size=4),
    "h": random.uniform(0.5, 2.0, size=(3, 4)),
}
Optimizers = list[torch.optim.Optimizer]
Build = Callable[[torch.Tensor, torch.Tensor], Optimizers]

# Muon orthogonalises in bfloat16, for speed on a GPU; the comparison is of the algorithm.
torch.Tensor.bfloat16 = torch.Tensor.clone
# NAdam's product of momenta has the default dtype, whatever the parameters have.
torch.set_default_dtype(torch.float64)


def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    c, d, h = (torch.tensor(PROBLEM[name]) for name in "cdh")
    return (
        (h * (a - c) ** 2).sum() / 2
        + torch.sin(3 * a).sum() / 3
        + ((b - d) ** 2).sum() / 2
        + torch.sin(b + a.sum(0)).sum()
    )


def start() -> tuple[torch.Tensor, torch.Tensor]:
    a, b = (torch.tensor(PROBLEM[name], requires_grad=True) for name in "ab")
    return a, b


def walk(build: Build, before: Callable[..., None] | None = None) -> np.ndarray:
    """The parameters after each step, as (steps, 16); `before` changes the gradients."""
    a, b = start()
    optimizers, path = build(a, b), []
    for _ in range(STEPS):
        a.grad, b.grad = torch.autograd.grad(loss(a, b), (a, b))
        if before:
            before((a, b))
        for optimizer in optimizers:
            optimizer.step()
        path.append(np.concatenate([a.detach().numpy().ravel(), b.detach().numpy()]))
    return np.array(path)


def one(kind: type[torch.optim.Optimizer], **settings: object) -> Build:
    return lambda a, b: [kind([a, b], **settings)]


def muon(a: torch.Tensor, b: torch.Tensor) -> Optimizers:
    rest = torch.optim.AdamW([b], lr=0.01, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0)
    return [torch.optim.Muon([a], lr=0.02, weight_decay=0.1), rest]


def tall_muon(a: torch.Tensor, b: torch.Tensor) -> Optimizers:
    """Muon on the transposed matrix, which has more rows than columns."""
    turned = a.T.detach().clone().requires_grad_()
    optimizer = torch.optim.Muon([turned], lr=0.02, weight_decay=0.0)

    def step() -> None:
        turned.grad = a.grad.T.clone()
        torch.optim.Muon.step(optimizer)
        a.data.copy_(turned.detach().T)

    optimizer.step = step
    return [optimizer]


def walks() -> Iterator[tuple[str, np.ndarray]]:
    kinds, clip = torch.optim, torch.nn.utils
    yield "sgd", walk(one(kinds.SGD, lr=0.05))
    yield "momentum", walk(one(kinds.SGD, lr=0.02, momentum=0.9))
    yield "nesterov", walk(one(kinds.SGD, lr=0.02, momentum=0.9, nesterov=True))
    yield "weight_decay", walk(one(kinds.SGD, lr=0.02, momentum=0.9, weight_decay=0.1))
    yield "adagrad", walk(one(kinds.Adagrad, lr=0.1, eps=1e-10))
    yield "adadelta", walk(one(kinds.Adadelta, lr=1.0, rho=0.95, eps=1e-6))
    yield "rmsprop", walk(one(kinds.RMSprop, lr=0.01, alpha=0.9, eps=1e-8))
    yield "adam", walk(one(kinds.Adam, lr=0.02))
    yield "adam_weight_decay", walk(one(kinds.Adam, lr=0.02, weight_decay=0.1))
    yield "adamw", walk(one(kinds.AdamW, lr=0.02, weight_decay=0.1))
    yield "amsgrad", walk(one(kinds.Adam, lr=0.1, betas=(0.8, 0.9), amsgrad=True))
    yield "nadam", walk(one(kinds.NAdam, lr=0.02))
    yield "radam", walk(one(kinds.RAdam, lr=0.05))
    yield "muon", walk(muon)
    yield "muon_tall", walk(tall_muon)
    sgd = one(kinds.SGD, lr=0.1)
    yield "clip_by_value", walk(sgd, lambda params: clip.clip_grad_value_(params, 0.5))
    yield "clip_by_global_norm", walk(sgd, lambda params: clip.clip_grad_norm_(params, 1.0))


def rates(build: Callable[[torch.optim.Optimizer], object], rate: float = 0.1) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler, seen = build(optimizer), []
    for _ in range(RATES):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(seen)


def warmed(optimizer: torch.optim.Optimizer) -> schedulers.SequentialLR:
    warming = schedulers.LinearLR(optimizer, start_factor=1 / 11, total_iters=10)
    then = schedulers.CosineAnnealingLR(optimizer, T_max=70, eta_min=0.01)
    return schedulers.SequentialLR(optimizer, [warming, then], milestones=[10])


def schedules() -> Iterator[tuple[str, np.ndarray]]:
    yield "constant", rates(lambda o: schedulers.ConstantLR(o, factor=1.0))
    yield "step_decay", rates(lambda o: schedulers.StepLR(o, step_size=7, gamma=0.5))
    yield "exponential", rates(lambda o: schedulers.ExponentialLR(o, gamma=0.9))
    yield "cosine", rates(lambda o: schedulers.CosineAnnealingLR(o, T_max=60, eta_min=0.01))
    restarts = schedulers.CosineAnnealingWarmRestarts
    yield "warm_restarts", rates(lambda o: restarts(o, T_0=7, eta_min=0.01))
    yield "warm_restarts_growing", rates(lambda o: restarts(o, T_0=4, T_mult=2, eta_min=0.01))
    cycle = schedulers.OneCycleLR
    yield "one_cycle", rates(lambda o: cycle(o, max_lr=0.1, total_steps=61, cycle_momentum=False))
    yield "polynomial", rates(lambda o: schedulers.PolynomialLR(o, total_iters=50, power=2.0))
    yield "warm_up", rates(warmed)


def plateau(losses: np.ndarray) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = schedulers.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0.01, cooldown=1, min_lr=0.05
    )
    seen = []
    for value in losses:
        scheduler.step(float(value))
        seen.append(optimizer.param_groups[0]["lr"])
    return np.array(seen)


def lbfgs() -> dict[str, np.ndarray]:
    a, b = start()
    optimizer = torch.optim.LBFGS(
        [a, b], max_iter=200, max_eval=2000, tolerance_grad=1e-12, tolerance_change=1e-16,
        history_size=10, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def evaluate() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(a, b)
        value.backward()
        return value

    optimizer.step(evaluate)
    found = np.concatenate([a.detach().numpy().ravel(), b.detach().numpy()])
    return {"lbfgs.params": found, "lbfgs.loss": loss(a, b).detach().numpy()}


def main() -> None:
    losses = np.array([5, 4, 3, 2.99, 2.98, 2.97, 2.99, 3, 3, 3, 2, 2, 2, 2, 2, *[2.5] * 25])
    stored = {f"problem.{name}": values for name, values in PROBLEM.items()}
    stored |= {f"walk.{name}": path for name, path in walks()}
    stored |= {f"rates.{name}": values for name, values in schedules()}
    stored |= {"plateau.losses": losses, "plateau.rates": plateau(losses)} | lbfgs()
    np.savez_compressed(Path(__file__).with_name("optim.npz"), **stored)
    for name, values in stored.items():
        print(name, values.shape)


if __name__ == "__main__":
    main()
