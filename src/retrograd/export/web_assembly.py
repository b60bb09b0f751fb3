"""WebAssembly: the network as a module for Node and browsers, and a loader in JavaScript.

The loader takes rows as objects, makes their features, and answers with labels or amounts.
"""

from __future__ import annotations

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
from retrograd.data.columns import MISSING_TEXTS, Column, DateColumn
from retrograd.data.conversions import as_dates, as_numbers, as_text
from retrograd.data.encodings import DateEncoding, Encoding, NumberEncoding
from retrograd.export import Answers, Request, Written, targets, wasm_linking
from retrograd.export.c_names import identifier
from retrograd.export.native_calls import answers_of, cut
from retrograd.export.native_library import compile_model
from retrograd.recipe.model import Model
from retrograd.tensor.errors import InputError, RunError
from retrograd.tensor.types import Array

_LONGEST = 120.0
_ABOUT = "export const about = "


def write(request: Request) -> Written:
    """Return the module and its loader. Raises InputError if a machine is asked for."""
    if request.target not in ("", targets.WASM.name):
        raise InputError(
            f"exporting {request.name!r} for {request.target!r}",
            "WebAssembly runs on every machine",
            "leave the target out",
        )
    path = Path(request.name)
    name = identifier(path.stem)
    made = compile_model(request.model, name, targets.WASM)
    module = wasm_linking.link(made.data, [f"{name}_run", f"{name}_layers"])
    loader = _loader(request.model, path.stem, name, made.about)
    files = {request.name: module, f"{path.stem}.mjs": loader.encode()}
    has_node = shutil.which("node") is not None
    notes = () if has_node else ("Node is not installed: the module was not run",)
    return Written(files, notes, has_node)


def _loader(model: Model, stem: str, name: str, about: Mapping[str, Any]) -> str:
    told = {key: value for key, value in about.items() if key != "schema"}
    told["target"], told["classes"] = model.schema.target, model.schema.classes
    text = Path(__file__).with_name("wasm_loader.mjs").read_text(encoding="utf-8")
    filled = {
        "TARGET": json.dumps(model.schema.target),
        "FILE": stem,
        "NAME": name,
        "ABOUT": json.dumps(told),
        "MISSING": json.dumps(sorted(MISSING_TEXTS)),
    }
    return re.sub(f"@({'|'.join(filled)})@", lambda found: filled[found[1]], text)


def run(path: Path, rows: Table) -> Answers:
    """Let the module predict rows of a table in Node. Raises RunError if it fails."""
    about = _about(path)
    preprocessor = Preprocessor.from_json(about["preprocessing"])
    found = _node(path, _rows(preprocessor, rows), "x => model.run(x)")
    outputs = np.float32(found["outputs"]).reshape(-1, about["outputs"])
    return answers_of(preprocessor, outputs, float(found["seconds"]))


def stages(path: Path, rows: Table) -> Mapping[str, Array]:
    """Return the features of rows and what every layer makes of them, by the module."""
    about = _about(path)
    preprocessor = Preprocessor.from_json(about["preprocessing"])
    found = _node(path, _rows(preprocessor, rows), "x => model.layers(x)")
    outputs = np.float32(found["outputs"]).reshape(-1, about["layers"])
    features = np.float32(found["features"]).reshape(-1, about["features"])
    return {"features": features, **cut(outputs, about["stages"])}


def _about(path: Path) -> dict[str, Any]:
    """Return what the loader beside a module says of it."""
    lines = path.with_suffix(".mjs").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith(_ABOUT))
    about: dict[str, Any] = json.loads(line.removeprefix(_ABOUT).removesuffix(";"))
    return about


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


def _node(path: Path, rows: list[dict[str, Any]], call: str) -> dict[str, Any]:
    """Return what the loader answers in Node."""
    node = shutil.which("node")
    if node is None:
        raise RunError(f"running {path.name!r}", "Node is not installed", "install Node")
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


def _rows(preprocessor: Preprocessor, rows: Table) -> list[dict[str, Any]]:
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
