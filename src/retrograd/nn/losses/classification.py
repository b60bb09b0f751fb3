"""Losses for classes: cross-entropy of two and of many, hinge, Kullback-Leibler divergence."""

from __future__ import annotations

import math
from typing import Any

from retrograd import ops
from retrograd.nn.activations import log_softmax, relu
from retrograd.nn.losses import arguments
from retrograd.nn.losses.reduction import Reduction, reduce
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import DType


def cross_entropy(
    logits: TensorLike,
    labels: TensorLike,
    *,
    weights: Any = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    class_weights: Any = None,
) -> Tensor:
    """Return -log p[label] with p = softmax(logits).  logits (n, k), labels int (n,) -> ()

    Its gradient in the logits is p - one_hot(label). With smoothing e the wanted probabilities are
    (1 - e) one_hot + e/k. A class weight multiplies each class's term -log p_c; the mean divides by
    the sum of the rows' weights, sample's times label's class's. Leading axes may be several.
    Raises ShapeError and DTypeError for arguments that do not fit, DataError for a label outside
    0..k-1 (row and value named) or a bad weight, InputError for a smoothing outside [0, 1) or for
    logits that come from a softmax.
    Source: Bridle 1990; smoothing: Szegedy et al. 2016, Rethinking the Inception Architecture,
    section 7.

    >>> from retrograd.tensor.tensor import tensor
    >>> cross_entropy(tensor([[0.0, 0.0], [50.0, 0.0]]), tensor([1, 0]))
    tensor(0.3466, float32[])
    """
    scores, chosen = arguments.classes("cross_entropy", logits, labels)
    arguments.refuse_probabilities("cross_entropy", scores)
    if not 0.0 <= label_smoothing < 1.0:
        raise InputError(
            f"cross_entropy with label_smoothing={label_smoothing}",
            "it is not in [0, 1)",
            "give for example 0.1",
        )
    logs = log_softmax(scores)
    # A choice and not a product: the -inf of a masked class stays out of the sum.
    is_label = ops.one_hot(chosen, scores.shape[-1], DType.bool)
    counts = None
    if class_weights is not None:
        of_class = arguments.as_class_weights("cross_entropy", class_weights, scores)
        counts = ops.sum(ops.where(is_label, of_class, 0.0), -1)
        logs = logs * of_class
    picked = ops.sum(ops.where(is_label, logs, 0.0), -1)
    if label_smoothing:
        picked = picked * (1.0 - label_smoothing) + ops.mean(logs, -1) * label_smoothing
    losses = -picked
    given = arguments.as_weights("cross_entropy", weights, losses)
    return reduce(losses, given, reduction, counts)


def binary_cross_entropy(
    logits: TensorLike, targets: TensorLike, *, weights: Any = None, reduction: Reduction = "mean"
) -> Tensor:
    """Return -t log p - (1 - t) log(1 - p), p = sigmoid(z).  logits z (n,), targets t (n,) -> ()

    Targets are labels 0 and 1, or probabilities. Computed as max(z, 0) - z t + log1p(e^-|z|), exact
    for every z; its gradient in the logits is p - t. Raises as `cross_entropy` does, and DataError
    for a target outside [0, 1].
    Source: Cox 1958, The Regression Analysis of Binary Sequences.

    >>> from retrograd.tensor.tensor import tensor
    >>> binary_cross_entropy(tensor([0.0, 50.0]), tensor([1.0, 1.0]))
    tensor(0.3466, float32[])
    """
    scores, wanted = arguments.binary("binary_cross_entropy", logits, targets)
    arguments.refuse_probabilities("binary_cross_entropy", scores)
    # softplus(-z) + z (1 - t), and softplus(-z) is max(-z, 0) + log1p(e^-|z|): where z < 0 the
    # two parts of size |z| are put together first, so that nothing is lost.
    is_positive = scores >= 0.0
    magnitude = ops.where(is_positive, scores, -scores)
    linear = ops.where(is_positive, scores, 0.0) - scores * wanted
    losses = linear + ops.log1p(ops.exp(-magnitude))
    given = arguments.as_weights("binary_cross_entropy", weights, losses)
    return reduce(losses, given, reduction)


def hinge(
    scores: TensorLike, labels: TensorLike, *, weights: Any = None, reduction: Reduction = "mean"
) -> Tensor:
    """Return how far scores are from leading by 1.  scores (n,) or (n, k), labels (n,) -> ()

    Two classes, scores (n,), labels 0 and 1: max(0, 1 - y s) with y = 2 label - 1. Many, scores
    (n, k), integer labels: max(0, 1 + the largest other score - the label's score). At the margin
    itself the gradient is 0. Raises as `cross_entropy` does.
    Source: Cortes & Vapnik 1995; Crammer & Singer 2001, equation 2.

    >>> from retrograd.tensor.tensor import tensor
    >>> hinge(tensor([0.5, 3.0]), tensor([1, 1]), reduction="none")
    tensor([0.5, 0. ], float32[2])
    """
    if as_tensor(scores).rank < 2:
        given, targets = arguments.binary("hinge", scores, labels)
        margins = given * (targets * 2.0 - 1.0)
    else:
        given, chosen = arguments.classes("hinge", scores, labels)
        is_label = ops.one_hot(chosen, given.shape[-1], DType.bool)
        rival = ops.max(ops.where(is_label, -math.inf, given), -1)
        margins = ops.sum(ops.where(is_label, given, 0.0), -1) - rival
    arguments.refuse_probabilities("hinge", given)
    losses = relu(1.0 - margins)
    return reduce(losses, arguments.as_weights("hinge", weights, losses), reduction)


def kl_divergence(
    logits: TensorLike, targets: TensorLike, *, weights: Any = None, reduction: Reduction = "mean"
) -> Tensor:
    """Return the sum over classes of t log(t / p), p = softmax(logits).  Both (n, k) -> ()

    0 where the probabilities agree, and never below. Classes with t = 0 add nothing. Raises
    ShapeError and DTypeError for arguments that do not fit, DataError for targets outside [0, 1] or
    rows that do not add up to 1, InputError for logits that come from a softmax.
    Source: Kullback & Leibler 1951, On Information and Sufficiency.

    >>> from retrograd.tensor.tensor import tensor
    >>> kl_divergence(tensor([[0.0, 0.0]]), tensor([[1.0, 0.0]]))
    tensor(0.6931, float32[])
    """
    scores, wanted = arguments.distributions("kl_divergence", logits, targets)
    arguments.refuse_probabilities("kl_divergence", scores)
    has_mass = wanted > 0.0
    # Both logarithms are taken of safe numbers: the side that is not chosen could be 0 * inf.
    entropy = wanted * ops.log(ops.where(has_mass, wanted, 1.0))
    cost = wanted * ops.where(has_mass, log_softmax(scores), 0.0)
    losses = ops.sum(entropy - cost, -1)
    return reduce(losses, arguments.as_weights("kl_divergence", weights, losses), reduction)
