"""What a study leaves for people: a table of its trials, what mattered, and plots."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retrograd.tensor.errors import RunError
from retrograd.train.files import replace_file
from retrograd.tune.search import best_trial
from retrograd.tune.study import StudyHome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST = 8  # complete trials from which importances say anything
_SLICES = 6


def trial_rows(home: StudyHome) -> list[dict[str, Any]]:
    """Return a record for each trial that came to its end, in order: what it had and came to.

    A trial that was put back is there once, as it was run in the end.
    """
    rows = []
    names = sorted({name for t in home.trials() for name in _options(t)})
    for trial in home.trials():
        facts = trial.user_attrs.get("facts")
        if trial.state.name not in ("COMPLETE", "PRUNED") or facts is None:
            continue
        options = _options(trial)
        hidden = options.get("hidden")
        shown = {name: options.get(name) for name in names}
        if "hidden" in names:
            shown["hidden"] = None if hidden is None else ",".join(map(str, hidden))
        rows.append(
            {
                "trial": trial.user_attrs.get("place", trial.number),
                "start": trial.user_attrs.get("start", ""),
                "ending": facts["ending"],
                "score": trial.value if trial.state.name == "COMPLETE" else None,
                "epochs": facts["epochs"],
                "seconds": facts["seconds"],
                **shown,
                "why": facts.get("why", ""),
            }
        )
    return sorted(rows, key=lambda row: row["trial"])


def _options(trial: Any) -> dict[str, Any]:
    """Return what a trial was trained with; the default's own choices for the default."""
    found: dict[str, Any] = trial.user_attrs.get("options") or trial.user_attrs.get("shown", {})
    return found


def importances(home: StudyHome) -> dict[str, float]:
    """Return what part of the scores' variance each dial explains, largest first.

    {} for few trials.

    Source: Hutter, Hoos & Leyton-Brown 2014, An Efficient Approach for Assessing Hyperparameter
    Importance (fANOVA), as Optuna computes it.
    """
    complete = [t for t in home.trials() if t.state.name == "COMPLETE"]
    if len(complete) < _FEWEST or len({t.value for t in complete}) == 1:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(home.study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(value) for name, value in found.items()}


def write_results(home: StudyHome, matter: dict[str, float]) -> list[str]:
    """Write `trials.parquet` and the plots as SVG and PNG; return the names of the files."""
    import polars

    frame = polars.DataFrame(trial_rows(home), infer_schema_length=None)
    file = io.BytesIO()
    frame.write_parquet(file)
    replace_file(home.root / "trials.parquet", file.getvalue())
    names = ["trials.parquet"]
    plots: dict[str, Callable[[], Figure | None]] = {
        "history": lambda: _history(home),
        "importances": lambda: _importances(matter),
        "slices": lambda: _slices(home, matter),
    }
    for name, draw in plots.items():
        figure = draw()
        if figure is None:
            continue
        for kind in ("svg", "png"):
            picture = io.BytesIO()
            figure.savefig(picture, format=kind, dpi=160)
            replace_file(home.root / f"{name}.{kind}", picture.getvalue())
            names.append(f"{name}.{kind}")
    return names


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def _complete(home: StudyHome) -> list[Any]:
    found = [t for t in home.trials() if t.state.name == "COMPLETE"]
    if not found:
        raise RunError("drawing the study", "no trial is complete", "give it more time")
    return sorted(found, key=lambda t: t.number)


def _history(home: StudyHome) -> Figure:
    """Draw each complete trial's score, and the lowest so far."""
    trials, figure = _complete(home), _figure(5.6, 3.2)
    axes = figure.add_subplot(xlabel="trial", ylabel="score (lower is better)")
    numbers, scores = [t.number for t in trials], [t.value for t in trials]
    lowest = [min(scores[: i + 1]) for i in range(len(scores))]
    axes.plot(numbers, scores, "o", color="#0072b2", markersize=4, label="a trial")
    axes.step(numbers, lowest, where="post", color="#d55e00", label="lowest so far")
    axes.legend(frameon=False)
    return figure


def _importances(matter: dict[str, float]) -> Figure | None:
    if not matter:
        return None
    figure = _figure(5.6, 0.5 + 0.28 * len(matter))
    axes = figure.add_subplot(xlabel="share of the scores' variance")
    names = list(reversed(matter))
    axes.barh(names, [matter[name] for name in names], color="#0072b2")
    return figure


def _slices(home: StudyHome, matter: dict[str, float]) -> Figure | None:
    """Draw the scores over each of the dials that matter most."""
    trials, best = _complete(home), best_trial(home)
    dials = {dial.name: dial for dial in home.settings.space.dials}
    names = (list(matter) or list(dials))[:_SLICES]
    if not names:
        return None
    figure = _figure(7.2, 4.6)
    for i, name in enumerate(names, start=1):
        axes = figure.add_subplot(2, 3, i, xlabel=name)
        values = [t.params[name] for t in trials]
        is_choice = bool(dials[name].choices)
        shown = [str(v) for v in values] if is_choice else values
        axes.plot(shown, [t.value for t in trials], "o", color="#0072b2", markersize=3)
        own = best.params[name]
        axes.plot([str(own) if is_choice else own], [best.value], "o", color="#d55e00")
        if dials[name].is_log:
            axes.set_xscale("log")
    return figure
