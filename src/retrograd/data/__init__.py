"""Tables: read, understood, split, turned into numbers, and cut into batches.

Everything here is NumPy; the training floor makes tensors of it.
"""

from retrograd.data.batches import Batch, batch_rows, batches
from retrograd.data.columns import Column, DateColumn, NumberColumn, TextColumn
from retrograd.data.inferring import infer_schema
from retrograd.data.kinds import spellings_of
from retrograd.data.places import settled as settled_source
from retrograd.data.places import title_of as source_title
from retrograd.data.preprocess import Preprocessor, fit_preprocessor
from retrograd.data.reading import read_table
from retrograd.data.report import ColumnReport, describe
from retrograd.data.rows import duplicates_across, row_hashes, rows_digest
from retrograd.data.schema import ColumnKind, ColumnSchema, Schema, Task
from retrograd.data.split import Split, Ways, split_rows, split_table
from retrograd.data.table import Table
from retrograd.data.targets import target_values

__all__ = [
    "Batch",
    "Column",
    "ColumnKind",
    "ColumnReport",
    "ColumnSchema",
    "DateColumn",
    "NumberColumn",
    "Preprocessor",
    "Schema",
    "Split",
    "Table",
    "Task",
    "TextColumn",
    "Ways",
    "batch_rows",
    "batches",
    "describe",
    "duplicates_across",
    "fit_preprocessor",
    "infer_schema",
    "read_table",
    "row_hashes",
    "rows_digest",
    "settled_source",
    "source_title",
    "spellings_of",
    "split_rows",
    "split_table",
    "target_values",
]
