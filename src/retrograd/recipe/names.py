"""Names in files and flags, and the one function each stands for: the only such table.

Nothing is imported by name and nobody can add to it at run time, so a file can name only these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from retrograd import nn, optim
from retrograd.recipe.config import ActivationName, LossName, OptimizerName
from retrograd.tensor.tensor import Tensor

ACTIVATIONS: Final[Mapping[ActivationName, Callable[[Tensor], Tensor]]] = MappingProxyType(
    {
        "identity": nn.identity,
        "sigmoid": nn.sigmoid,
        "tanh": nn.tanh,
        "relu": nn.relu,
        "leaky_relu": nn.leaky_relu,
        "elu": nn.elu,
        "selu": nn.selu,
        "gelu": nn.gelu,
        "gelu_tanh": nn.gelu_tanh,
        "silu": nn.silu,
        "softplus": nn.softplus,
        "softsign": nn.softsign,
        "mish": nn.mish,
        "hard_sigmoid": nn.hard_sigmoid,
        "hard_tanh": nn.hard_tanh,
    }
)

LOSSES: Final[Mapping[LossName, Callable[..., Tensor]]] = MappingProxyType(
    {
        "mean_squared_error": nn.mean_squared_error,
        "mean_absolute_error": nn.mean_absolute_error,
        "huber": nn.huber,
        "log_cosh": nn.log_cosh,
    }
)

# AdamW is Adam with decoupled decay, which `build_optimizer` puts around every optimizer, and there
# on weights alone.
OPTIMIZERS: Final[Mapping[OptimizerName, Callable[..., Any]]] = MappingProxyType(
    {
        "sgd": optim.sgd,
        "momentum": optim.momentum,
        "nesterov": optim.nesterov,
        "adagrad": optim.adagrad,
        "adadelta": optim.adadelta,
        "rmsprop": optim.rmsprop,
        "adam": optim.adam,
        "adamw": optim.adam,
        "amsgrad": optim.amsgrad,
        "nadam": optim.nadam,
        "radam": optim.radam,
        "lion": optim.lion,
        "muon": optim.muon,
    }
)
