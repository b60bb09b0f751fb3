"""Layers, activations, losses, initialisers: what networks are made of.

A layer is a frozen dataclass. Its tensors are leaves, named by their place in the network
("layers.0.weight"); everything else in it is static. ``layer(x)`` is inference;
``layer.apply(x, state, key) -> (y, state)`` is training, with what training changes besides the
parameters passed in and returned. Activations and losses are plain functions.

One idea a file. Convolution, recurrence, attention and embedding get files of their own beside
`linear`, in the same form: a dataclass with ``init``, a call and ``apply``.
"""

from retrograd.nn.activations import elu as elu
from retrograd.nn.activations import gelu as gelu
from retrograd.nn.activations import gelu_tanh as gelu_tanh
from retrograd.nn.activations import hard_sigmoid as hard_sigmoid
from retrograd.nn.activations import hard_tanh as hard_tanh
from retrograd.nn.activations import identity as identity
from retrograd.nn.activations import leaky_relu as leaky_relu
from retrograd.nn.activations import log_softmax as log_softmax
from retrograd.nn.activations import mish as mish
from retrograd.nn.activations import relu as relu
from retrograd.nn.activations import selu as selu
from retrograd.nn.activations import sigmoid as sigmoid
from retrograd.nn.activations import silu as silu
from retrograd.nn.activations import softmax as softmax
from retrograd.nn.activations import softplus as softplus
from retrograd.nn.activations import softsign as softsign
from retrograd.nn.activations import tanh as tanh
from retrograd.nn.containers import Flatten as Flatten
from retrograd.nn.containers import Layer as Layer
from retrograd.nn.containers import Residual as Residual
from retrograd.nn.containers import Sequential as Sequential
from retrograd.nn.dropout import Dropout as Dropout
from retrograd.nn.guards import check_output as check_output
from retrograd.nn.guards import check_reachable as check_reachable
from retrograd.nn.initializers import glorot_normal as glorot_normal
from retrograd.nn.initializers import glorot_uniform as glorot_uniform
from retrograd.nn.initializers import he_normal as he_normal
from retrograd.nn.initializers import he_uniform as he_uniform
from retrograd.nn.initializers import initializer_for as initializer_for
from retrograd.nn.initializers import lecun_normal as lecun_normal
from retrograd.nn.initializers import normal as normal
from retrograd.nn.initializers import orthogonal as orthogonal
from retrograd.nn.initializers import uniform as uniform
from retrograd.nn.linear import Dense as Dense
from retrograd.nn.linear import Linear as Linear
from retrograd.nn.losses.classification import binary_cross_entropy as binary_cross_entropy
from retrograd.nn.losses.classification import cross_entropy as cross_entropy
from retrograd.nn.losses.classification import hinge as hinge
from retrograd.nn.losses.classification import kl_divergence as kl_divergence
from retrograd.nn.losses.regression import gaussian_nll as gaussian_nll
from retrograd.nn.losses.regression import huber as huber
from retrograd.nn.losses.regression import log_cosh as log_cosh
from retrograd.nn.losses.regression import mean_absolute_error as mean_absolute_error
from retrograd.nn.losses.regression import mean_squared_error as mean_squared_error
from retrograd.nn.losses.regression import poisson as poisson
from retrograd.nn.losses.regression import quantile as quantile
from retrograd.nn.members import Average as Average
from retrograd.nn.members import MemberLinear as MemberLinear
from retrograd.nn.members import Members as Members
from retrograd.nn.members import ensemble as ensemble
from retrograd.nn.members import loss_of_members as loss_of_members
from retrograd.nn.mlp import mlp as mlp
from retrograd.nn.normalization import BatchNorm as BatchNorm
from retrograd.nn.normalization import LayerNorm as LayerNorm
from retrograd.nn.parameters import describe as describe
from retrograd.nn.parameters import parameters as parameters
from retrograd.nn.parameters import statistics as statistics
from retrograd.nn.pieces import PiecewiseLinear as PiecewiseLinear
from retrograd.nn.temperature import Temperature as Temperature
