"""Checks of a network on its own data, each with a verdict that carries its numbers."""

from retrograd.diagnose.gradient_report import GradientReport as GradientReport
from retrograd.diagnose.gradients import check_gradients as check_gradients
