"""One training step in true numbers: the record behind what page, terminal and report show."""

from retrograd.explain.record import Explanation as Explanation
from retrograd.explain.record import Formula as Formula
from retrograd.explain.step import explain_step as explain_step
