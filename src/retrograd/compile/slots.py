"""Slots: the table of 8-byte entries through which a program reaches everything outside it."""

from __future__ import annotations

import enum

NAME = "program"
STREAMED = 2**22
"""Bytes of an output from which on it is written past the caches."""


class Slot(enum.IntEnum):
    """The entries of the table that are not arguments."""

    arena = 0
    errors = 1
    barrier = 2
    give_way = 3
    threads = 4
    steps = 5
    profile = 6
    first_argument = 7
