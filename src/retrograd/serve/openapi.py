"""The OpenAPI document of a server: its addresses, and each model's own columns and examples."""

from __future__ import annotations

from typing import Any, Final

from retrograd import __version__
from retrograd.data.conversions import BOOLEAN_PAIRS
from retrograd.serve import protocol
from retrograd.serve.served import Served
from retrograd.serve.settings import Limits
from retrograd.serve.shelf import Shelf

Json = dict[str, Any]
_WORDS_OF_TRUTH: Final = (*(word for pair in BOOLEAN_PAIRS for word in pair), "0", "1", 0, 1)
_ERROR: Final = {"$ref": "#/components/schemas/Error"}
_WORDS: Final = {
    400: "It cannot be read.",
    401: "The token is missing or wrong.",
    404: "There is no such model.",
    408: "The body did not come in time.",
    413: "It is too long.",
    415: "It is of a type, or packed in a way, that is not read.",
    422: "A cell or a row does not fit the model.",
    503: "Too many requests at once, or the server is stopping; come back later.",
}


def document(shelf: Shelf, limits: Limits, *, has_token: bool) -> Json:
    """Return the document for the models that are there now."""
    paths: Json = {}
    schemas: Json = {"Error": _error()}
    _add_looks(paths)
    first = shelf.find(shelf.first)
    if first is not None:
        _add_predict(paths, "/predict", first.served)
    for name, versions in shelf.models.items():
        newest = next(reversed(versions.values())).served
        _add_model(paths, schemas, newest, limits)
        for version, each in versions.items():
            _add_version(paths, name, version, each.served)
    found: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Networks served by retrograd",
            "version": __version__,
            "description": "Send a row, get a prediction.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if has_token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        _require_token(paths)
    return found


def _require_token(paths: Json) -> None:
    for path, ways in paths.items():
        for way in ways.values():
            if not path.endswith(("/health/live", "/health/ready", "/healthz", "/readyz")):
                way["security"] = [{"token": []}]
                way["responses"]["401"] = _refused(401)


def _error() -> Json:
    whole = {"type": "integer", "minimum": 0}
    return {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {"type": "string"}, "row": whole, "line": whole, "column": whole,
            "field": {"type": "string"},
        },
    }  # fmt: skip


def _refused(status: int) -> Json:
    return {"description": _WORDS[status], "content": {"application/json": {"schema": _ERROR}}}


def _responses(schema: Json, *refused: int, example: Any = None) -> Json:
    told: Json = {"schema": schema}
    if example is not None:
        told["example"] = example
    good = {"description": "The answer.", "content": {"application/json": told}}
    return {"200": good, **{str(status): _refused(status) for status in refused}}


def _look(summary: str, schema: Json, *refused: int) -> Json:
    return {"get": {"summary": summary, "responses": _responses(schema, *refused, 503)}}


def _add_looks(paths: Json) -> None:
    thing = {"type": "object"}
    for path, field in (("/healthz", "live"), ("/v2/health/live", "live"),
                        ("/readyz", "ready"), ("/v2/health/ready", "ready")):  # fmt: skip
        schema = {"type": "object", "required": [field], "properties": {field: {"const": True}}}
        words = "the server lives" if field == "live" else "models are loaded and rows are welcome"
        paths[path] = _look(f"Whether {words}.", schema)
    paths["/v2"] = _look("What server this is.", thing)
    paths["/models"] = _look("The models, their columns, and how good they are.", thing)
    counts = {"description": "Counts, as Prometheus reads them.",
              "content": {"text/plain": {"schema": {"type": "string"}}}}  # fmt: skip
    paths["/metrics"] = {
        "get": {
            "summary": "Counts of everything.",
            "responses": {"200": counts, "503": _refused(503)},
        }
    }


def _add_model(paths: Json, schemas: Json, served: Served, limits: Limits) -> None:
    schemas[f"{served.name}.row"] = row_schema(served)
    schemas[f"{served.name}.request"] = {
        "oneOf": [
            _ref(f"{served.name}.row"),
            {"type": "array", "items": _ref(f"{served.name}.row"), "minItems": 1,
             "maxItems": limits.rows},
        ]
    }  # fmt: skip
    schemas[f"{served.name}.answer"] = _answer_schema(served)
    schemas[f"{served.name}.infer"] = _infer_schema(served)
    name = served.name
    paths[f"/models/{name}"] = _look(f"The model {name}.", {"type": "object"}, 404)
    paths[f"/v2/models/{name}"] = _look(f"The inputs of {name}.", {"type": "object"}, 404)
    paths[f"/v2/models/{name}/ready"] = _look(f"Whether {name} answers.", {"type": "object"}, 404)
    _add_predict(paths, f"/models/{name}/predict", served)
    _add_infer(paths, f"/v2/models/{name}/infer", served)


def _add_version(paths: Json, name: str, version: str, served: Served) -> None:
    _add_predict(paths, f"/models/{name}/versions/{version}/predict", served)
    _add_infer(paths, f"/v2/models/{name}/versions/{version}/infer", served)


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _add_predict(paths: Json, path: str, served: Served) -> None:
    row = served.encoder.example()
    content = {
        "application/json": {
            "schema": _ref(f"{served.name}.request"),
            "examples": {"row": {"value": row}, "rows": {"value": [row, row]}},
        },
    }
    paths[path] = {
        "post": {
            "summary": f"Predict {served.target!r} for a row, or for a list of rows.",
            "description": "Rows may also be an Arrow stream (application/vnd.apache.arrow.stream);"
            " the answer is one too.",
            "parameters": _coverage(served),
            "requestBody": {"required": True, "content": content},
            "responses": _responses(
                _ref(f"{served.name}.answer"), 400, 404, 408, 413, 415, 422, 503
            ),
        }
    }


def _coverage(served: Served) -> list[Json]:
    """Return the parameter that asks for intervals or sets, where validation rows can tell."""
    conformal = served.model.conformal
    if conformal is None:
        return []
    most = conformal.rows / (conformal.rows + 1)
    what = "a set of classes" if served.classes else "an interval"
    words = f"Give {what} that holds the truth as often, such as 0.9."
    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": most}
    return [{"name": "coverage", "in": "query", "description": words, "schema": schema}]


def _add_infer(paths: Json, path: str, served: Served) -> None:
    content = {
        "application/json": {
            "schema": _ref(f"{served.name}.infer"),
            "examples": {"row": {"value": {"inputs": infer_example(served)}}},
        }
    }
    schema = {"type": "object", "required": ["model_name", "outputs"]}
    paths[path] = {
        "post": {
            "summary": f"Predict {served.target!r}: Open Inference Protocol, version 2.",
            "description": "For several rows, give every input that many values, and its shape.",
            "requestBody": {"required": True, "content": content},
            "responses": _responses(schema, 400, 404, 408, 413, 415, 422, 503),
        }
    }


def infer_example(served: Served) -> list[Json]:
    """Return the inputs of a request of one row."""
    return [
        {
            "name": column["name"], "shape": [1],
            "datatype": protocol.datatype_of(column["kind"]),
            "data": [_as_type(column["example"], column["kind"])],
        }
        for column in served.encoder.columns()
    ]  # fmt: skip


def _as_type(cell: Any, kind: str) -> Any:
    return cell if kind in ("number", "boolean") or cell is None else str(cell)


def _infer_schema(served: Served) -> Json:
    """Return the schema of a request of one row; a schema cannot tie a shape to a length."""
    inputs = []
    for column in served.encoder.columns():
        datatype = protocol.datatype_of(column["kind"])
        data = {"type": "array", "items": _infer_cell(column), "minItems": 1, "maxItems": 1}
        inputs.append({
            "type": "object",
            "required": ["name", "shape", "datatype", "data"],
            "properties": {
                "name": {"const": column["name"]},
                "shape": {"const": [1]},
                "datatype": {"const": datatype},
                "data": data,
            },
        })  # fmt: skip
    size = len(inputs)
    listed = {"type": "array", "prefixItems": inputs, "minItems": size, "maxItems": size}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": {"type": "string"}, "inputs": listed},
    }


def _infer_cell(column: Json) -> Json:
    if column["kind"] == "number":
        return {"type": ["number", "null"]}
    if column["kind"] == "boolean":
        return {"type": ["boolean", "null"]}
    if column["kind"] == "date":
        return _date()
    return {"type": ["string", "null"]}


def _date() -> Json:
    return {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}


def row_schema(served: Served) -> Json:
    """Return the schema of a row: every column is a field, other fields are noted and not used."""
    properties = {each["name"]: _cell(each) for each in served.encoder.columns()}
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "examples": [served.encoder.example()],
    }


def _cell(column: Json) -> Json:
    """Return the schema of a cell; null is a missing one."""
    match column["kind"]:
        case "number":
            reach = f"In training from {column['low']:g} to {column['high']:g}."
            texts = ["string", "boolean"] if column["takes_texts"] else []
            return {"type": ["number", "null", *texts], "description": reach}
        case "boolean":
            return {"enum": [True, False, None, *_WORDS_OF_TRUTH]}
        case "date":
            return {**_date(), "description": "A day, or a moment such as 2026-03-01T09:30."}
        case "category":
            seen = column["categories"][:10]
            more = ", ..." if column["categories"][10:] else ""
            words = f"In training: {', '.join(map(repr, seen))}{more}."
            return {"type": ["string", "number", "boolean", "null"], "description": words}
    return {"type": ["string", "number", "boolean", "null"]}


def _answer_schema(served: Served) -> Json:
    notes = {"type": "array", "items": {"type": "string"}}
    value: Json = {"type": "number"}
    part: Json = {"value": value, "notes": notes}
    if served.classes:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        part["value"] = {"enum": list(served.classes)}
        part["probabilities"] = {
            "type": "object",
            "required": list(served.classes),
            "properties": dict.fromkeys(served.classes, share),
        }
    told = {name: {"type": "string"} for name in ("model", "version", "target")}
    one = {"type": "object", "required": list(part), "properties": part}
    many = {"predictions": {"type": "array", "items": one}}
    return {
        "anyOf": [
            {"type": "object", "required": [*told, *part], "properties": {**told, **part}},
            {"type": "object", "required": [*told, *many], "properties": {**told, **many}},
        ]
    }
