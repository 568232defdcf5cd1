"""Smoothing without lag, stated in decades of learning rate.

A moving average over past points (what most finders use) shifts every feature of the curve to
higher rates, by an amount that depends on the number of points. A symmetric local line does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

#: Half the width of the smoothing window, in decades of learning rate.
HALF_WIDTH = 0.5
#: A window holds at least this many points, however sparse they are.
LEAST_POINTS = 5
#: Points closer than this many decades are averaged first: it keeps the cost down and changes
#: nothing that a window of half a decade could see.
BIN = 1 / 50


class Smoothed(NamedTuple):
    """A smoothed curve.

    Attributes:
        value: the smoothed loss at each point.
        gain: the standard deviation of each value, for noise of standard deviation 1 per
            measurement.
        residual_gain: that of each measured minus smoothed loss.
    """

    value: list[float]
    gain: list[float]
    residual_gain: list[float]


def local_line(
    x: Sequence[float], y: Sequence[float], weight: Sequence[float] | None = None
) -> Smoothed:
    r"""Fit a weighted straight line around each point and take its value there.

    Weights are tricube, ``(1 - |d / h|^3)^3`` with ``h`` half a decade (Cleveland 1979, eq. 2.1);
    ``h`` grows where fewer than five points would be inside. Linear in ``y``: adding a constant
    to the loss or scaling it does the same to the result.

    Args:
        x: log10 of the rates, rising.
        y: finite losses.
        weight: how many measurements each point averages; 1 each by default.

    >>> x = [i / 10 for i in range(20)]
    >>> straight = [3.0 - 2.0 * value for value in x]
    >>> max(abs(a - b) for a, b in zip(local_line(x, straight).value, straight)) < 1e-12
    True
    """
    n = len(x)
    counts = [1.0] * n if weight is None else weight
    fits = []
    first = last = 0
    for i, centre in enumerate(x):
        half = _half_width(x, i)
        while x[first] < centre - half:
            first += 1
        while first > 0 and x[first - 1] >= centre - half:
            first -= 1
        while last < n and x[last] <= centre + half:
            last += 1
        while x[last - 1] > centre + half:
            last -= 1
        fits.append(_fit(x, y, counts, i, half, range(first, last)))
    return Smoothed(*map(list, zip(*fits, strict=True))) if fits else Smoothed([], [], [])


def binned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float], list[float]]:
    """Average runs of points closer than :data:`BIN` decades; return x, y and the counts.

    >>> binned([0.0, 0.001, 1.0], [1.0, 3.0, 5.0])
    ([0.0005, 1.0], [2.0, 5.0], [2.0, 1.0])
    """
    xs: list[float] = []
    ys: list[float] = []
    counts: list[float] = []
    start = 0
    for i in range(1, len(x) + 1):
        if i == len(x) or x[i] - x[start] >= BIN:
            run = i - start
            xs.append(math.fsum(x[start:i]) / run)
            ys.append(math.fsum(y[start:i]) / run)
            counts.append(float(run))
            start = i
    return xs, ys, counts


def _half_width(x: Sequence[float], i: int) -> float:
    """Half a decade, or what reaches the nearest five points."""
    two = LEAST_POINTS // 2
    if two <= i < len(x) - two and x[i + two] - x[i - two] <= HALF_WIDTH:
        return HALF_WIDTH  # the usual case: five points are well inside
    low, high = max(0, i - LEAST_POINTS + 1), min(len(x), i + LEAST_POINTS)
    distances = sorted(abs(x[j] - x[i]) for j in range(low, high))
    nearest = distances[min(LEAST_POINTS, len(distances)) - 1]
    return max(HALF_WIDTH, nearest * 1.01)


def _fit(
    x: Sequence[float],
    y: Sequence[float],
    counts: Sequence[float],
    i: int,
    half: float,
    window: range,
) -> tuple[float, float, float]:
    """The local line's value at point ``i``, its gain and its residual's."""
    centre = x[i]
    offsets, weights = [], []
    s0 = s1 = s2 = 0.0
    for j in window:
        d = x[j] - centre
        u = min(abs(d) / half, 1.0)
        weight = counts[j] * (1.0 - u * u * u) ** 3
        offsets.append(d)
        weights.append(weight)
        s0 += weight
        s1 += weight * d
        s2 += weight * d * d
    determinant = s0 * s2 - s1 * s1
    slanted = determinant > 1e-12 * s0 * s2  # else: one point, or all at one rate
    scale = 1.0 / (determinant if slanted else s0)
    value = variance = own = 0.0
    for j, d, weight in zip(window, offsets, weights, strict=True):
        effect = scale * (weight * (s2 - s1 * d) if slanted else weight)
        value += effect * y[j]
        variance += effect * effect / counts[j]
        if j == i:
            own = effect
    residual_variance = (1.0 - 2.0 * own) / counts[i] + variance
    return value, math.sqrt(variance), math.sqrt(max(residual_variance, 0.0))
