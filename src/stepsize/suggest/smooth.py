"""The smoothed loss at each point of a curve, for plots and records."""

from __future__ import annotations

import math
from bisect import bisect_left

from stepsize.records import Curve
from stepsize.suggest.shape import shape_of


def smooth(curve: Curve) -> tuple[float, ...]:
    """The curve without its noise: ``loss[i]`` smoothed, for each i; ``inf`` where there is none.

    There is none past the point where the loss has blown up, nor for a curve of fewer than twelve
    points.

    >>> smooth(Curve((0.1, 0.2), (1.0, 2.0)))
    (inf, inf)
    """
    shape = shape_of(curve)
    if shape is None:
        return (math.inf,) * len(curve)
    x = [math.log10(rate) for rate in curve.at_effect().lr]
    values = [_at(place, shape.x, shape.value) for place in x]
    for i, (place, loss) in enumerate(zip(x, curve.loss, strict=True)):
        if place > shape.x[shape.lowest] and loss >= shape.cap:
            values[i:] = [math.inf] * (len(values) - i)
            break
    return tuple(values)


def _at(x: float, xs: tuple[float, ...], values: tuple[float, ...]) -> float:
    """Linear interpolation; the end's value just outside."""
    i = min(max(bisect_left(xs, x), 1), len(xs) - 1)
    share = min(max((x - xs[i - 1]) / (xs[i] - xs[i - 1]), 0.0), 1.0)
    return values[i - 1] + share * (values[i] - values[i - 1])
