"""The rule of torch-lr-finder 0.2.2 (``torch_lr_finder/lr_finder.py``, lines 513-574)."""

from __future__ import annotations

from stepsize.records import Curve
from stepsize.suggest.peers.averages import argmin, gradient, seeded


def torch_lr_finder(curve: Curve, skip_start: int = 10, skip_end: int = 5) -> float | None:
    """The steepest fall per index of the seeded average; None below 17 points, where it raises."""
    curve = curve.finite()
    if len(curve) < skip_start + skip_end + 2:
        return None
    window = slice(skip_start, -skip_end or None)
    return curve.lr[window][argmin(gradient(seeded(curve.loss)[window]))]
