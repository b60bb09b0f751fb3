"""One Python file that needs NumPy and nothing of ours: rows in, predictions out, to be read.

`predict(rows)` takes dicts; `python model.py rows.csv` prints CSV. The numbers stand in it as
base64, or, where they are many, in a file beside it.
"""

from __future__ import annotations

import ast
import base64
import inspect
import io
import pprint
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrograd.data import Preprocessor
from retrograd.data import encodings as kinds
from retrograd.export import Request, Written, costs_of, spelling_notes
from retrograd.export import numpy_file_runtime as runtime
from retrograd.export.numpy_file_ops import layer_functions
from retrograd.export.numpy_file_running import run as run
from retrograd.export.numpy_file_running import stages as stages
from retrograd.export.onnx_columns import unknown_encoding
from retrograd.export.program import Program, program_of
from retrograd.tensor.types import Array

LARGEST_INSIDE: Final = 4_000_000
"""Bytes of numbers that stand inside the file; more go into a .npz beside it."""

_FUNCTION_OF: Final = (
    (kinds.NumberEncoding, "number_features", ("number_features",)),
    (kinds.BooleanEncoding, "boolean_features", ("spelled", "boolean_features")),
    (kinds.CategoryEncoding, "category_features", ("spelled", "category_features")),
    (kinds.DateEncoding, "date_features", ("moment_of", "date_features", "date_part")),
)
_CURVES: Final = ("erf", "erfc", "sigmoid", "padded")


def write(request: Request) -> Written:
    """Return the file of a model, and the one of its numbers if they are many."""
    model, name = request.model, request.name
    program = program_of(model.net, len(model.preprocessor.feature_names))
    size = sum(array.nbytes for array in program.weights.values())
    files: dict[str, bytes] = {}
    if size <= LARGEST_INSIDE:
        weights = _inside(program.weights)
    else:
        beside = f"{Path(name).stem}.npz"
        weights = [f"W = dict(np.load(Path(__file__).with_name({beside!r})))"]
        packed = io.BytesIO()
        arrays: dict[str, Any] = dict(program.weights)
        np.savez(packed, **arrays)
        files[beside] = packed.getvalue()
    text = "\n".join(_parts(request, program, weights))
    return Written({name: text.encode(), **files}, spelling_notes(model))


def _parts(request: Request, program: Program, weights: list[str]) -> list[str]:
    """Return the parts of the file, first to last."""
    preprocessor, costs = request.model.preprocessor, costs_of(request.model)
    layers = layer_functions(program)
    used, table = functions_for(preprocessor, layers)
    functions = [inspect.getsource(getattr(runtime, name)) for name in used]
    return [
        *_head(request, weights),
        *_constants(functions),
        "",
        f"TARGET = {preprocessor.target!r}",
        f"CLASSES = {list(preprocessor.classes)!r}",
        *([] if costs is None else [f"COSTS = {costs.tolist()!r}  # of missing each class"]),
        f"COLUMNS = {pprint.pformat(_columns(preprocessor), width=96, sort_dicts=False)}",
        "",
        *(f"\n{function}" for function in functions),
        "",
        *weights,
        "",
        *_layers(layers),
        *_tail(preprocessor, table, is_costly=costs is not None),
    ]


def functions_for(
    preprocessor: Preprocessor, layers: Mapping[str, list[str]]
) -> tuple[list[str], dict[str, str]]:
    """Return the functions that the file needs, and which makes features of which kind."""
    wanted, table = {"text_of", "number_of", "decoded", "read_rows"}, {}
    for encoding in preprocessor.encodings:
        for kind, function, needed in _FUNCTION_OF:
            if isinstance(encoding, kind):
                wanted.update(needed)
                table[kinds.to_json(encoding)["kind"]] = function
                break
        else:
            raise unknown_encoding(encoding, "Python")
    code = "\n".join(line for lines in layers.values() for line in lines)
    wanted.update(name for name in _CURVES if f"{name}(" in code)
    order = [name for name, each in vars(runtime).items() if inspect.isfunction(each)]
    return [name for name in order if name in wanted], table


def _head(request: Request, weights: list[str]) -> list[str]:
    model, name = request.model, request.name
    columns = [encoding.column for encoding in model.preprocessor.encodings]
    module = Path(name).stem
    importing = f"from {module} import predict"
    if not module.isidentifier():
        importing = f"predict = __import__({module!r}).predict"
    about = f"Predicts {model.schema.target!r} from {len(columns)} columns of a table."
    return [
        f'r"""{_plain(about)}',
        "",
        "Needs Python 3.10 and NumPy. Read it from the end: `predict` makes features of rows,",
        "gives them to one layer after the other, and says what comes out.",
        "",
        f"    python {_plain(name)} rows.csv      prints predictions as CSV",
        f"    {_plain(importing)}      takes rows as dicts, None where missing",
        "",
        f"Written by retrograd {model.version}.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import base64",
        "import csv",
        "import datetime",
        "import math",
        "import re",
        "import sys",
        "from collections.abc import Sequence",
        *(["from pathlib import Path"] if any("Path(" in line for line in weights) else []),
        "from typing import Any",
        "",
        "import numpy as np",
        "",
    ]


def _plain(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode().replace('"""', "'''")


def _constants(functions: list[str]) -> list[str]:
    """Return the runtime's constants that its functions read, as they stand there."""
    source = Path(runtime.__file__).read_text(encoding="utf-8")
    code = "\n".join(functions)
    found = []
    for node in ast.parse(source).body:
        name = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(name, ast.Name) and re.search(rf"\b{name.id}\b", code):
            lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
            found.append("\n".join(lines))
    return found


def _columns(preprocessor: Preprocessor) -> list[dict[str, Any]]:
    return [kinds.to_json(encoding) for encoding in preprocessor.encodings]


def _inside(weights: Mapping[str, Array]) -> list[str]:
    """Return the numbers as base64 of float32 or int64, in lines."""
    lines = ["W = {"]
    for name, array in weights.items():
        kind = "<f4" if array.dtype.kind == "f" else "<i8"
        text = base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()
        lines += [f'    "{name}": decoded(', f"        {array.shape},"]
        lines += [f'        "{part}"' for part in textwrap.wrap(text, 88)]
        lines[-1] += "," if kind == "<f4" else f', "{kind}",'
        lines += ["    ),"]
    return [*lines, "}"]


def _layers(layers: Mapping[str, list[str]]) -> list[str]:
    lines, names = [], []
    for stage, body in layers.items():
        name = stage.replace(".", "_")
        names.append(f'    "{stage}": {name},')
        lines += ["", f"def {name}(x):", *(f"    {line}" for line in body), ""]
    return [*lines, "", "LAYERS = {", *names, "}", ""]


_TAIL: Final = '''
FEATURES_OF = {table}


def features(rows):
    """Return what the first layer sees: float32 (rows, features)."""
    found = []
    for column in COLUMNS:
        lacking = next((i for i, row in enumerate(rows) if column["column"] not in row), None)
        if lacking is not None:
            raise ValueError(f"row {{lacking}} has no column {{column['column']!r}}")
        cells = [row[column["column"]] for row in rows]
        found.append(FEATURES_OF[column["kind"]](column, cells).astype(np.float32))
    return np.concatenate(found, axis=1)


def network(x):
    """Return what the last layer gives.  (rows, features) -> (rows, outputs)"""
    for layer in LAYERS.values():
        x = layer(x)
    return x

'''
_CLASSES: Final = '''
def predict_proba(rows):
    """Return a probability for each class, in the order of CLASSES.  (rows, classes)"""
    scores = network(features(rows)).astype(np.float64)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def predict(rows):
    """Return the class of every row, a dict of cells by column."""
    return [CLASSES[i] for i in (network(features(rows))).argmax(axis=1)]


def main(path):
    """Print predictions of a CSV file's rows as CSV."""
    rows = read_rows(path)
    out = csv.writer(sys.stdout, lineterminator="\\n")
    out.writerow([TARGET, *(f"probability of {name}" for name in CLASSES)])
    for label, row in zip(predict(rows), predict_proba(rows).tolist(), strict=True):
        out.writerow([label, *row])
'''
_BY_COST: Final = (
    "(network(features(rows))).argmax(axis=1)",
    "(predict_proba(rows) * COSTS).argmax(axis=1)",
)
_AMOUNTS: Final = '''
def predict(rows):
    """Return the amount for every row, a dict of cells by column, in its own unit."""
    outputs = network(features(rows))[:, 0].astype(np.float64)
    return (outputs * {scale!r} + {shift!r}).tolist()


def main(path):
    """Print predictions of a CSV file's rows as CSV."""
    out = csv.writer(sys.stdout, lineterminator="\\n")
    out.writerow([TARGET])
    out.writerows([amount] for amount in predict(read_rows(path)))
'''
_END: Final = """

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} rows.csv")
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        main(sys.argv[1])
    except (OSError, ValueError) as error:
        sys.exit(str(error))
"""


def _tail(preprocessor: Preprocessor, table: Mapping[str, str], *, is_costly: bool) -> list[str]:
    entries = ", ".join(f'"{kind}": {function}' for kind, function in table.items())
    ending = (
        _CLASSES.replace(*_BY_COST)
        if is_costly
        else _CLASSES
        if preprocessor.classes
        else _AMOUNTS.format(scale=preprocessor.scale, shift=preprocessor.shift)
    )
    return [_TAIL.format(table=f"{{{entries}}}") + ending + _END]
