"""The rule of Lightning 2.6.6 (``lightning/pytorch/tuner/lr_finder.py``, lines 162-196).

Since 2.5.3 it takes the slope against the rate itself rather than its logarithm, which divides the
noise at the lowest rates by the smallest steps (Lightning issue 21141). Its smoothing (lines
421-422) divides by one power too many, so the first values come out at half the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from stepsize.records import Curve
from stepsize.suggest.peers.averages import argmin, debiased


def lightning(curve: Curve, skip_begin: int = 10, skip_end: int = 1) -> float | None:
    """The steepest fall per unit of rate; None with fewer than two points left."""
    curve = curve.finite()
    window = slice(skip_begin, -skip_end)
    lrs, losses = curve.lr[window], debiased(curve.loss, exponent_shift=1)[window]
    if len(losses) < 2 or any(above <= below for below, above in pairwise(lrs)):
        return None
    return lrs[argmin(slopes(losses, lrs))]


def slopes(y: Sequence[float], x: Sequence[float]) -> list[float]:
    """torch's ``gradient`` with uneven spacing: second order inside, one-sided at the ends.

    >>> slopes([0.0, 1.0, 4.0], [0.0, 1.0, 2.0])
    [1.0, 2.0, 3.0]
    """
    first = (y[1] - y[0]) / (x[1] - x[0])
    last = (y[-1] - y[-2]) / (x[-1] - x[-2])
    inner = []
    for i in range(1, len(y) - 1):
        left, right = x[i] - x[i - 1], x[i + 1] - x[i]
        weighted = left * left * y[i + 1] + (right * right - left * left) * y[i]
        inner.append((weighted - right * right * y[i - 1]) / (left * right * (left + right)))
    return [first, *inner, last]
