"""The Open Inference Protocol, version 2: columns as named tensors, one value a row."""

from __future__ import annotations

from typing import Any, Final

from retrograd.serve.batching import Batcher
from retrograd.serve.cells import shown
from retrograd.serve.refusal import RefusedError, Reply, reply
from retrograd.serve.rows import RowError
from retrograd.serve.served import Served
from retrograd.serve.settings import Limits

_WHOLE: Final = {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_REAL: Final = {"FP16", "FP32", "FP64"}
_TYPES: Final = {"BOOL", "BYTES"} | _WHOLE | _REAL
PLATFORM: Final = "retrograd"


def datatype_of(kind: str) -> str:
    """Return the datatype of a column of this kind; others that hold its values are taken too.

    >>> datatype_of("number"), datatype_of("category")
    ('FP64', 'BYTES')
    """
    return {"number": "FP64", "boolean": "BOOL"}.get(kind, "BYTES")


def metadata(served: Served, versions: list[str]) -> dict[str, Any]:
    """Return what a model takes and gives."""
    inputs = [
        {"name": column["name"], "datatype": datatype_of(column["kind"]), "shape": [-1]}
        for column in served.encoder.columns()
    ]
    outputs: list[dict[str, Any]] = [
        {"name": served.target, "datatype": _datatype(served), "shape": [-1]}
    ]
    if served.classes:
        shape = [-1, len(served.classes)]
        outputs.append({"name": "probabilities", "datatype": "FP64", "shape": shape})
    return {
        "name": served.name, "versions": versions, "platform": PLATFORM,
        "inputs": inputs, "outputs": outputs,
    }  # fmt: skip


def _datatype(served: Served) -> str:
    return "BYTES" if served.classes else "FP64"


async def infer(batcher: Batcher, value: Any, limits: Limits) -> Reply:
    """Return the outputs for the inputs of a request.

    Raises RefusedError for what is no request of the protocol, RowError for a cell that does not
    fit.
    """
    if not isinstance(value, dict) or not isinstance(value.get("inputs"), list):
        raise RefusedError(400, "expected an object with the list 'inputs'")
    if not isinstance(value.get("id", ""), str):
        raise RefusedError(400, f"expected a text as 'id', found {shown(value['id'])}")
    served, wanted = batcher.served, _wanted(value, batcher.served)
    columns = [_column(each, limits) for each in value["inputs"]]
    lengths = {name: len(cells) for name, cells in columns}
    if len(lengths) < len(columns):
        raise RefusedError(400, "two inputs have the same name")
    if len(set(lengths.values())) != 1:
        raise RefusedError(400, "the inputs are not of one length, or there are none")
    rows = [
        dict(zip(lengths, cells, strict=True))
        for cells in zip(*dict(columns).values(), strict=True)
    ]
    if len(rows) == 1:
        answers = [await batcher.answer(rows[0])]
    else:
        answers = await batcher.answers(rows)
    outputs = [each for each in _outputs(served, answers) if each["name"] in wanted]
    said: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    said |= {"id": value["id"]} if "id" in value else {}
    return reply({**said, "outputs": outputs})


def _wanted(value: dict[str, Any], served: Served) -> set[str]:
    """Return the names of the outputs that are asked for: all, unless some are named."""
    have = {served.target} | ({"probabilities"} if served.classes else set())
    asked = value.get("outputs")
    if asked is None:
        return have
    if not isinstance(asked, list) or not all(isinstance(each, dict) for each in asked):
        raise RefusedError(400, "expected a list of objects as 'outputs'")
    names = [each.get("name") for each in asked]
    unknown = [name for name in names if not isinstance(name, str) or name not in have]
    if unknown or not names:
        found = shown(unknown[0]) if unknown else "none"
        raise RefusedError(400, f"the outputs are {', '.join(sorted(have))}; found {found}")
    return set(names)


def _column(given: Any, limits: Limits) -> tuple[str, list[Any]]:
    """Return the name and the cells of one input."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise RefusedError(400, "expected inputs that are objects with a 'name'")
    name, kind, shape = given["name"], given.get("datatype"), given.get("shape")
    place = {"field": name}
    if not isinstance(kind, str) or kind not in _TYPES:
        found = f"input {name!r}: expected a datatype such as FP64 or BYTES, found {shown(kind)}"
        raise RefusedError(400, found, **place)
    if not isinstance(shape, list) or not _is_column(shape):
        raise RefusedError(400, f"input {name!r}: expected the shape [rows] or [rows, 1]", **place)
    if shape[0] > limits.rows:
        found = f"input {name!r}: {shape[0]:,} rows are more than one request may send"
        raise RefusedError(422, f"{found}, {limits.rows:,}", **place)
    data = given.get("data")
    if isinstance(data, list) and len(shape) == 2 and data and isinstance(data[0], list):
        data = [each[0] if isinstance(each, list) and len(each) == 1 else each for each in data]
    if not isinstance(data, list) or len(data) != shape[0]:
        found = f"{len(data):,} values" if isinstance(data, list) else shown(data)
        asked = f"input {name!r}: expected {shape[0]:,} values as 'data'"
        raise RefusedError(400, f"{asked}, found {found}", **place)
    for row, cell in enumerate(data):
        if not _fits(cell, str(kind)):
            raise RowError(f"found {shown(cell)}, which is no {kind}", row, name)
    return name, data


def _is_column(shape: list[Any]) -> bool:
    whole = bool(shape) and all(type(each) is int for each in shape)
    return bool(whole and shape[0] > 0 and shape[1:] in ([], [1]))


def _fits(cell: Any, kind: str) -> bool:
    """Return whether a cell is of a datatype; null is missing in every one."""
    if cell is None:
        return True
    if kind == "BYTES":
        return isinstance(cell, str)
    if kind == "BOOL":
        return isinstance(cell, bool)
    if type(cell) is int:
        return kind in _REAL or _is_within(cell, kind)
    return type(cell) is float and kind in _REAL


def _is_within(cell: int, kind: str) -> bool:
    """Return whether a whole number is one of the datatype's.

    >>> _is_within(255, "UINT8"), _is_within(-1, "UINT8"), _is_within(128, "INT8")
    (True, False, False)
    """
    bits = int(kind.partition("INT")[2])
    low, high = (0, 1 << bits) if kind.startswith("U") else (-(1 << bits - 1), 1 << bits - 1)
    return low <= cell < high


def _outputs(served: Served, answers: list[Any]) -> list[dict[str, Any]]:
    values = [answer["value"] for answer in answers]
    shape = [len(answers)]
    outputs: list[dict[str, Any]] = [
        {"name": served.target, "datatype": _datatype(served), "shape": shape, "data": values}
    ]
    if served.classes:
        flat = [p for answer in answers for p in answer["probabilities"].values()]
        told = {"classes": list(served.classes)}
        outputs.append({
            "name": "probabilities", "datatype": "FP64", "shape": [*shape, len(served.classes)],
            "parameters": told, "data": flat,
        })  # fmt: skip
    return outputs
