"""Steepest: where the loss falls fastest per decade of rate."""

from __future__ import annotations

import math

from stepsize.records import Curve
from stepsize.suggest.shape import shape_of


def steepest(curve: Curve) -> float | None:
    """The rate of the steepest fall of the smoothed loss against ``log10(rate)``.

    Smoothed without lag, and only before the minimum. None when there is no fall to speak of.

    >>> rates = tuple(10.0 ** (i / 10 - 5) for i in range(50))
    >>> fall = tuple(2.0 - 1.0 / (1.0 + (0.001 / rate) ** 2) for rate in rates)
    >>> 0.0005 < steepest(Curve(rates, fall)) < 0.002
    True
    """
    shape = shape_of(curve)
    if shape is None or shape.lowest == 0 or shape.drop <= 0.0:
        return None
    x, value = shape.x, shape.value
    slopes = [(value[i + 1] - value[i]) / (x[i + 1] - x[i]) for i in range(shape.lowest)]
    i = min(range(len(slopes)), key=slopes.__getitem__)
    return math.pow(10.0, (x[i] + x[i + 1]) / 2.0)
