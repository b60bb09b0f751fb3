"""The C header of a native library: its functions, sizes, columns and classes."""

from __future__ import annotations

from typing import NamedTuple

from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
)
from retrograd.export.c_names import identifiers, remark
from retrograd.recipe.model import Model


class Sizes(NamedTuple):
    """Numbers of a row that go in and come out, of all layers, and bytes of scratch memory."""

    features: int
    outputs: int
    layers: int
    scratch: int


def field_type(encoding: Encoding) -> str:
    """Return the C type of a column's cell."""
    match encoding:
        case CategoryEncoding():
            return "const char *"
        case DateEncoding():
            return "int64_t "
        case _:
            return "double "


def header(model: Model, name: str, sizes: Sizes, machine: str) -> str:
    """Return the header file."""
    upper, classes = name.upper(), model.schema.classes
    what = "the probability of each class" if classes else f"{remark(model.schema.target)}"
    lines = [
        f"/* Predicts {remark(model.schema.target)!r}, for {machine}. Made by retrograd.",
        "",
        "   Functions may be called by several threads at a time, each with scratch memory of its",
        "   own. They call no other library, take no memory and keep nothing. They return 0, or 1",
        "   for a null pointer, or 2 for an index that the network does not know. */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        f"#define {upper}_FEATURES {sizes.features} /* floats of a row that the network sees */",
        f"#define {upper}_OUTPUTS {sizes.outputs} /* floats of a row that come out: {what} */",
        f"#define {upper}_LAYERS {sizes.layers} /* floats of a row that all layers give */",
        f"#define {upper}_SCRATCH {sizes.scratch} /* bytes of scratch memory, at any address */",
        f"#define {upper}_MISSING (0.0 / 0.0) /* a number that is not known */",
        f"#define {upper}_NO_DATE INT64_MIN /* a moment that is not known */",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        *_row(model, name),
        *_functions(name, upper, bool(classes)),
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _row(model: Model, name: str) -> list[str]:
    encodings = model.preprocessor.encodings
    fields = identifiers([encoding.column for encoding in encodings])
    lines = ["/* A row of a table. */", "typedef struct {"]
    for encoding, field in zip(encodings, fields, strict=True):
        lines.append(f"  {field_type(encoding)}{field}; /* {remark(_meaning(encoding))} */")
    return [*lines, f"}} {name}_row;", ""]


def _meaning(encoding: Encoding) -> str:
    """Return what a column's cell holds, in words."""
    column = repr(encoding.column)
    match encoding:
        case NumberEncoding(_, _, _, _, low, high):
            return f"{column}: training saw {low:g} to {high:g}; NaN where missing"
        case BooleanEncoding():
            return f"{column}: 1 for yes, 0 for no; NaN where missing"
        case CategoryEncoding(_, categories):
            shown = ", ".join(map(repr, categories[:6])) + (", ..." if categories[6:] else "")
            return f"{column}: UTF-8, one of {shown}; NULL where missing"
        case DateEncoding():
            return f"{column}: microseconds since 1970 in UTC; INT64_MIN where missing"


def _functions(name: str, upper: str, has_classes: bool) -> list[str]:
    run = "const float *features, size_t rows, float *outputs, void *scratch"
    lines = [
        f"/* The outputs of rows of features.  features: rows * {upper}_FEATURES,",
        f"   outputs: rows * {upper}_OUTPUTS. */",
        f"int32_t {name}_run({run});",
        "",
        "/* What each layer gives, side by side, to find where two machines differ.",
        f"   outputs: rows * {upper}_LAYERS. */",
        f"int32_t {name}_layers({run});",
        "",
        "/* What this is: JSON, with the columns, the classes and the layers. */",
        f"extern const char {name}_about[];",
        "",
        f"/* These stand in {name}_rows.c: from a table's own values to features and answers. */",
        f"void {name}_features(const {name}_row *row, float *features);",
        f"int32_t {name}_predict(",
        f"    const {name}_row *rows, size_t count, float *outputs, void *scratch);",
    ]
    if has_classes:
        lines.append(f"extern const char *const {name}_classes[{upper}_OUTPUTS];")
    return [*lines, ""]
