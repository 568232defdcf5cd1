"""The rates of a comparison: what each arm's schedule says over the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from stepsize.errors import StepsizeError
from stepsize.records import Comparison
from stepsize.report.compare_panels import Style, style_of
from stepsize.report.compare_words import names_text, standings_of
from stepsize.report.schedule_trace import Sample, Trace, trace
from stepsize.report.schedule_view import Axis, value_axis
from stepsize.schedules import parse

#: Stretches a long run is cut into; each keeps its first, last, lowest and highest value.
_STRETCHES = 500
#: A point is left out where a straight line passes it this close, as a share of the axis.
_CLOSE = 5e-4
#: Where another arm's peak is higher than the best one's by this factor, the axis is logarithmic.
_LOG_FACTOR = 8.0
#: Such an axis goes down to this share of the lowest peak; lines that end in zero leave it.
_FOOT = 0.01


@final
@dataclass(frozen=True, slots=True)
class RateCurve:
    """The rates of one arm: ``(update, rate)`` in order, joined by straight lines."""

    arm: str
    style: Style
    points: tuple[tuple[int, float], ...]


@final
@dataclass(frozen=True, slots=True)
class Rates:
    """The schedules over the run.

    Attributes:
        curves: the arms whose schedule can be read, best first.
        axis: the vertical axis; the horizontal one goes from 0 to the budget in updates.
        remark: the arms that have no curve, in a sentence; empty where all have one.
    """

    curves: tuple[RateCurve, ...]
    axis: Axis
    remark: str


def rates_of(comparison: Comparison) -> Rates:
    """The rate curves of all arms.

    >>> from stepsize.records import Comparison, Standing
    >>> rows = (Standing("a", "linear(0.5, steps=10)", "best"), Standing("b", "secret", "worse"))
    >>> rates = rates_of(Comparison("digits", 1, 10, (0,), "val_loss", (), rows))
    >>> rates.curves[0].points, rates.remark
    (((0, 0.5), (9, 0.05), (10, 0.05)), 'No rate curve for b: its schedule cannot be read.')
    """
    seen: list[tuple[str, Style, Trace]] = []
    unread: list[str] = []
    for number, row in enumerate(standings_of(comparison)):
        try:
            # A function named in a stored text is not called: the text may come from anyone.
            schedule = parse(row.schedule, steps=comparison.updates)
            seen.append((row.arm, style_of(number), trace(schedule, comparison.updates)))
        except StepsizeError:
            unread.append(row.arm)
    axis = Axis(0.0, 1.0, False, ())
    if seen:
        peaks = [one.peak.value for _, _, one in seen if one.peak.value > 0]
        log = bool(peaks) and max(peaks) > _LOG_FACTOR * peaks[0]
        foot = _FOOT * min(peaks) if log else 0.0
        values = [max(p.value, foot) for _, _, one in seen for p in one.points]
        axis = value_axis(values, log=log, most=6)
    curves = tuple(RateCurve(arm, style, _points(one, axis)) for arm, style, one in seen)
    whose = "its schedule" if len(unread) == 1 else "their schedules"
    remark = f"No rate curve for {names_text(unread)}: {whose} cannot be read." if unread else ""
    return Rates(curves, axis, remark)


def _points(seen: Trace, axis: Axis) -> tuple[tuple[int, float], ...]:
    """The values that a line needs, the last one held to the end of its update."""
    points = list(seen.points)
    if len(points) > 4 * _STRETCHES:
        points = _thinned(points, seen.steps)
    points.append(Sample(seen.steps, points[-1].value))
    return tuple((point.step, point.value) for point in _without_straight(points, axis))


def _thinned(points: Sequence[Sample], steps: int) -> list[Sample]:
    """First, lowest, highest and last of every stretch."""
    stretches: dict[int, list[Sample]] = {}
    for point in points:
        stretches.setdefault(point.step * _STRETCHES // steps, []).append(point)
    kept: list[Sample] = []
    for part in stretches.values():
        low = min(part, key=lambda point: point.value)
        high = max(part, key=lambda point: point.value)
        kept += sorted({part[0], low, high, part[-1]})
    return kept


def _without_straight(points: Sequence[Sample], axis: Axis) -> list[Sample]:
    """The points without those that a line between others passes through; peaks stay."""
    kept = [points[0]]
    low, high = -math.inf, math.inf  # slopes that pass all points since the last kept one
    for i, (before, point) in enumerate(pairwise(points)):
        slope = _slope(kept[-1], point, axis)
        turn = i > 0 and (before.value - points[i - 1].value) * (point.value - before.value) < 0
        if turn or not low <= slope <= high:
            kept.append(before)
            low, high = -math.inf, math.inf
            slope = _slope(before, point, axis)
        room = _CLOSE / (point.step - kept[-1].step)
        low, high = max(low, slope - room), min(high, slope + room)
    return [*kept, points[-1]]


def _slope(start: Sample, end: Sample, axis: Axis) -> float:
    return (axis.place(end.value) - axis.place(start.value)) / (end.step - start.step)
