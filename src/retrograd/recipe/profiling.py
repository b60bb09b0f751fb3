"""Profiling: the step of a run on its own data, and standard steps to know a machine by."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retrograd import nn, ops, optim
from retrograd.compile import native, pool
from retrograd.compile.compiled import is_native
from retrograd.compile.limits import Limits, measure
from retrograd.compile.profile import Profile, profile_step
from retrograd.data import Batch, batches
from retrograd.recipe.run import reopen
from retrograd.recipe.training import Job
from retrograd.tensor.errors import InputError
from retrograd.train.batch import as_tensors
from retrograd.train.step import initial_state, make_step

MOST_BATCHES = 16
"""Batches that are gone round: what one step leaves in the caches must not help the next."""


class Standard(NamedTuple):
    """A network of dense layers with ReLU, trained by Adam on random numbers."""

    sizes: tuple[int, ...]
    batch: int


STANDARD = (
    Standard((30, 64, 64, 2), 32),
    Standard((54, 256, 256, 7), 256),
    Standard((784, 512, 256, 10), 128),
)
"""From one that lies in the nearest cache to one that arithmetic decides."""


def profile_run(directory: str | Path, *, steps: int = 20, threads: int | None = None) -> Profile:
    """Profile the training step of a run, made anew from its directory, on its training rows.

    Nothing in the directory is changed. Raises what `retrograd.recipe.run.reopen` raises, and
    InputError for no steps, for threads that the process cannot have, and where programs run in
    NumPy.
    """
    require_measurable(steps, threads)
    job = reopen(directory).job
    return profile_step(job.step, job.state, _batches(job), runs=steps, threads=threads)


def profile_standard(standard: Standard, *, steps: int = 20, threads: int | None = None) -> Profile:
    """Profile the step of a standard network; raises InputError as `profile_run` does."""
    require_measurable(steps, threads)
    generator = np.random.default_rng(0)
    layers: list[Any] = []
    for i, (m, n) in enumerate(itertools.pairwise(standard.sizes)):
        layers += [nn.Linear.init(ops.key(i), m, n), nn.relu]
    net, optimizer = nn.Sequential(tuple(layers[:-1])), optim.adam(1e-3)
    shape, classes = (standard.batch, standard.sizes[0]), standard.sizes[-1]
    given = [
        as_tensors(
            Batch(
                generator.standard_normal(shape, np.float32),
                generator.integers(0, classes, standard.batch),
            )
        )
        for _ in range(MOST_BATCHES)
    ]
    step = make_step(net, nn.cross_entropy, optimizer)
    state = initial_state(net, optimizer, ops.key(0))
    return profile_step(step, state, given, runs=steps, threads=threads)


def machine_limits(threads: int | None = None) -> Limits:
    """Return what the machine can do on so many threads, or on all that the process may use."""
    require_measurable(1, threads)
    return measure(threads or pool.usable_cores())


def _batches(job: Job) -> list[Batch]:
    """Return the first batches of the first epoch, as tensors; all have one shape."""
    part, size = job.train, job.config.optimization.batch_size
    assert size is not None
    given = batches(
        part.inputs, part.targets, weights=part.weights, batch_size=size, seed=job.config.seed,
        epoch=1,
    )  # fmt: skip
    found = list(itertools.islice(given, MOST_BATCHES))
    alike = [batch for batch in found if batch.inputs.shape == found[0].inputs.shape]
    return [as_tensors(batch) for batch in alike]


def require_measurable(steps: int, threads: int | None) -> None:
    """Raise InputError for what `profile_run` refuses, the run apart."""
    if steps < 1:
        raise InputError(
            f"profiling {steps} steps", "there is nothing to measure", "give 1 or more"
        )
    if not is_native():
        reason = native.can_compile() or "RETROGRAD_BACKEND says so"
        raise InputError(
            "profiling a step",
            f"programs run in NumPy here: {reason}",
            "profile where native code may run",
        )
    cores = pool.usable_cores()
    if threads is not None and not 1 <= threads <= cores:
        raise InputError(
            f"profiling on {threads} threads",
            f"this process may use {cores}",
            f"give a number from 1 to {cores}" if cores > 1 else "give 1",
        )
