"""Native libraries called for rows of a table, each in a process of its own."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from retrograd.data import Preprocessor, Table
from retrograd.data.columns import Column
from retrograd.data.conversions import as_booleans, as_dates, as_numbers, as_text
from retrograd.data.encodings import BooleanEncoding, CategoryEncoding, DateEncoding, Encoding
from retrograd.export import Answers, calling, elf, linking, targets
from retrograd.tensor.errors import FileFormatError, RunError
from retrograd.tensor.types import Array

_LONGEST = 120.0


class _Library(NamedTuple):
    """A library: where it lies, the start of its names, all of them, and what it says it is."""

    path: Path
    name: str
    names: frozenset[str]
    about: Mapping[str, Any]


def answers(path: Path, rows: Table) -> Answers:
    """Return what a library predicts. Raises RunError if it fails."""
    with TemporaryDirectory() as folder:
        library = _open(path, Path(folder))
        preprocessor = Preprocessor.from_json(library.about["preprocessing"])
        job: dict[str, Any] = {"width": library.about["outputs"]}
        if f"{library.name}_predict" in library.names:
            job |= {"function": f"{library.name}_predict", **_cells(preprocessor, rows)}
        else:
            job |= {"function": f"{library.name}_run", "features": preprocessor.transform(rows)}
        outputs, seconds = _call(library, job, Path(folder))
        return answers_of(preprocessor, outputs, seconds)


def answers_of(preprocessor: Preprocessor, outputs: Array, seconds: float | None) -> Answers:
    """Return outputs (rows, classes or 1) as labels with probabilities, or as amounts."""
    if not preprocessor.classes:
        return Answers(outputs[:, 0].astype(np.float64), None, seconds)
    labels = preprocessor.inverse_target(outputs.argmax(axis=1))
    return Answers(labels, outputs.astype(np.float64), seconds)


def stages(path: Path, rows: Table) -> Mapping[str, Array]:
    """Return the features of rows, and what each layer makes of them."""
    with TemporaryDirectory() as folder:
        library = _open(path, Path(folder))
        preprocessor = Preprocessor.from_json(library.about["preprocessing"])
        features = preprocessor.transform(rows)
        if f"{library.name}_features" in library.names:
            job = {"function": f"{library.name}_features", "width": library.about["features"]}
            features, _ = _call(library, {**job, **_cells(preprocessor, rows)}, Path(folder))
        width = library.about["layers"]
        job = {"function": f"{library.name}_layers", "features": features, "width": width}
        outputs, _ = _call(library, job, Path(folder))
        return {"features": features, **cut(outputs, library.about["stages"])}


def cut(outputs: Array, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """Return what lies side by side under its names, in its shapes."""
    found, start = {}, 0
    for name, shape in shapes.items():
        end = start + math.prod(shape)
        found[name] = outputs[:, start:end].reshape(-1, *shape)
        start = end
    return found


def _open(path: Path, folder: Path) -> _Library:
    """Return a library; an object file is linked first, with the C source beside it."""
    if path.suffix == ".o":
        path = _linked(path, folder)
    found = elf.symbols(path.read_bytes())
    about = next((s for s in found if s.name.endswith("_about") and s.data), None)
    if about is None:
        raise FileFormatError(f"calling {path.name!r}", "it is no library of ours", "export it")
    name = about.name.removesuffix("_about")
    names = frozenset(s.name for s in found if s.is_defined)
    return _Library(path.resolve(), name, names, json.loads(about.data.rstrip(b"\0")))


def _linked(path: Path, folder: Path) -> Path:
    """Return the shared library that an object file and its C source make."""
    own, rows = _own(), path.with_name(f"{path.stem}_rows.c")
    objects = [path.read_bytes()]
    if rows.exists():
        sources = [rows, path.with_suffix(".h")]
        texts = {source.name: source.read_text(encoding="utf-8") for source in sources}
        compiled = linking.compile_c(own, texts, rows.name)
        objects += [compiled] if compiled is not None else []
    library = linking.link_shared(own, objects)
    if library is None:
        raise RunError(
            f"calling {path.name!r}", "there is no linker for it", 'pip install "retrograd[native]"'
        )
    made = folder / f"{path.stem}.so"
    made.write_bytes(library)
    return made


def _own() -> targets.Cpu:
    return next(c for c in targets.CPUS if c.platform.triple.startswith(platform.machine()))


def _cells(preprocessor: Preprocessor, rows: Table) -> dict[str, Any]:
    """Return a table's cells as C takes them: column by column, and what kind each is."""
    preprocessor.transform(rows)  # raises for columns that are not there or not what they were
    pairs = [_column(e, rows.columns[e.column]) for e in preprocessor.encodings]
    return {"fields": [kind for kind, _ in pairs], "columns": [cells for _, cells in pairs]}


def _column(encoding: Encoding, column: Column) -> tuple[str, list[Any]]:
    match encoding:
        case CategoryEncoding():
            text = as_text(column)
            levels = [*text.levels.tolist(), None]
            return "text", [levels[code] for code in text.codes.tolist()]
        case DateEncoding():
            moments = as_dates(column)[0].astype("datetime64[us]")
            return "moment", moments.astype(np.int64).tolist()  # NaT is the smallest
        case BooleanEncoding():
            return "number", as_booleans(column)[0].tolist()
        case _:
            return "number", as_numbers(column)[0].tolist()


def _call(library: _Library, job: dict[str, Any], folder: Path) -> tuple[Array, float]:
    """Return a function's outputs and what one row takes, in a process of its own."""
    places = {"library": str(library.path), "outputs": str(folder / "outputs.npy")}
    job = {**job, **places, "scratch": library.about["scratch"]}
    if "features" in job:
        np.save(folder / "features.npy", job["features"])
        job["features"] = str(folder / "features.npy")
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-P", calling.__file__, str(folder / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise RunError(f"calling {library.path.name!r}", said, "report this as a bug of retrograd")
    seconds = float(json.loads(done.stdout)["seconds"])
    return np.load(places["outputs"], allow_pickle=False), seconds
