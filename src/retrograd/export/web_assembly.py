"""WebAssembly: the network as a module for Node and browsers, and a loader in JavaScript.

The loader takes rows as objects, makes their features, and answers with labels or amounts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrograd.data import Preprocessor, Table
from retrograd.data.columns import MISSING_TEXTS
from retrograd.export import Answers, Request, Written, targets, wasm_calls, wasm_linking
from retrograd.export.c_names import identifier
from retrograd.export.native_calls import answers_of, cut
from retrograd.export.native_library import compile_model
from retrograd.recipe.model import Model
from retrograd.tensor.errors import InputError
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
    known = wasm_calls.runner()
    notes = {
        "Node": (),
        "wasmtime": ("Node is not installed: the module was tried without its loader",),
        "": ("neither Node nor wasmtime is installed: the module was not tried",),
    }
    return Written(files, notes[known], bool(known))


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
    """Let the module predict rows of a table. Raises RunError if it fails."""
    told = wasm_calls.about(path)
    _, outputs, seconds = wasm_calls.call(path, rows, "run", told["outputs"])
    return answers_of(Preprocessor.from_json(told["preprocessing"]), outputs, seconds)


def stages(path: Path, rows: Table) -> Mapping[str, Array]:
    """Return the features of rows and what every layer makes of them, by the module."""
    told = wasm_calls.about(path)
    features, outputs, _ = wasm_calls.call(path, rows, "layers", told["layers"])
    return {"features": features, **cut(outputs, told["stages"])}
