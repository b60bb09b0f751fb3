"""What a run is about to do, said before its first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrograd.cli.live import Limits
from retrograd.cli.output import Output, number
from retrograd.cli.schema_table import column_lines

if TYPE_CHECKING:
    from retrograd.data.finding import Finding
    from retrograd.recipe.prepare import Prepared


def tell_plan(prepared: Prepared, output: Output) -> None:
    """Say what was understood of the table, how rows are parted, and what will be trained."""
    from retrograd.data import describe
    from retrograd.recipe.footprint import words_of

    schema, split = prepared.schema, prepared.split
    output.wrap(
        f"{prepared.table.name}: {schema.rows:,} rows. Predicting {schema.target} "
        f"({schema.target_reason}): {schema.task.value}, {schema.task_reason}.",
    )
    for line in column_lines(describe(schema, prepared.preprocessor)):
        output.talk(line)
    output.wrap(
        f"split     {len(split.train):,} rows to train, {len(split.validation):,} to validate, "
        f"{len(split.test):,} sealed for one test; {split_in_words(prepared)}",
        indent=10,
    )
    for line in audit_lines(prepared.audit):
        output.wrap(line, indent=10)
    output.wrap(f"network   {network_in_words(prepared)}", indent=10)
    output.wrap(f"training  {training_in_words(prepared)}", indent=10)
    if prepared.config.data.costs:
        output.wrap(f"decides   {_decision(prepared)}, by the stated costs", indent=10)
    needs = prepared.footprint
    output.wrap(
        f"memory    {words_of(needs.total)}: {words_of(needs.training)} for the states, "
        f"{words_of(needs.batch)} for a step, {words_of(needs.data)} for the data"
        f"{_recomputed(prepared.job.extra)}",
        indent=10,
    )
    for note in prepared.notes:
        output.wrap(f"note      {note}", indent=10)
    if prepared.directory is not None:
        output.talk(f"run       {prepared.directory}")


def split_in_words(prepared: Prepared) -> str:
    """Return how the rows were parted."""
    data, seed = prepared.config.data, f"seed {prepared.config.seed}"
    fold = f", fold {data.fold or 1} of {data.folds}" if data.folds else ""
    if data.part_column is not None:
        return f"as {data.part_column!r} says"
    if data.time_column is not None:
        return f"the latest by {data.time_column!r}"
    if data.group is not None:
        return f"each {data.group!r} in one part{fold}, {seed}"
    return f"{'stratified' if data.stratify else 'at random'}{fold}, {seed}"


def _decision(prepared: Prepared) -> str:
    from retrograd.recipe.threshold import cost_vector, in_words

    classes = prepared.schema.classes
    return in_words(cost_vector(prepared.config.data.costs, classes), classes)


def audit_lines(findings: Sequence[Finding]) -> list[str]:
    """Return what the audit of the split found, a line each.

    >>> audit_lines([])
    ['audit     no leak found in columns, rows, groups and times']
    """
    if not any(finding.is_alarm for finding in findings):
        none = "audit     no leak found in columns, rows, groups and times"
        return [none, *(f"note      {finding}" for finding in findings)]
    return [f"{'LEAK?' if f.is_alarm else 'note':<10}{f}" for f in findings]


def _recomputed(extra: float) -> str:
    """Return what keeping to the memory costs.

    >>> _recomputed(0.123)
    '; values are made anew instead of kept, for 12 % more work'
    """
    if extra == 0:
        return ""
    return f"; values are made anew instead of kept, for {max(extra, 0.01):.0%} more work".replace(
        "%", " %"
    )


def network_in_words(prepared: Prepared) -> str:
    """Return the network in one line: sizes, activation, dropout, parameters."""
    network, size = prepared.config.network, prepared.job.size
    sizes = (size.features, *(network.hidden or ()), size.outputs)
    words = [" → ".join(map(str, sizes))]
    if network.hidden:
        words.append(str(network.activation))
        if network.normalization not in (None, "none"):
            words.append(f"{network.normalization} normalization")
        if network.dropout:
            words.append(f"dropout {network.dropout:g}")
    return ", ".join([*words, f"{prepared.parameters:,} parameters"])


def training_in_words(prepared: Prepared) -> str:
    """Return optimiser, rate, batch and limits in one line."""
    chosen, stopping = prepared.config.optimization, prepared.config.stopping
    words = [
        f"{chosen.optimizer}",
        f"learning rate {number(chosen.learning_rate or 0.0)} ({chosen.schedule})",
        f"weight decay {number(chosen.weight_decay or 0.0)}",
        f"batches of {chosen.batch_size}",
    ]
    limits = [
        ("at most", _count(stopping.epochs, "epoch")),
        ("at most", _count(stopping.steps, "step")),
        ("at most", stopping.time),
        ("until", stopping.until),
        ("until the loss changes by less than", stopping.tolerance),
        ("until no improvement in", _count(stopping.patience, "epoch")),
    ]
    return ", ".join([*words, *(f"{how} {what}" for how, what in limits if what is not None)])


def _count(number: int | None, what: str) -> str | None:
    """Return a number of things in words.

    >>> _count(1, "epoch"), _count(2000, "epoch")
    ('1 epoch', '2,000 epochs')
    """
    return None if number is None else f"{number:,} {what}{'' if number == 1 else 's'}"


def limits_of(prepared: Prepared) -> Limits:
    """Return what ends the run at the latest, for the view to show how far it is."""
    from retrograd.recipe.config import seconds
    from retrograd.recipe.training import planned_steps

    stopping = prepared.config.stopping
    steps = planned_steps(prepared.config, len(prepared.split.train))
    return Limits(
        stopping.epochs,
        steps if stopping.epochs or stopping.steps else None,
        seconds(stopping.time) if stopping.time else None,
    )
