"""Train neural networks by backpropagation and see every number on the way.

The names below are the front door. Each is loaded when it is first asked for, so that importing
retrograd costs no more than NumPy.

>>> import retrograd
>>> retrograd.grad(lambda x: x * x)(retrograd.tensor(3.0))
tensor(6., float32[])
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrograd import nn as nn
    from retrograd import ops as ops
    from retrograd import optim as optim
    from retrograd.api.estimators import Classifier as Classifier
    from retrograd.api.estimators import Regressor as Regressor
    from retrograd.api.front import load as load
    from retrograd.api.front import train as train
    from retrograd.api.run import Run as Run
    from retrograd.api.tuning import tune as tune
    from retrograd.autodiff import grad as grad
    from retrograd.autodiff import hessian as hessian
    from retrograd.autodiff import hvp as hvp
    from retrograd.autodiff import jacobian as jacobian
    from retrograd.autodiff import jvp as jvp
    from retrograd.autodiff import value_and_grad as value_and_grad
    from retrograd.autodiff import vjp as vjp
    from retrograd.compile import compile as compile
    from retrograd.nn import Linear as Linear
    from retrograd.nn import Sequential as Sequential
    from retrograd.nn.mlp import mlp as mlp
    from retrograd.optim.adam import adam as adam
    from retrograd.optim.sgd import sgd as sgd
    from retrograd.tensor.tensor import Tensor as Tensor
    from retrograd.tensor.tensor import tensor as tensor
    from retrograd.tensor.types import DType as DType
    from retrograd.train.fit import fit as fit
    from retrograd.train.step import make_step as make_step

__version__ = "0.1.0"

# Where each name lives; "" means that it is a module of its own.
_HOMES = {
    "Classifier": "retrograd.api.estimators",
    "DType": "retrograd.tensor.types",
    "Linear": "retrograd.nn",
    "Regressor": "retrograd.api.estimators",
    "Run": "retrograd.api.run",
    "Sequential": "retrograd.nn",
    "Tensor": "retrograd.tensor.tensor",
    "adam": "retrograd.optim.adam",
    "compile": "retrograd.compile",
    "fit": "retrograd.train.fit",
    "grad": "retrograd.autodiff",
    "hessian": "retrograd.autodiff",
    "hvp": "retrograd.autodiff",
    "jacobian": "retrograd.autodiff",
    "jvp": "retrograd.autodiff",
    "load": "retrograd.api.front",
    "make_step": "retrograd.train.step",
    "mlp": "retrograd.nn.mlp",
    "nn": "",
    "ops": "",
    "optim": "",
    "sgd": "retrograd.optim.sgd",
    "tensor": "retrograd.tensor.tensor",
    "train": "retrograd.api.front",
    "tune": "retrograd.api.tuning",
    "value_and_grad": "retrograd.autodiff",
    "vjp": "retrograd.autodiff",
}
__all__ = sorted(_HOMES)


class _FrontDoor(types.ModuleType):
    """The package, whose names `train`, `tensor` and `compile` are functions and not the rooms.

    Importing a submodule sets it as an attribute of its package. Here the rooms of these names do
    not: ``from retrograd.train.step import make_step`` reaches into the room, ``retrograd.train``
    is the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, types.ModuleType) and _HOMES.get(name)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor


def __getattr__(name: str) -> Any:
    """Load a name of the front door; raises AttributeError for any other."""
    if name not in _HOMES:
        raise AttributeError(f"module 'retrograd' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name] or f"{__name__}.{name}")
    value = globals()[name] = getattr(home, name) if _HOMES[name] else home
    return value


def __dir__() -> list[str]:
    """Return the names of the front door, for completion."""
    return [*__all__, "__version__"]
