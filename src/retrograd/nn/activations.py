"""Activations: plain functions of a tensor, made of ops, so that they have every derivative.

All take floats of any shape and keep the shape. Where a function has a kink, its docstring says
which derivative stands there; where PyTorch chose differently, that too. The far ends keep their
digits: nothing here subtracts what nearly cancels.
"""

from __future__ import annotations

import math

from retrograd import ops
from retrograd.tensor.tensor import Tensor

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946
_ROOT_HALF = math.sqrt(0.5)
_ROOT_TWO_OVER_PI = math.sqrt(2.0 / math.pi)


def identity(x: Tensor) -> Tensor:
    """Return x: the activation of a layer that has none.

    >>> from retrograd.tensor.tensor import tensor
    >>> identity(tensor([1.0, -1.0]))
    tensor([ 1., -1.], float32[2])
    """
    return x


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)), between 0 and 1; exact at both ends.

    For a probability that a loss will see, give the loss the logits instead: `binary_cross_entropy`
    takes them and stays exact.

    >>> from retrograd.tensor.tensor import tensor
    >>> sigmoid(tensor([0.0, 100.0]))
    tensor([0.5, 1. ], float32[2])
    """
    return ops.sigmoid(x)


def tanh(x: Tensor) -> Tensor:
    """Return (e^x - e^-x) / (e^x + e^-x), between -1 and 1.

    >>> from retrograd.tensor.tensor import tensor
    >>> tanh(tensor([0.0, 100.0]))
    tensor([0., 1.], float32[2])
    """
    return ops.tanh(x)


def relu(x: Tensor) -> Tensor:
    """Return max(x, 0).  The derivative at 0 is 0; NaN stays NaN.

    Source: Nair & Hinton 2010, Rectified Linear Units Improve Restricted Boltzmann Machines.

    >>> from retrograd.tensor.tensor import tensor
    >>> relu(tensor([-2.0, 0.0, 3.0]))
    tensor([0., 0., 3.], float32[3])
    """
    # Not ops.maximum: a tie there shares the gradient, which would make relu'(0) = 1/2.
    return ops.where(x <= 0.0, 0.0, x)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return x above 0 and negative_slope x elsewhere.  The derivative at 0 is the slope.

    Source: Maas et al. 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models.

    >>> from retrograd.tensor.tensor import tensor
    >>> leaky_relu(tensor([-2.0, 3.0]))
    tensor([-0.02,  3.  ], float32[2])
    """
    return ops.where(x <= 0.0, x * negative_slope, x)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return x above 0 and alpha (e^x - 1) elsewhere.  The derivative at 0 is alpha.

    Source: Clevert et al. 2015, Fast and Accurate Deep Network Learning by ELUs, equation 15.

    >>> from retrograd.tensor.tensor import tensor
    >>> elu(tensor([-100.0, 3.0]))
    tensor([-1.,  3.], float32[2])
    """
    is_negative = x <= 0.0
    # Only what is negative reaches the exponential: its overflow would make the gradient 0 * inf.
    inner = ops.where(is_negative, x, 0.0)
    return ops.where(is_negative, ops.expm1(inner) * alpha, x)


def selu(x: Tensor) -> Tensor:
    """Return 1.0507 elu(x, 1.6733): keeps mean 0 and variance 1 through layers.

    The derivative at 0 is 1.7581. Wants weights of variance 1/in_features: `lecun_normal`.
    Source: Klambauer et al. 2017, Self-Normalizing Neural Networks, equation 2.

    >>> from retrograd.tensor.tensor import tensor
    >>> selu(tensor([-100.0, 1.0]))
    tensor([-1.7581,  1.0507], float32[2])
    """
    return elu(x, _SELU_ALPHA) * _SELU_SCALE


def gelu(x: Tensor) -> Tensor:
    """Return x Phi(x), with Phi the distribution function of the normal law; exact.

    Phi(x) = erfc(-x / sqrt 2) / 2, which keeps its digits in the tail, where 1 + erf cancels (in
    float32 PyTorch's is 17 % off at -5 and 0 from -6 on).
    Source: Hendrycks & Gimpel 2016, Gaussian Error Linear Units, section 2.

    >>> from retrograd.tensor.tensor import tensor
    >>> gelu(tensor([-1.0, 1.0]))
    tensor([-0.1587,  0.8413], float32[2])
    """
    return x * (ops.erfc(x * -_ROOT_HALF) * 0.5)


def gelu_tanh(x: Tensor) -> Tensor:
    """Return x (1 + tanh u) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3): gelu by tanh.

    Computed as x sigmoid(2u), which is equal and keeps its digits in the tail. For networks that
    were trained with it; within 5e-4 of `gelu`.
    Source: Hendrycks & Gimpel 2016, Gaussian Error Linear Units, section 2.

    >>> from retrograd.tensor.tensor import tensor
    >>> gelu_tanh(tensor([-1.0, 1.0]))
    tensor([-0.1588,  0.8412], float32[2])
    """
    return x * ops.sigmoid((x + x * x * x * 0.044715) * (2.0 * _ROOT_TWO_OVER_PI))


def silu(x: Tensor) -> Tensor:
    """Return x sigmoid(x), also called swish.

    Source: Elfwing et al. 2017, Sigmoid-Weighted Linear Units, equation 6.

    >>> from retrograd.tensor.tensor import tensor
    >>> silu(tensor([-1.0, 1.0]))
    tensor([-0.2689,  0.7311], float32[2])
    """
    return x * ops.sigmoid(x)


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + e^x), the smooth relu; its derivative is sigmoid(x).

    Computed as max(x, 0) + log1p(e^-|x|), exact everywhere. PyTorch's returns x itself above 20, so
    the two differ there by up to 2e-9.
    Source: Dugas et al. 2000, Incorporating Second-Order Functional Knowledge, equation 3.

    >>> from retrograd.tensor.tensor import tensor
    >>> softplus(tensor([-100.0, 0.0, 100.0]))
    tensor([3.7835e-44, 6.9315e-01, 1.0000e+02], float32[3])
    """
    is_positive = x >= 0.0
    # Choices, not maximum and absolute: at 0 both sides of the kink then cancel in every order.
    magnitude = ops.where(is_positive, x, -x)
    return ops.where(is_positive, x, 0.0) + ops.log1p(ops.exp(-magnitude))


def softsign(x: Tensor) -> Tensor:
    """Return x / (1 + |x|), between -1 and 1.

    Source: Glorot & Bengio 2010, Understanding the Difficulty of Training Deep Networks, section 3.

    >>> from retrograd.tensor.tensor import tensor
    >>> softsign(tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75], float32[2])
    """
    return ops.replace_gradient(x / (1.0 + ops.absolute(x)), _softsign_rule, x)


def _softsign_rule(g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
    """1 / (1 + |x|)^2 as one quotient: by the product rule it is a difference that cancels."""
    return (g / ops.square(1.0 + ops.absolute(x)),)


def mish(x: Tensor) -> Tensor:
    """Return x tanh(softplus(x)).

    Source: Misra 2019, Mish: A Self Regularized Non-Monotonic Activation Function, section 2.

    >>> from retrograd.tensor.tensor import tensor
    >>> mish(tensor([-1.0, 1.0]))
    tensor([-0.3034,  0.8651], float32[2])
    """
    return x * ops.tanh(softplus(x))


def hard_sigmoid(x: Tensor) -> Tensor:
    """Return x/6 + 1/2 cut off at 0 and 1.  The derivative at -3 and 3 is 1/6 (in PyTorch 0).

    Source: Howard et al. 2019, Searching for MobileNetV3, section 5.2.

    >>> from retrograd.tensor.tensor import tensor
    >>> hard_sigmoid(tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75], float32[3])
    """
    return (ops.clip(x, -3.0, 3.0) + 3.0) / 6.0


def hard_tanh(x: Tensor) -> Tensor:
    """Return x cut off at -1 and 1.  The derivative at -1 and 1 is 1 (in PyTorch 0).

    Source: Collobert 2004, Large Scale Machine Learning (thesis), section 3.

    >>> from retrograd.tensor.tensor import tensor
    >>> hard_tanh(tensor([-4.0, 0.5]))
    tensor([-1. ,  0.5], float32[2])
    """
    return ops.clip(x, -1.0, 1.0)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return e^x_i / sum over j of e^x_j: scores to probabilities, along one axis.

    Shifted by the largest score, so nothing overflows. A row in which all are -inf (all masked)
    becomes zeros. A loss wants the scores themselves: `cross_entropy` does this step.
    Source: Bridle 1990, Probabilistic Interpretation of Feedforward Classification Networks.

    >>> from retrograd.tensor.tensor import tensor
    >>> softmax(tensor([[1000.0, 1000.0], [0.0, -1000.0]]))
    tensor([[0.5, 0.5],
            [1. , 0. ]], float32[2, 2])
    """
    shifted = _shifted(x, axis)
    powers = ops.exp(shifted)
    return powers / _total(powers, axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return x_i - log(sum over j of e^x_j), the logarithm of softmax, along one axis.

    Shifted by the largest score; exact where softmax would round to 0 or 1. A row in which all are
    -inf stays so.

    >>> from retrograd.tensor.tensor import tensor
    >>> log_softmax(tensor([0.0, -1000.0]))
    tensor([    0., -1000.], float32[2])
    """
    shifted = _shifted(x, axis)
    return shifted - ops.log(_total(ops.exp(shifted), axis))


def _shifted(x: Tensor, axis: int) -> Tensor:
    """Return x less its largest element, which is a constant here: the shift changes no answer."""
    largest = ops.stop_gradient(ops.max(x, axis, keepdims=True))
    return x - ops.where(largest == -math.inf, 0.0, largest)


def _total(powers: Tensor, axis: int) -> Tensor:
    """Return the sum, or 1 in place of the 0 of a row of -inf."""
    total = ops.sum(powers, axis, keepdims=True)
    return ops.where(total == 0.0, 1.0, total)
