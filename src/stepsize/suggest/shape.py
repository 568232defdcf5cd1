"""The shape of a curve: what is left of it when noise and blow-up are taken away.

Every question a rule of ours asks (how far did the loss fall, where was it lowest, how sure is
that) is answered here once, in decades and relative to the curve itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from stepsize.level import Level
from stepsize.records import Curve
from stepsize.suggest.smoothing import Smoothed, binned, local_line

#: Fewer points than this before the divergence say nothing.
LEAST_POINTS = 12
#: Fewer points than this have no scatter of their own.
LEAST_FOR_SCATTER = 8


@dataclass(frozen=True)
class Shape:
    """A curve's smoothed form and its landmarks.

    Attributes:
        x: log10 of the rate whose effect each loss shows (the lag of the measurement removed).
        value: the smoothed loss.
        error: the standard error of each smoothed value.
        start: the loss level before learning begins.
        start_error: its standard error.
        drop_error: the standard error of the drop; larger where either end's own scatter is.
        before: how many points the start level was read from.
        lowest: the index of the smoothed minimum.
        cap: where higher losses were cut off before smoothing.
    """

    x: tuple[float, ...]
    value: tuple[float, ...]
    error: tuple[float, ...]
    start: float
    start_error: float
    drop_error: float
    before: int
    lowest: int
    cap: float

    @property
    def drop(self) -> float:
        """How far the loss falls from its start.

        The lowest of many noisy values lies below the truth, by about half its standard error.
        """
        return self.start - self.value[self.lowest] - 0.5 * self.error[self.lowest]

    def crossing(self, fraction: float) -> float | None:
        """log10 of the rate where the loss has made ``fraction`` of its fall, for the last time.

        None when the curve is below that level from its first point.
        """
        level = self.start - fraction * self.drop
        i = self.lowest
        while i > 0 and self.value[i - 1] <= level:
            i -= 1
        if i == 0:
            return None
        above, below = self.value[i - 1], self.value[i]
        share = (level - below) / (above - below)
        return self.x[i] + share * (self.x[i - 1] - self.x[i])

    def at(self, x: float) -> int:
        """The index of the point nearest to ``x``."""
        return min(range(len(self.x)), key=lambda i: abs(self.x[i] - x))

    def slope(self, x: float) -> float:
        """The slope of the smoothed loss per decade, over a quarter decade around ``x``."""
        near = [i for i, other in enumerate(self.x) if abs(other - x) <= 0.25]
        i = self.at(x)
        low, high = min([*near, max(i - 1, 0)]), max([*near, min(i + 1, len(self.x) - 1)])
        return (self.value[high] - self.value[low]) / (self.x[high] - self.x[low])


@functools.lru_cache(maxsize=16)
def shape_of(curve: Curve) -> Shape | None:
    """The shape of ``curve`` up to its divergence; None when fewer than twelve points are left.

    Remembered for the last few curves, since every rule of ours asks for it.

    The loss is capped at one drop (and the noise) above its start before smoothing, so that the
    blow-up does not leak into the rates below it.
    """
    curve = curve.finite()
    if len(curve) < LEAST_POINTS:
        return None
    cap = _cap(curve)
    x, losses, counts = binned(
        [math.log10(rate) for rate in curve.at_effect().lr],
        [min(loss, cap) for loss in curve.loss],
    )
    if len(x) < LEAST_POINTS:
        return None
    smoothed = local_line(x, losses, counts)
    noise = _local_noise(x, losses, smoothed)
    error = [sigma * gain for sigma, gain in zip(noise, smoothed.gain, strict=True)]
    before = _before_learning(x)
    start = math.fsum(smoothed.value[:before]) / before
    measured = math.fsum(counts[:before])
    lowest = min(range(len(x)), key=smoothed.value.__getitem__)
    at_start = _scatter(losses, smoothed, range(before)) / math.sqrt(measured)
    bottom = [i for i, place in enumerate(x) if -0.5 <= place - x[lowest] <= 0.25]
    at_bottom = _scatter(losses, smoothed, bottom) * smoothed.gain[lowest]
    start_error = noise[0] / math.sqrt(measured)
    return Shape(
        x=tuple(x),
        value=tuple(smoothed.value),
        error=tuple(error),
        start=start,
        start_error=start_error,
        drop_error=math.hypot(max(start_error, at_start), max(error[lowest], at_bottom)),
        before=before,
        lowest=lowest,
        cap=cap,
    )


def _cap(curve: Curve) -> float:
    level = Level()
    for rate, loss in zip(curve.lr, curve.loss, strict=True):
        level.see(rate, loss)
    return level.start + level.drop + 3.0 * level.noise


def _before_learning(x: list[float]) -> int:
    """How many points the start level is read from: a seventh of the range, a decade at most."""
    reach = x[0] + min(1.0, (x[-1] - x[0]) / 7.0)
    return max(3, sum(value <= reach for value in x))


def _scatter(y: list[float], smoothed: Smoothed, near: Sequence[int]) -> float:
    """The root mean square residual of the points ``near``; 0 where they are too few to tell.

    A median does not see the few wild losses that make a fall out of nothing, nor noise that grows
    with the rate faster than half a decade can show; a mean of squares sees both.
    """
    if len(near) < LEAST_FOR_SCATTER:
        return 0.0
    squares = [
        ((y[i] - smoothed.value[i]) / smoothed.residual_gain[i]) ** 2
        for i in near
        if smoothed.residual_gain[i] > 0.0
    ]
    return math.sqrt(math.fsum(squares) / len(near))


def _local_noise(x: list[float], y: list[float], smoothed: Smoothed) -> list[float]:
    """The standard deviation of a single measurement around each point.

    The median absolute residual within a decade below and a quarter above: noise grows towards the
    divergence, so one figure for the whole curve would be wrong at both ends, and the blow-up
    itself is no noise. Never below the median over the decades of the whole curve (a few quiet
    points are luck), nor below what single precision resolves.
    """
    residuals = [
        abs(loss - value) / gain
        for loss, value, gain in zip(y, smoothed.value, smoothed.residual_gain, strict=True)
        if gain > 0.0
    ]
    if len(residuals) < len(y):  # a point that is alone in its window has no residual
        return [max(residuals, default=0.0) / 0.6745] * len(y)
    floor = max(_median_over_decades(x, residuals), 1e-7 * max(abs(value) for value in y))
    noise = []
    first = last = 0
    for i, centre in enumerate(x):
        while x[first] < centre - 1.0:
            first += 1
        while last < len(x) and x[last] <= centre + 0.25:
            last += 1
        low = min(first, max(0, i - 7))
        high = max(last, min(len(x), low + 8))
        noise.append(max(median(residuals[low:high]), floor) / 0.6745)  # the median of |N(0, 1)|
    return noise


def _median_over_decades(x: list[float], values: list[float]) -> float:
    """The median in which every decade counts alike.

    On a linear ladder most points lie in the last decade, and so, often, in the blow-up.
    """
    ends = [x[0], *((a + b) / 2.0 for a, b in pairwise(x)), x[-1]]
    ranked = sorted(zip(values, (b - a for a, b in pairwise(ends)), strict=True))
    half, passed = (x[-1] - x[0]) / 2.0, 0.0
    for value, width in ranked:
        passed += width
        if passed >= half:
            return value
    return ranked[-1][0]
