"""Makes nn.npz: what PyTorch gives for every activation, loss and layer, in float64.

Run by hand, in an environment with PyTorch (the tests need only the file):

    python tests/oracles/make_nn.py

Names in the file: ``<thing>/<part>``. Inputs are stored beside the answers. For activations and
layers, gradients are those of the sum of the output times ``.../cotangent``.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812  # PyTorch's own name for it

Tensor = torch.Tensor
Stored = dict[str, np.ndarray]

GRID = np.concatenate([np.linspace(-7.9, 7.9, 40), [-30.0, -12.5, -2e-3, 1e-9, 2e-3, 12.5, 30.0]])
DRAW = np.random.default_rng(20240607)

ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "leaky_relu_02": partial(F.leaky_relu, negative_slope=0.2),
    "elu": F.elu,
    "elu_05": partial(F.elu, alpha=0.5),
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "mish": F.mish,
    "hard_sigmoid": F.hardsigmoid,
    "hard_tanh": F.hardtanh,
}


def leaf(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def grads_of(output: Tensor, cotangent: np.ndarray, **inputs: Tensor) -> Stored:
    found = torch.autograd.grad((output * torch.tensor(cotangent)).sum(), list(inputs.values()))
    return {f"grad_{name}": g.numpy() for name, g in zip(inputs, found, strict=True)}


def activations() -> Stored:
    stored: Stored = {"grid": GRID}
    for name, function in ELEMENTWISE.items():
        x = leaf(GRID)
        y = function(x)
        stored[f"{name}/value"] = y.detach().numpy()
        stored |= {f"{name}/{k}": v for k, v in grads_of(y, np.ones_like(GRID), x=x).items()}
    rows = DRAW.normal(0, 3, (5, 4))
    cotangent = DRAW.normal(0, 1, (5, 4))
    stored |= {"rows": rows, "rows_cotangent": cotangent}
    for name, of_axis in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        for axis in (-1, 0):
            x = leaf(rows)
            y = of_axis(x, axis)
            stored[f"{name}_{axis}/value"] = y.detach().numpy()
            found = grads_of(y, cotangent, x=x)
            stored |= {f"{name}_{axis}/{k}": v for k, v in found.items()}
    return stored


def loss_inputs() -> Stored:
    distribution = DRAW.random((7, 4)) ** 2
    distribution[2, 1] = 0.0
    return {
        "predictions": DRAW.normal(0, 1.5, (7, 3)),
        "targets": DRAW.normal(0, 1.5, (7, 3)),
        "logits": DRAW.normal(0, 3, (7, 4)),
        "labels": np.array([0, 3, 1, 1, 2, 0, 3]),
        "scores": np.concatenate([DRAW.normal(0, 4, 5), [-40.0, 40.0]]),
        "probabilities": np.array([0.0, 1.0, 0.3, 0.85, 1.0, 0.0, 1.0]),
        "counts": np.array([0.0, 1.0, 4.0, 2.0, 0.0, 7.0, 3.0]),
        "rates": DRAW.normal(0.5, 0.8, 7),
        "moments": DRAW.normal(0, 0.8, (7, 2)),
        "distribution": distribution / distribution.sum(1, keepdims=True),
        "class_weights": np.array([0.5, 2.0, 1.25, 0.75]),
        "weights": np.array([1.0, 0.0, 2.5, 0.3, 1.0, 4.0, 0.7]),
    }


def crammer_singer(logits: Tensor, labels: Tensor) -> Tensor:
    rows = torch.arange(len(labels))
    others = logits.masked_fill(F.one_hot(labels, logits.shape[1]).bool(), -torch.inf)
    return torch.relu(1 + others.amax(1) - logits[rows, labels])


def gaussian(moments: Tensor, targets: Tensor) -> Tensor:
    variance = moments[:, 1].exp()
    return F.gaussian_nll_loss(moments[:, 0], targets, variance, reduction="none", eps=0)


def pinball(predictions: Tensor, targets: Tensor, level: float) -> Tensor:
    error = targets - predictions
    return torch.maximum(level * error, (level - 1) * error)


def loss_rows(given: dict[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
    """Each loss row by row, with the name of the input that the network would make."""
    p, t, z, y = (given[name] for name in ("predictions", "targets", "logits", "labels"))
    s, q, w = given["scores"], given["probabilities"], given["class_weights"]
    of_rows = partial(F.cross_entropy, z, y, reduction="none")
    d = given["distribution"]
    return {
        "mean_squared_error": ("predictions", F.mse_loss(p, t, reduction="none")),
        "mean_absolute_error": ("predictions", F.l1_loss(p, t, reduction="none")),
        "huber": ("predictions", F.huber_loss(p, t, reduction="none")),
        "huber_04": ("predictions", F.huber_loss(p, t, reduction="none", delta=0.4)),
        "log_cosh": ("predictions", torch.log(torch.cosh(p - t))),
        "quantile_09": ("predictions", pinball(p, t, 0.9)),
        "poisson": ("rates", F.poisson_nll_loss(given["rates"], given["counts"], reduction="none")),
        "gaussian_nll": ("moments", gaussian(given["moments"], given["rates"].detach())),
        "binary_cross_entropy": (
            "scores",
            F.binary_cross_entropy_with_logits(s, q, reduction="none"),
        ),
        "hinge": ("scores", torch.relu(1 - (2 * (q > 0.5).double() - 1) * s)),
        "hinge_multiclass": ("logits", crammer_singer(z, y)),
        "cross_entropy": ("logits", of_rows()),
        "cross_entropy_smooth": ("logits", of_rows(label_smoothing=0.1)),
        "cross_entropy_classes": ("logits", of_rows(weight=w)),
        "cross_entropy_both": ("logits", of_rows(weight=w, label_smoothing=0.1)),
        "kl_divergence": (
            "logits",
            F.kl_div(torch.log_softmax(z, 1), d, reduction="none").sum(1),
        ),
    }


def losses() -> Stored:
    stored = loss_inputs()
    given = {name: torch.tensor(x) for name, x in stored.items()}
    for name, x in given.items():
        if x.is_floating_point():
            x.requires_grad_(name in ("predictions", "logits", "scores", "rates", "moments"))
    answers: Stored = {}
    for name, (source, rows) in loss_rows(given).items():
        kept = rows.detach().numpy()
        weights = given["weights"].reshape(-1, *([1] * (rows.dim() - 1))).expand_as(rows)
        divisor = weights
        if name in ("cross_entropy_classes", "cross_entropy_both"):
            divisor = weights * given["class_weights"][given["labels"]]
        weighted = (rows * weights).sum() / divisor.sum()
        answers |= {f"{name}/rows": kept, f"{name}/weighted": np.array(weighted.item())}
        (g,) = torch.autograd.grad(weighted, [given[source]])
        answers[f"{name}/grad"] = g.numpy()
    means = F.cross_entropy(
        given["logits"], given["labels"], given["class_weights"], label_smoothing=0.1
    )
    answers["cross_entropy_both/mean"] = np.array(means.item())
    return {**stored, **answers}


def layers() -> Stored:
    x, cotangent = DRAW.normal(1, 2, (6, 3)), DRAW.normal(0, 1, (6, 3))
    stored: Stored = {"layer/x": x, "layer/cotangent": cotangent}
    scale, shift = DRAW.normal(1, 0.3, 3), DRAW.normal(0, 0.3, 3)
    mean, variance = DRAW.normal(0, 1, 3), DRAW.random(3) + 0.5
    stored |= {"layer/scale": scale, "layer/shift": shift}
    stored |= {"layer/mean": mean, "layer/variance": variance}
    for name in ("layer_norm", "batch_norm_train", "batch_norm_infer"):
        a, b, c = leaf(x), leaf(scale), leaf(shift)
        m, v = torch.tensor(mean), torch.tensor(variance)
        if name == "layer_norm":
            y = F.layer_norm(a, (3,), b, c)
        else:
            y = F.batch_norm(a, m, v, b, c, training=name.endswith("train"))
        stored[f"{name}/value"] = y.detach().numpy()
        stored |= {
            f"{name}/{k}": g for k, g in grads_of(y, cotangent, x=a, scale=b, shift=c).items()
        }
        if name == "batch_norm_train":
            stored |= {f"{name}/mean": m.numpy(), f"{name}/variance": v.numpy()}
    return stored


def network() -> Stored:
    """A Linear(5, 8), batch norm, gelu, Linear(8, 4) under cross-entropy, in training."""
    arrays = {
        "x": DRAW.normal(0, 1, (7, 5)),
        "layers.0.weight": DRAW.normal(0, 0.6, (5, 8)),
        "layers.0.bias": DRAW.normal(0, 0.3, 8),
        "layers.1.scale": DRAW.normal(1, 0.2, 8),
        "layers.1.shift": DRAW.normal(0, 0.2, 8),
        "layers.3.weight": DRAW.normal(0, 0.6, (8, 4)),
        "layers.3.bias": DRAW.normal(0, 0.3, 4),
    }
    at = {name: leaf(array) for name, array in arrays.items()}
    labels = torch.tensor([0, 3, 1, 1, 2, 0, 3])
    z = at["x"] @ at["layers.0.weight"] + at["layers.0.bias"]
    hidden = F.batch_norm(z, None, None, at["layers.1.scale"], at["layers.1.shift"], training=True)
    logits = F.gelu(hidden) @ at["layers.3.weight"] + at["layers.3.bias"]
    loss = F.cross_entropy(logits, labels)
    found = torch.autograd.grad(loss, list(at.values()))
    grads = {f"network/grad/{k}": g.numpy() for k, g in zip(at, found, strict=True)}
    given = {f"network/{name}": array for name, array in arrays.items()}
    return {**given, **grads, "network/loss": np.array(loss.item())}


if __name__ == "__main__":
    file = Path(__file__).with_name("nn.npz")
    np.savez_compressed(file, **activations(), **losses(), **layers(), **network())
    print(f"{file.name}: {file.stat().st_size} bytes, by PyTorch {torch.__version__}")
