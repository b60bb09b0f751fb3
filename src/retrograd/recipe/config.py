"""Config: everything needed to repeat a run, as frozen records that a file and the flags share.

An option that is None is chosen when the run starts, from the rows and columns; the `config.toml`
of the run directory then holds what was chosen.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from retrograd.tensor.errors import InputError
from retrograd.train.stopping import until

Task = Literal["binary", "multiclass", "regression"]
OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "amsgrad",
    "nadam", "radam", "lion", "muon",
]  # fmt: skip
ScheduleName = Literal[
    "constant", "step", "exponential", "cosine", "warm_restarts", "one_cycle", "polynomial",
    "reduce_on_plateau",
]  # fmt: skip
ActivationName = Literal[
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu",
    "softplus", "softsign", "mish", "hard_sigmoid", "hard_tanh",
]  # fmt: skip
NormalizationName = Literal["none", "batch", "layer"]
LossName = Literal["mean_squared_error", "mean_absolute_error", "huber", "log_cosh"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is read, what is predicted, and how rows are parted; fractions are of all rows.

    Rows are parted at random, or by one of: `group` (rows that share this column's value stay
    together), `time_column` (the latest test), `part_column` (says train, validation or test),
    `folds` (of which `fold` tests; without it, `train` goes through all of them). `costs` are those
    of taking a row of a class for another, by class.
    """

    source: str | None = None
    target: str | None = None
    task: Task | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    validation: float = 0.15
    test: float = 0.15
    stratify: bool = True
    group: str | None = None
    time_column: str | None = None
    part_column: str | None = None
    folds: int | None = None
    fold: int | None = None
    costs: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the fractions, folds and costs."""
        _require_range("folds", self.folds, 2, 1001)
        _require_range("fold", self.fold, 1, (self.folds or 1) + 1)
        for label, cost in self.costs.items():
            _require_range(f"the cost of {label!r}", cost, 1e-9, 1e9)
        for name in ("validation", "test"):
            _require_range(name, getattr(self, name), 0.0, 1.0)
        if self.validation + self.test >= 1.0:
            raise InputError(
                f"validation={self.validation} and test={self.test}",
                "together they leave no rows to train on",
                "make them add to less than 1, such as 0.15 each",
            )


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The network between the prepared columns and the logits: hidden sizes, first to last.

    `members` networks share the large weights and answer together; `pieces` is the most stretches
    that a number is cut into. 1 and 0: one plain network. `init` is a model to start from, a
    run or a file, whose layers are then these; its digest is noted when the run begins.
    """

    hidden: tuple[int, ...] | None = None
    members: int | None = None
    pieces: int | None = None
    activation: ActivationName | None = None
    dropout: float | None = None
    normalization: NormalizationName | None = None
    init: str | None = None
    init_digest: str | None = None

    def __post_init__(self) -> None:
        """Check sizes and rate."""
        for size in self.hidden or ():
            _require_range("hidden", size, 1, 1_000_000)
        _require_range("members", self.members, 1, 1000)
        _require_range("pieces", self.pieces, 0, 1000)
        _require_range("dropout", self.dropout, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """The loss and how it is lowered; `clip` is a global norm, `ema` a decay, `accumulate` steps.

    `warm_up` and the length of a schedule are parts of the planned steps.
    """

    optimizer: OptimizerName | None = None
    learning_rate: float | None = None
    schedule: ScheduleName | None = None
    warm_up: float | None = None
    weight_decay: float | None = None
    l1: float = 0.0
    clip: float | None = None
    batch_size: int | None = None
    ema: float | None = None
    accumulate: int = 1
    loss: LossName | None = None
    label_smoothing: float | None = None
    class_weights: Literal["none", "balanced"] = "none"

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.learning_rate is not None and self.learning_rate == 0:
            raise InputError(
                "learning_rate=0", "no weight would ever move", "give a number such as 0.001"
            )
        _require_range("learning_rate", self.learning_rate, 0.0, math.inf)
        for name in ("weight_decay", "l1", "clip"):
            _require_range(name, getattr(self, name), 0.0, math.inf)
        for name in ("warm_up", "ema", "label_smoothing"):
            _require_range(name, getattr(self, name), 0.0, 1.0)
        for name in ("batch_size", "accumulate"):
            _require_range(name, getattr(self, name), 1, math.inf)


@dataclass(frozen=True, kw_only=True)
class StoppingConfig:
    """When training ends: whichever comes first. `time` is "90s", "5m" or "1h"; `until` "loss<0.1".

    `patience` is epochs without improvement of the validation loss, after which the best weights
    return. `tolerance` is the relative change of the training loss below which it has converged.
    `memory` ("2GB") is what the run may hold: one whose plan takes more is refused.
    """

    epochs: int | None = None
    steps: int | None = None
    time: str | None = None
    until: str | None = None
    patience: int | None = None
    tolerance: float | None = None
    memory: str | None = None

    def __post_init__(self) -> None:
        """Check ranges, and that the time and the condition can be read."""
        for name in ("epochs", "steps", "patience"):
            _require_range(name, getattr(self, name), 1, math.inf)
        _require_range("tolerance", self.tolerance, 0.0, math.inf)
        if self.time is not None:
            seconds(self.time)
        if self.until is not None:
            until(self.until)
        if self.memory is not None:
            bytes_of(self.memory)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run, repeatable: the same config on the same data gives the same bits.

    `directory` holds the runs, and `name` this one (None: the source's name and a number).
    """

    seed: int = 0
    directory: str = "runs"
    name: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    stopping: StoppingConfig = field(default_factory=StoppingConfig)

    def __post_init__(self) -> None:
        """Check the seed."""
        _require_range("seed", self.seed, 0, 2**63)


SECTIONS = {
    "data": DataConfig,
    "network": NetworkConfig,
    "optimization": OptimizationConfig,
    "stopping": StoppingConfig,
}


def configure(base: Config | None = None, **options: Any) -> Config:
    """Return a config with these options, each by its own name wherever it lives.

    Raises InputError for a name that no part has, with the nearest one, and for a value out of
    range or of the wrong type.

    >>> configure(learning_rate=0.01, hidden=[32, 16], time="5m").network.hidden
    (32, 16)
    """
    config = Config() if base is None else base
    homes = option_homes()
    chosen: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        if name not in homes:
            near = difflib.get_close_matches(name, homes, n=1)
            raise InputError(
                f"the option {name!r}",
                "there is no such option",
                f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(homes))}",
            )
        chosen.setdefault(homes[name], {})[name] = _without_numpy(value)
    return _merged(config, chosen)


def _without_numpy(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's: grids of values are often made of them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [_without_numpy(part) for part in value] if isinstance(value, tuple | list) else value


def option_homes() -> dict[str, str]:
    """Return where each option lives: {"learning_rate": "optimization", "seed": "", ...}."""
    homes = {f.name: "" for f in dataclasses.fields(Config) if f.name not in SECTIONS}
    for section, kind in SECTIONS.items():
        homes |= {f.name: section for f in dataclasses.fields(kind)}
    return homes


def _merged(config: Config, chosen: Mapping[str, Mapping[str, Any]]) -> Config:
    from retrograd.recipe.toml import from_plain, to_plain

    plain = to_plain(config)
    for section, values in chosen.items():
        plain = plain | ({section: plain[section] | values} if section else dict(values))
    return from_plain(plain, "the options")


def seconds(text: str) -> float:
    """Return a length of time in seconds; raises InputError if it cannot be read.

    >>> seconds("90s"), seconds("5m"), seconds("1.5h")
    (90.0, 300.0, 5400.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if found is None or float(found[1]) == 0:
        raise InputError(
            f"time={text!r}", "it is not a length of time", 'write "90s", "5m" or "1h"'
        )
    return float(found[1]) * _UNITS[found[2] or "s"]


def bytes_of(text: str) -> int:
    """Return an amount of memory in bytes; raises InputError if it cannot be read.

    >>> bytes_of("2GB"), bytes_of("1.5 MB"), bytes_of("100kB")
    (2000000000, 1500000, 100000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMG])B\s*", text)
    if found is None or float(found[1]) == 0:
        raise InputError(
            f"memory={text!r}", "it is not an amount of memory", 'write "500MB" or "2GB"'
        )
    return int(float(found[1]) * {"k": 10**3, "M": 10**6, "G": 10**9}[found[2]])


def _require_range(name: str, value: float | None, low: float, high: float) -> None:
    """Raise InputError unless low <= value < high; None is a value yet to be chosen."""
    if value is not None and not low <= value < high:
        limit = f"at least {low:g}" + ("" if math.isinf(high) else f" and less than {high:g}")
        raise InputError(f"{name}={value}", "it is out of range", f"give a number {limit}")
