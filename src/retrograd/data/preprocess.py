"""Preprocessing: from a table to what a network sees, learnt from training rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.data import applying, encodings
from retrograd.data.columns import Floats, Rows, as_levels, take
from retrograd.data.conversions import as_numbers
from retrograd.data.encodings import Encoding
from retrograd.data.fitting import fit_encoding, shift_and_scale
from retrograd.data.plain import read_field, read_number, read_records, read_texts, refuse
from retrograd.data.schema import Schema, Task
from retrograd.data.suggesting import suggestion
from retrograd.data.table import Table
from retrograd.data.targets import label_codes, target_values
from retrograd.tensor.errors import DataError, FileFormatError

FORMAT = 1
_MOST_NOTES = 20


@dataclass(frozen=True)
class Preprocessor:
    """How tables become features and labels; made by `fit_preprocessor`, part of a model's file.

    encodings: one per used column, in the order of the features.
    target, classes: the predicted column, and its labels in code order (none for amounts).
    shift, scale: of amounts: (amount - shift) / scale is what the network predicts.
    unused: columns that are known and not used.
    """

    encodings: tuple[Encoding, ...]
    target: str
    classes: tuple[str, ...]
    shift: float
    scale: float
    unused: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the name of every feature, in order."""
        return tuple(name for e in self.encodings for name in encodings.feature_names(e))

    @property
    def feature_sources(self) -> tuple[str, ...]:
        """Return the column that every feature was made of."""
        return tuple(e.column for e in self.encodings for _ in encodings.feature_names(e))

    def transform(self, table: Table) -> npt.NDArray[np.float32]:
        """Return the features (rows, features) float32, all finite.

        Columns are found by name, in any order; what `notes` says of them is not repeated here.

        Raises DataError for a column that is missing (the nearest name is suggested) or whose
        cells are not what they were in training.
        """
        self._check_columns(table)
        features = np.empty((table.n_rows, len(self.feature_names)), dtype=np.float32)
        start = 0
        for encoding in self.encodings:
            stop = start + applying.width(encoding)
            applying.apply(encoding, table, features[:, start:stop])
            start = stop
        return features

    def transform_target(self, table: Table) -> npt.NDArray[Any]:
        """Return the labels (rows,): int64 class codes, or float32 amounts, standardised.

        Raises DataError for a row without a label, or with one that training did not know.
        """
        asked = f"reading the labels {self.target!r} of {table.name!r}"
        if self.target not in table.columns:
            names = list(table.columns)
            raise DataError(asked, "there is no such column", suggestion(self.target, names))
        column = table.columns[self.target]
        if self.classes:
            labels = label_codes(table, column, self.classes, asked)
            self._check_labelled(labels < 0, table, asked)
            return labels
        values, _ = as_numbers(column)
        self._check_labelled(~np.isfinite(values), table, asked)
        return applying.standardise(values, self.shift, self.scale).astype(np.float32)

    def inverse_target(self, predicted: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what predictions mean: labels as texts, or amounts (float64) in their own unit.

        Raises DataError for class codes outside 0 to K - 1.
        """
        if not self.classes:
            return np.asarray(predicted, dtype=np.float64) * self.scale + self.shift
        codes = np.asarray(predicted)
        if codes.dtype.kind not in "iu" or ((codes < 0) | (codes >= len(self.classes))).any():
            raise DataError(
                "naming predicted classes",
                f"the codes are not whole numbers from 0 to {len(self.classes) - 1}",
                "give the argmax of the logits",
            )
        return np.asarray(as_levels(self.classes)[codes])

    def notes(self, table: Table) -> tuple[str, ...]:
        """Return sentences about cells and columns of a table that training did not know."""
        self._check_columns(table)
        known = {e.column for e in self.encodings} | {self.target, *self.unused}
        extra = [name for name in table.columns if name not in known]
        found = [
            note for e in self.encodings for note in applying.notes_on(e, table.columns[e.column])
        ]
        if len(found) > _MOST_NOTES:
            more = f"{len(found) - _MOST_NOTES:,} notes more are like these, on other columns"
            found = [*found[:_MOST_NOTES], more]
        if extra:
            shown = ", ".join(repr(name) for name in extra[:5]) + (", ..." if extra[5:] else "")
            found.append(f"{len(extra)} columns are not used by the network: {shown}")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the preprocessor as plain dicts, lists, texts and numbers."""
        return {
            "format": FORMAT,
            "encodings": [encodings.to_json(encoding) for encoding in self.encodings],
            "target": self.target,
            "classes": list(self.classes),
            "shift": self.shift,
            "scale": self.scale,
            "unused": list(self.unused),
        }

    @staticmethod
    def from_json(value: object) -> Preprocessor:
        """Return what `to_json` wrote.  Raises FileFormatError naming what is wrong."""
        asked = "reading preprocessing"
        version = read_field(value, "format", int, asked)
        if version != FORMAT:
            found = f"its format is {version}, and this version of retrograd reads {FORMAT}"
            raise FileFormatError(asked, found, "use the version of retrograd that wrote it")
        records = read_records(value, "encodings", asked)
        read = tuple(encodings.from_json(record, asked) for record in records)
        columns = [encoding.column for encoding in read]
        if not read or len(set(columns)) != len(columns):
            refuse(asked, "its columns are none, or one stands there twice")
        return Preprocessor(
            encodings=read,
            target=read_field(value, "target", str, asked),
            classes=read_texts(value, "classes", asked),
            shift=read_number(value, "shift", asked),
            scale=encodings.read_scale(value, asked),
            unused=read_texts(value, "unused", asked),
        )

    def _check_columns(self, table: Table) -> None:
        """Refuse a table that lacks a column."""
        lacking = [e.column for e in self.encodings if e.column not in table.columns]
        if lacking:
            more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
            raise DataError(
                f"preparing {table.name!r}",
                f"column {lacking[0]!r}{more} is missing, and the network was trained with it",
                suggestion(lacking[0], table.columns),
            )

    def _check_labelled(self, bad: npt.NDArray[np.bool_], table: Table, asked: str) -> None:
        """Refuse rows without a usable label."""
        rows = np.flatnonzero(bad)
        if len(rows):
            raise DataError(
                asked,
                f"{len(rows):,} rows have no usable label, the first at "
                f"{table.place(int(rows[0]))}",
                "take labelled rows only, or correct the cells",
            )


def fit_preprocessor(table: Table, schema: Schema, rows: Rows) -> Preprocessor:
    """Learn from these rows, the training part, how tables become features.

    Numbers: shifted and scaled to mean 0 and deviation 1; those outside the training range are
    taken for its ends, missing ones filled with the median and marked.  Categories: one feature
    each.  Booleans: 0 and 1.  Dates: days, year, and month, weekday and hour on a circle.  Infinite
    cells are missing.  No other row has any influence.

    Raises DataError if there are no rows, or the table is not the schema's.

    >>> from retrograd.data.inferring import infer_schema
    >>> from retrograd.data.reading import read_table
    >>> table = read_table({"size": [1.0, 3.0, 9.0, 5.0], "sold": ["no", "yes", "no", "yes"]})
    >>> preprocessor = fit_preprocessor(table, infer_schema(table), np.array([0, 1]))
    >>> preprocessor.transform(table).ravel().tolist()
    [-1.0, 1.0, 1.0, 1.0]
    """
    asked = f"preparing {table.name!r}"
    if not len(rows):
        raise DataError(asked, "there are no training rows", "give at least one")
    fitted = []
    for feature in schema.features:
        if feature.name not in table.columns:
            found = f"column {feature.name!r} is missing"
            raise DataError(asked, found, suggestion(feature.name, table.columns))
        column = take(table.columns[feature.name], rows)
        fitted.append(fit_encoding(feature.name, feature.kind, column))
    shift, scale = 0.0, 1.0
    if schema.task is Task.regression:
        amounts: Floats = np.asarray(target_values(table, schema)[rows], dtype=np.float64)
        shift, scale = shift_and_scale(amounts[~np.isnan(amounts)])
    unused = tuple(column.name for column in schema.dropped)
    return Preprocessor(tuple(fitted), schema.target, schema.classes, shift, scale, unused)
