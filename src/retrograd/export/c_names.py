"""Names, texts and numbers as C spells them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORDS = """
alignas alignof and asm auto bitand bitor bool break case catch char class compl const constexpr
continue decltype default delete do double else enum explicit export extern false float for friend
goto if inline int long mutable namespace new noexcept not nullptr operator or private protected
public register restrict return short signed sizeof static struct switch template this throw true
try typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while xor
"""
_KEYWORDS = frozenset(_WORDS.split())
_PLAIN = frozenset(range(32, 127)) - frozenset(b'"\\?')


def identifier(text: str) -> str:
    """Return a text as a name in C and C++.

    >>> identifier("Price (EUR)"), identifier("2nd"), identifier("class")
    ('price_eur', 'x2nd', 'class_')
    """
    name = re.sub(r"[^0-9a-zA-Z]+", "_", text).strip("_").lower()
    if not name or name[0].isdigit():
        name = f"x{name}"
    return f"{name}_" if name in _KEYWORDS else name


def identifiers(texts: Sequence[str]) -> tuple[str, ...]:
    """Return texts as different names.

    >>> identifiers(["a b", "a-b", "a"])
    ('a_b', 'a_b_2', 'a')
    """
    found: list[str] = []
    for text in texts:
        name = first = identifier(text)
        number = 2
        while name in found:
            name, number = f"{first}_{number}", number + 1
        found.append(name)
    return tuple(found)


def quoted(text: str) -> str:
    r"""Return a text as a C string, in UTF-8.

    >>> quoted('a"b'), quoted("é")
    ('"a\\042b"', '"\\303\\251"')
    """
    return '"' + "".join(chr(b) if b in _PLAIN else f"\\{b:03o}" for b in text.encode()) + '"'


def remark(text: str) -> str:
    """Return a text that may stand in a comment: in one line, and not ending it.

    >>> remark("a */ b")
    'a * / b'
    """
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def number(value: float) -> str:
    """Return a number as a double of C, digit for digit.

    >>> number(0.1), number(3.0)
    ('0.1', '3.0')
    """
    return repr(float(value))
