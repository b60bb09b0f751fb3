"""Preprocessing as C source: from a row's own values to what the network sees.

It needs no library, not even C's: numbers, texts and moments are all that it works with.
"""

from __future__ import annotations

from collections.abc import Sequence

from retrograd.data import Preprocessor
from retrograd.data.columns import MISSING_TEXTS
from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
    feature_names,
)
from retrograd.export.c_names import identifiers, number, quoted

_NUMBERS = """\
static double within(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

/* Halves, so that the difference of two huge numbers is finite. */
static float scaled(double x, double shift, double scale) {
  return (float)within((x * 0.5 - shift * 0.5) / scale * 2.0, -1e6, 1e6);
}

static int is_missing(double x) { return !(x - x == 0.0); } /* NaN and the infinities */
"""
_TEXTS = """\
static int same(const char *a, const char *b) {
  while (*a && *a == *b) {
    a++;
    b++;
  }
  return *a == *b;
}

static int place(const char *text, const char *const *list, int count) {
  int i;
  for (i = 0; i < count && !same(text, list[i]); i++) {
  }
  return i;
}

static const char *const missing_texts[] = {%s};

static int is_no_text(const char *text) {
  return text == 0 || place(text, missing_texts, %d) < %d;
}
"""
_DATES = """\
/* sin and cos of an angle from 0 to 2 pi: a quarter turn by its series, to 1e-15. */
static double quarter(double x) {
  double t = x * x, sum = 1.0;
  int k;
  for (k = 21; k > 1; k -= 2) sum = 1.0 - t / (k * (k - 1)) * sum;
  return x * sum;
}

static double sine(double turn) {
  double half = 0.0, sign = 1.0;
  const double pi = 3.141592653589793;
  while (turn >= 1.0) turn -= 1.0;
  if (turn >= 0.5) {
    turn -= 0.5;
    sign = -1.0;
  }
  half = turn > 0.25 ? 0.5 - turn : turn;
  return sign * quarter(2.0 * pi * half);
}

static int64_t floored(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static const int64_t day = INT64_C(86400000000);

/* Howard Hinnant's algorithm: years of 400 begin in March. */
static void calendar(int64_t stamp, int64_t *year, int64_t *month) {
  int64_t z = floored(stamp, day) + 719468, era = floored(z, 146097), of_era = z - era * 146097;
  int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t m = (5 * (of_era - (365 * y + y / 4 - y / 100)) + 2) / 153;
  *month = m < 10 ? m + 2 : m - 10;
  *year = y + era * 400 + (*month < 2);
}

static double of_day(int64_t stamp) {
  return (double)(stamp - floored(stamp, day) * day) / (double)day;
}

static double of_week(int64_t stamp) {
  int64_t n = floored(stamp, day) + 3;
  return (double)(n - floored(n, 7) * 7) / 7.0;
}
"""


def rows_source(preprocessor: Preprocessor, name: str, header: str) -> str:
    """Return the C source of ``<name>_features`` and ``<name>_predict``, and the classes' names."""
    encodings = preprocessor.encodings
    fields = identifiers([encoding.column for encoding in encodings])
    kinds = {type(encoding) for encoding in encodings}
    parts = [f'/* From rows to features. Made by retrograd. */\n#include "{header}"\n']
    if kinds & {NumberEncoding, DateEncoding, BooleanEncoding}:
        parts.append(_NUMBERS if kinds & {NumberEncoding, DateEncoding} else _only_missing())
    if CategoryEncoding in kinds:
        words = sorted(MISSING_TEXTS)
        parts.append(_TEXTS % (", ".join(map(quoted, words)), len(words), len(words)))
    if DateEncoding in kinds:
        parts.append(_DATES)
    if preprocessor.classes:
        listed = ", ".join(map(quoted, preprocessor.classes))
        count = len(preprocessor.classes)
        parts.append(f"const char *const {name}_classes[{count}] = {{{listed}}};\n")
    return "\n".join([*parts, _features(encodings, fields, name), _predict(name)])


def _only_missing() -> str:
    return _NUMBERS[_NUMBERS.index("static int is_missing") :]


def _features(encodings: Sequence[Encoding], fields: Sequence[str], name: str) -> str:
    lines = [f"void {name}_features(const {name}_row *row, float *x) {{"]
    start = 0
    for encoding, field in zip(encodings, fields, strict=True):
        lines += ["  {", *(f"    {line}" for line in _one(encoding, f"row->{field}", start)), "  }"]
        start += len(feature_names(encoding))
    return "\n".join([*lines, "}", ""])


def _one(encoding: Encoding, value: str, start: int) -> list[str]:
    """Return what writes the features of one column, from a place on."""
    match encoding:
        case NumberEncoding(_, shift, scale, fill, low, high, indicator):
            lines = [
                f"int none = is_missing({value});",
                f"double v = none ? {number(fill)} : {value};",
                f"v = within(v, {number(low)}, {number(high)});",
                f"x[{start}] = scaled(v, {number(shift)}, {number(scale)});",
            ]
            return [*lines, *[f"x[{start + 1}] = (float)none;"] * indicator]
        case BooleanEncoding(_, fill, indicator):
            lines = [
                f"int none = is_missing({value});",
                f"x[{start}] = (float)(none ? {number(fill)} : {value} != 0.0);",
            ]
            return [*lines, *[f"x[{start + 1}] = (float)none;"] * indicator]
        case CategoryEncoding():
            return _category(encoding, value, start)
        case DateEncoding():
            return _date(encoding, value, start)


def _category(encoding: CategoryEncoding, value: str, start: int) -> list[str]:
    size, width = len(encoding.categories), len(feature_names(encoding))
    other = size if encoding.other else width
    missing = width - 1 if encoding.missing else width
    texts = ", ".join(map(quoted, encoding.categories))
    lines = [
        f"int i, at = {missing};",
        f"for (i = 0; i < {width}; i++) x[{start} + i] = 0.0f;",
    ]
    found = [f"if (!is_no_text({value})) at = {other};"]
    if size:
        lines.insert(0, f"static const char *const texts[] = {{{texts}}};")
        found = [
            f"if (!is_no_text({value})) {{",
            f"  at = place({value}, texts, {size});",
            f"  if (at == {size}) at = {other};",
            "}",
        ]
    return [*lines, *found, f"if (at < {width}) x[{start} + at] = 1.0f;"]


def _date(encoding: DateEncoding, value: str, start: int) -> list[str]:
    names = {part.name.split()[0] for part in encoding.parts}
    lines = [f"int none = {value} == INT64_MIN;"]
    if names & {"year", "month"}:
        lines += ["int64_t year = 0, month = 0;", f"calendar({value}, &year, &month);"]
    turns = {
        "month": "(double)month / 12.0", "weekday": f"of_week({value})", "hour": f"of_day({value})"
    }  # fmt: skip
    for i, part in enumerate(encoding.parts, start):
        unit, _, wave = part.name.partition(" ")
        if unit == "days":
            what = f"((double){value} - {number(encoding.origin)}) / 86400000000.0"
        elif unit == "year":
            what = "(double)year"
        else:
            what = f"sine({turns[unit]}{'' if wave == 'sin' else ' + 0.25'})"
        scaled = f"scaled({what}, {number(part.shift)}, {number(part.scale)})"
        lines.append(f"x[{i}] = none ? 0.0f : {scaled};")
    if encoding.indicator:
        lines.append(f"x[{start + len(encoding.parts)}] = (float)none;")
    unused = "year" not in names and "month" in names
    return [*lines, "(void)year;"] if unused else lines


def _predict(name: str) -> str:
    upper = name.upper()
    return f"""\
int32_t {name}_predict(
    const {name}_row *rows, size_t count, float *outputs, void *scratch) {{
  float features[{upper}_FEATURES];
  size_t i;
  int32_t wrong = 0;
  for (i = 0; i < count && !wrong; i++) {{
    {name}_features(rows + i, features);
    wrong = {name}_run(features, 1, outputs + i * {upper}_OUTPUTS, scratch);
  }}
  return wrong;
}}
"""
