"""Losses: from predictions and targets to one number.

All are called ``loss(predictions, targets, *, weights=None, reduction="mean", ...)``. Shapes must
agree, and nothing is stretched. What classification losses take are scores (logits), never
probabilities: each forms the logarithm of the probability itself, in a form that is exact.
"""
