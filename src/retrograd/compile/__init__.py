"""A traced function becomes a program: trace -> simplify -> run.

The compiler names no op: it asks each op's own answers. Programs are evaluated in NumPy, which
stays the oracle of every later stage.
"""

from retrograd.compile.program import compile as compile
