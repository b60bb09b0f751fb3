"""One training of a study: from options to a score, with looks on the way that may end it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from retrograd.compile.fitting import LimitError
from retrograd.recipe.config import configure
from retrograd.recipe.training import Job, make_job, planned_steps, run_job, trained_network
from retrograd.tensor.errors import InputError, NonFiniteError
from retrograd.train.events import EpochDone, Stopped
from retrograd.tune.material import Floats, Material

LENGTH = 27
"""A whole training in units of successive halving: looks after 3 and 9 of them."""
_LOOKS = (3, 9)

Ending = Literal["complete", "pruned", "diverged", "refused", "stopped"]
Look = Callable[[int, float], bool]


class Trained(NamedTuple):
    """How a training ended; score and losses (of the judging rows) where it has a network."""

    ending: Ending
    score: float | None
    judged: Floats | None
    epochs: int
    seconds: float
    why: str = ""


def train_once(
    material: Material,
    options: Mapping[str, Any],
    seed: int,
    *,
    look: Look | None = None,
    should_stop: Callable[[], str | None] | None = None,
) -> Trained:
    """Train with these options from this seed, on the study's split.

    ``look(unit, value)`` is told the validation loss after some units of the training, and says
    whether to end it. A training that breaks down is an answer, not an error.
    """
    began, epochs = time.monotonic(), 0
    try:
        config = configure(material.prepared.config, **options, seed=seed)
        job = make_job(config, material.outputs, material.train, material.choosing)
        stopped, ending = _follow(job, look, should_stop)
        epochs = stopped.epoch
        if ending == "pruned":
            return Trained("pruned", None, None, epochs, time.monotonic() - began)
        net = trained_network(job, stopped.state)
        score = material.score(material.losses(net, material.choosing))
        judged = material.losses(net, material.judging)
    except NonFiniteError as error:
        return Trained("diverged", None, None, epochs, time.monotonic() - began, str(error))
    except (InputError, LimitError) as error:
        return Trained("refused", None, None, epochs, time.monotonic() - began, str(error))
    return Trained(ending, score, judged, epochs, time.monotonic() - began)


def _follow(
    job: Job, look: Look | None, should_stop: Callable[[], str | None] | None
) -> tuple[Stopped, Ending]:
    """Run a job to its end, or to where a look or a signal ends it."""
    steps, left = planned_steps(job.config, job.size.rows), list(_LOOKS)
    ending: Ending = "complete"

    def stop() -> str | None:
        return "pruned" if ending == "pruned" else should_stop() if should_stop else None

    stopped: Stopped | None = None
    for event in run_job(job, should_stop=stop):
        if isinstance(event, Stopped):
            stopped = event
        if not isinstance(event, EpochDone) or look is None:
            continue
        reached = LENGTH * event.step / steps
        while left and reached >= left[0]:
            if look(left.pop(0), float(event.metrics["validation_loss"])):
                ending = "pruned"
    assert stopped is not None
    if ending == "complete" and stopped.is_resumable and should_stop and should_stop():
        ending = "stopped"
    return stopped, ending
