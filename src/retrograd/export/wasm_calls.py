"""WebAssembly modules called for rows of a table: in Node with their loader, or in wasmtime."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from retrograd.data import Preprocessor, Table
from retrograd.data.columns import Column, DateColumn
from retrograd.data.conversions import as_dates, as_numbers, as_text
from retrograd.data.encodings import DateEncoding, Encoding, NumberEncoding
from retrograd.tensor.errors import RunError
from retrograd.tensor.types import Array

_LONGEST = 120.0
_ABOUT = "export const about = "
_PAGE = 2**16


def runner() -> str:
    """Return what runs modules here: Node, else wasmtime, else nothing."""
    if shutil.which("node") is not None:
        return "Node"
    return "wasmtime" if importlib.util.find_spec("wasmtime") is not None else ""


def about(path: Path) -> dict[str, Any]:
    """Return what the loader beside a module says of it."""
    lines = path.with_suffix(".mjs").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith(_ABOUT))
    found: dict[str, Any] = json.loads(line.removeprefix(_ABOUT).removesuffix(";"))
    return found


def call(path: Path, rows: Table, function: str, width: int) -> tuple[Array, Array, float | None]:
    """Return features, what ``run`` or ``layers`` makes of them, and the seconds of one row.

    wasmtime knows no JavaScript: there the features are ours, and nothing is timed. Raises
    RunError if the module fails, or if nothing runs it.
    """
    told = about(path)
    preprocessor = Preprocessor.from_json(told["preprocessing"])
    known = runner()
    if known == "Node":
        found = in_node(path, cells_of(preprocessor, rows), f"x => model.{function}(x)")
        x, y = (np.array(found[name], np.float32) for name in ("features", "outputs"))
        return x.reshape(-1, told["features"]), y.reshape(-1, width), float(found["seconds"])
    if known == "wasmtime":
        given = preprocessor.transform(rows)
        return given, _in_wasmtime(path, given, function, width, told), None
    raise RunError(
        f"running {path.name!r}",
        "neither Node nor wasmtime is installed",
        'install Node, or pip install "retrograd[native]"',
    )


def _in_wasmtime(path: Path, x: Array, function: str, width: int, told: Mapping[str, Any]) -> Array:
    wasmtime: Any = importlib.import_module("wasmtime")
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    instance = wasmtime.Instance(store, wasmtime.Module(engine, path.read_bytes()), [])
    exports = dict(instance.exports(store).items())
    memory, start = exports["memory"], exports["__heap_base"].value(store)
    size = 4 * len(x) * width
    inputs = start + told["scratch"]
    memory.grow(store, -(-(told["scratch"] + x.nbytes + size) // _PAGE))
    memory.write(store, x.tobytes(), inputs)
    program = next(value for name, value in exports.items() if name.endswith(f"_{function}"))
    answer = program(store, inputs, len(x), inputs + x.nbytes, start)
    if answer:
        raise RunError(
            f"running {path.name!r} in wasmtime", f"it answers {answer}", "export it again"
        )
    data = bytes(memory.read(store, inputs + x.nbytes, inputs + x.nbytes + size))
    return np.frombuffer(data, np.float32).reshape(-1, width)


_SCRIPT = """\
import fs from "node:fs";
const { load } = await import(process.argv[1]);
const model = await load();
const rows = JSON.parse(fs.readFileSync(0, "utf8"));
const x = model.features(rows), run = %s, y = run(x);
let least = Infinity;
for (let i = 0; i < 50; i++) {
  const start = process.hrtime.bigint();
  for (let k = 0; k < 100; k++) model.predict(rows.slice(0, 1));
  least = Math.min(least, Number(process.hrtime.bigint() - start) / 100e9);
}
console.log(JSON.stringify({ features: [...x], outputs: [...y], seconds: least }));
"""


def in_node(path: Path, rows: list[dict[str, Any]], call: str) -> dict[str, Any]:
    """Return what the loader answers in Node."""
    node = shutil.which("node") or "node"
    with TemporaryDirectory() as folder:
        command = [node, "--input-type=module", "-e", _SCRIPT % call]
        loader = path.resolve().with_suffix(".mjs").as_uri()
        done = subprocess.run(
            [*command, loader], input=json.dumps(rows), capture_output=True, text=True,
            encoding="utf-8", timeout=_LONGEST, check=False, cwd=folder,
        )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if re.match(r"\w*Error\b", line)]
        said = (lines or ["it ended without an answer"])[0].strip()
        raise RunError(f"running {path.name!r} in Node", said, "export it again, or report this")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cells_of(preprocessor: Preprocessor, rows: Table) -> list[dict[str, Any]]:
    """Return a table's rows as JSON has them."""
    preprocessor.transform(rows)  # raises for columns that are not there or not what they were
    columns = {e.column: _cells(e, rows.columns[e.column]) for e in preprocessor.encodings}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _cells(encoding: Encoding, column: Column) -> list[Any]:
    if isinstance(encoding, NumberEncoding):
        values = as_numbers(column)[0]
        return [x if np.isfinite(x) else None for x in values.tolist()]
    if isinstance(encoding, DateEncoding):
        column = DateColumn(as_dates(column)[0].astype("datetime64[us]"))
        texts = np.datetime_as_string(column.values).tolist()
        return [None if text == "NaT" else text for text in texts]
    text = as_text(column)
    levels = [*text.levels.tolist(), None]
    return [levels[code] for code in text.codes.tolist()]
