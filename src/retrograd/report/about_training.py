"""The page's part on training: the network, its curves, rates and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrograd.recipe.card import layer_table
from retrograd.report.blocks import Block, Facts, Grid, Plot, Section, Words
from retrograd.report.curves import loss_figure, metric_figure, norms_figure, rate_figure
from retrograd.report.material import Material
from retrograd.report.telling import number, words
from retrograd.train.norms import Norms

_SHOWN_LEAVES = 6
_SHARES = ("accuracy", "balanced_accuracy", "f1", "roc_auc", "r2")


def network_section(material: Material) -> Section:
    """Return the layers with their sizes, and how they were trained."""
    chosen, net = material.config.optimization, material.config.network
    rows = tuple(
        (layer.name, layer.kind, layer.output, f"{layer.numbers:,}")
        for layer in layer_table(material.model)
    )
    caption = f"Layers in order; {material.model.parameters:,} numbers in all."
    facts = (
        ("optimizer", f"{chosen.optimizer}, weight decay {number(chosen.weight_decay or 0)}"),
        ("learning rate", f"{number(chosen.learning_rate or 0)}, {words(str(chosen.schedule))}"),
        ("batch", f"{chosen.batch_size} rows"),
        ("dropout", number(net.dropout or 0)),
        ("label smoothing", number(chosen.label_smoothing or 0)),
    )
    return Section(
        "network",
        "Network",
        (
            Grid(("layer", "kind", "gives", "numbers"), rows, caption, frozenset({3})),
            Facts(facts if material.model.schema.classes else facts[:-1]),
        ),
    )


def training_section(material: Material) -> Section:
    """Return the curves of training."""
    blocks: list[Block] = [Words((_story(material),))]
    if material.epochs:
        blocks += _epoch_plots(material)
    if len(material.steps) > 1 and "learning_rate" in material.steps[0]:
        blocks.append(_rate_plot(material.steps))
    if material.norms is not None:
        blocks += _norm_blocks(material.norms)
    return Section("training", "Training", tuple(blocks))


def _story(material: Material) -> str:
    stopped, epochs = material.stopped, material.epochs
    if not epochs:
        return "No epoch was done."
    message = str(stopped.get("message", "it was not ended in order")).rstrip(".")
    best = best_epoch(material)
    kept = f"the weights of epoch {best} were kept" if best else "the last weights were kept"
    return f"Training ended after {len(epochs):,} epochs ({message}); {kept}."


def best_epoch(material: Material) -> int | None:
    """Return the epoch whose weights the model has, where it is known."""
    epoch = material.model.metrics.get("epoch")
    return None if epoch is None else int(epoch)


def _epoch_plots(material: Material) -> list[Block]:
    epochs, best = material.epochs, best_epoch(material)
    first, last = epochs[0], epochs[-1]
    caption = (
        "The loss after every epoch. Where validation rises while training falls, it overfits."
    )
    if "validation_loss" not in last:
        caption = "The loss after every epoch."
    said = f"training loss from {number(first['loss'])} to {number(last['loss'])}"
    plots: list[Block] = [
        Plot("loss", loss_figure(epochs, best), "Loss", caption, f"Curves of the loss: {said}.")
    ]
    is_share = bool(material.model.schema.classes)
    wanted = _SHARES[:4] if is_share else ("root_mean_squared_error", "mean_absolute_error")
    names = [name for name in wanted if name in last]
    # Training measures errors in standard deviations of the target.
    scale = 1.0 if is_share else material.model.preprocessor.scale
    if names:
        ends = ", ".join(f"{words(name)} {number(last[name] * scale)}" for name in names)
        plots.append(
            Plot(
                "metrics",
                metric_figure(epochs, names, best, scale),
                "Metrics",
                "Measures of the validation rows after every epoch.",
                f"Curves of metrics, at the end: {ends}.",
            )
        )
    return plots


def _rate_plot(steps: list[dict[str, Any]]) -> Plot:
    numbers = np.array([row["step"] for row in steps])
    rates = np.array([float(row.get("learning_rate", np.nan)) for row in steps])
    peak = number(float(np.nanmax(rates)))
    return Plot(
        "learning-rate",
        rate_figure(numbers, rates),
        "Learning rate",
        f"How large a step may be; {peak} at its peak.",
        f"Curve of the learning rate over {len(steps):,} steps, with its peak at {peak}.",
    )


def _norm_blocks(norms: Norms) -> list[Block]:
    weights = [leaf for leaf in norms.leaves if leaf.rpartition(".")[2] == "weight"]
    leaves = (weights or list(norms.leaves))[:_SHOWN_LEAVES]
    plots: list[Block] = [
        Plot(
            f"{kind}-norms",
            norms_figure(norms, kind, leaves),
            title,
            caption,
            f"Curves of the norm of the {kind} of {', '.join(leaves)} over all steps.",
        )
        for kind, title, caption in (
            (
                "gradient",
                "Gradients by layer",
                "Running medians. Layers far below others learn little; a sudden rise is trouble.",
            ),
            ("update", "Updates by layer", "How far each step moved the weights of each layer."),
        )
    ]
    last = max(1, len(norms.steps) // 10)
    rows = []
    for leaf in norms.leaves:
        gradient, weight, update = (
            float(np.median(norms.of(leaf, kind)[:last]))
            for kind in ("gradient", "weight", "update")
        )
        share = f"{update / weight:.2g}" if weight > 0 else "–"
        rows.append((leaf, f"{gradient:.3g}", f"{weight:.3g}", f"{update:.3g}", share))
    caption = (
        "Medians over the first tenth of the steps. An update near a thousandth of the weight is "
        "usual."
    )
    headings = ("tensor", "gradient", "weight", "update", "update / weight")
    return [*plots, Grid(headings, tuple(rows), caption, frozenset({1, 2, 3, 4}))]
