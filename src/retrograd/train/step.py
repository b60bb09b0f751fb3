"""One step of training: forward, loss, backward, update. The whole story in one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from retrograd import nn, ops
from retrograd.autodiff import Rules, value_and_grad
from retrograd.optim import Optimizer, global_norm
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.train.norms import NORMS, layer_norms
from retrograd.train.state import TrainState
from retrograd.tree import with_leaves

Metrics = dict[str, Tensor]
Loss = Callable[..., Tensor]
"""``loss(predictions, targets)``, or with ``weights=`` as well where batches have weights."""


def initial_state(net: Any, optimizer: Optimizer, key: Tensor) -> TrainState:
    """Return the state before the first step.

    >>> from retrograd.optim import sgd
    >>> state = initial_state(nn.Linear.init(ops.key(0), 2, 1), sgd(0.1), ops.key(1))
    >>> list(state.params), state.step
    (['weight', 'bias'], tensor(0, int64[]))
    """
    params = nn.parameters(net)
    start = from_array(np.asarray(0, np.int64))
    return TrainState(params, optimizer.init(params), nn.statistics(net), start, key)


def network(net: Any, state: TrainState) -> Any:
    """Return ``net`` with the parameters and statistics that a state holds."""
    return with_leaves(net, {**state.params, **state.statistics})


def make_step(
    net: Any,
    loss: Loss,
    optimizer: Optimizer,
    *,
    penalty: Callable[[dict[str, Tensor]], Tensor] | None = None,
    rules: Rules | None = None,
    norms: bool = False,
) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
    """Return ``step(state, batch) -> (state, metrics)``, a pure function that can be compiled.

    A batch has inputs (n, ...), targets (n, ...) and weights (n,) or None. The metrics are scalars:
    "loss", "gradient_norm" (before clipping), "learning_rate" where the optimizer tells it, and
    "penalty", what ``penalty(params)`` adds to the loss that is lowered; ``norms`` adds those of
    `retrograd.train.norms`, which are no scalar. ``rules`` replace backward rules. Randomness comes
    from the state's key and step alone.

    Raises InputError for a network that ends in a softmax which the loss applies itself, and, when
    the step is traced, GradientError for parameters that the loss cannot reach.

    >>> from retrograd.optim import sgd
    >>> from retrograd.train.batch import as_tensors
    >>> from retrograd.data.batches import Batch
    >>> net = nn.Linear(from_array(np.float32([[1.0]])))
    >>> step = make_step(net, nn.mean_squared_error, sgd(0.25))
    >>> batch = as_tensors(Batch(np.float32([[2.0]]), np.float32([[6.0]])))
    >>> state, metrics = step(initial_state(net, sgd(0.25), ops.key(0)), batch)
    >>> metrics["loss"], state.params["weight"]  # (2 - 6)^2;  1 - 0.25 * 2 * (2 - 6) * 2
    (tensor(16., float32[]), tensor([[5.]], float32[1, 1]))
    """
    nn.check_output(net, loss)

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        key = ops.fold_in(state.key, state.step)

        def objective(params: dict[str, Tensor]) -> tuple[Tensor, tuple[Metrics, Metrics]]:
            layers = with_leaves(net, {**params, **state.statistics})
            predictions, statistics = _apply(layers, batch.inputs, state.statistics, key)
            weights = {} if batch.weights is None else {"weights": batch.weights}
            value = loss(predictions, batch.targets, **weights)
            added = {} if penalty is None else {"penalty": penalty(params)}
            total = value if penalty is None else ops.add(value, added["penalty"])
            return total, ({"loss": value, **added}, statistics)

        if state.step.is_traced:
            nn.check_reachable(lambda params: objective(params)[0], state.params)
        (_, (metrics, statistics)), gradients = value_and_grad(
            objective, has_aux=True, rules=rules
        )(state.params)
        metrics["gradient_norm"] = global_norm(gradients)
        if optimizer.learning_rate is not None:
            metrics["learning_rate"] = optimizer.learning_rate(state.optimizer)
        params, moments = optimizer.update(gradients, state.optimizer, state.params)
        if norms:
            metrics[NORMS] = layer_norms(gradients, state.params, params)
        return TrainState(params, moments, statistics, state.step + 1, state.key), metrics

    return step


def _apply(
    layers: Any, inputs: Tensor, statistics: dict[str, Tensor], key: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Call a layer's training, or a plain function that has none."""
    if not hasattr(layers, "apply"):
        return layers(inputs), statistics
    predictions, after = layers.apply(inputs, statistics, key)
    return predictions, after
