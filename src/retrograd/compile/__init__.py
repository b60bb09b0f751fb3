"""A traced function becomes a program: trace -> simplify -> schedule -> layout -> text -> code.

The compiler names no op: it asks each op's own answers. The same graph evaluated in NumPy is the
oracle of every stage, and what runs where native code may not.
"""

from retrograd.compile.bound import Bound as Bound
from retrograd.compile.compiled import compile as compile
from retrograd.compile.explaining import explain as explain
from retrograd.compile.resident import Resident as Resident
