"""The updates of a comparison's runs: training loss and rates in buckets that all arms share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import final

from stepsize.records import Comparison, Run, Trace
from stepsize.report.axes import drawable
from stepsize.report.compare_panels import RunLine, Series, axis_of, style_of
from stepsize.report.compare_words import standings_of
from stepsize.report.schedule_view import Axis

#: A value for each bucket, None where there is none.
Column = tuple[float | None, ...]


@final
@dataclass(frozen=True, slots=True)
class TracePanel:
    """Training loss and rates, bucket by bucket.

    Attributes:
        width: updates in a bucket, the same for all arms.
        updates: how many updates the buckets cover.
        axis: the vertical axis of the training loss.
        edge: from where on losses are cut off; None where none is.
        series: the arms, best first. The mean is over the seeds' means; the band goes from the
            lowest to the highest loss of a single update of any seed.
        rates: the lowest and highest rate of an arm's first run (that has come farthest) in each
            bucket, by the arm's name. Those of its other runs are the same, unless each has found
            its own.
    """

    width: int
    updates: int
    axis: Axis
    edge: float | None
    series: tuple[Series, ...]
    rates: Mapping[str, tuple[Column, Column]]


def trace_panel(comparison: Comparison, traces: Mapping[str, Trace]) -> TracePanel | None:
    """The traces of all runs on the widest of their buckets; None without any.

    Args:
        comparison: whose runs they are.
        traces: by the run's key; runs without one are left out.

    >>> from stepsize.records import Standing
    >>> run = Run("a", "constant(0.1)", 0, "finished", 4, 4, key="k")
    >>> some = Comparison("digits", 1, 4, (0,), "val_loss", (run,), (Standing("a", "", "best"),))
    >>> one = Trace(2, 4, (0.1, 0.1), (0.1, 0.1), (1.0, 0.5), (1.5, 0.7), (2.0, 0.9))
    >>> trace_panel(some, {"k": one}).series[0].mean
    (1.5, 0.7)
    """
    seen = {
        run.key: traces[run.key]
        for run in comparison.runs
        if run.key in traces and len(traces[run.key])
    }
    if not seen:
        return None
    width = max(trace.width for trace in seen.values())
    updates = max(trace.updates for trace in seen.values())
    count = -(-updates // width)
    shared = {key: _shared(trace, width, count) for key, trace in seen.items()}
    rows = [
        (row.arm, [run for run in comparison.of(row.arm) if run.key in seen])
        for row in standings_of(comparison)
    ]
    series = tuple(
        _series(arm, number, runs, shared, count) for number, (arm, runs) in enumerate(rows)
    )
    middles = [bucket * width + width // 2 for bucket in range(count)]
    # The axis fits the lines: single updates scatter far beyond.
    nothing = (None,) * count
    lines = [replace(one, low=nothing, high=nothing) for one in series]
    axis, edge = axis_of(lines, middles, higher=False)
    rates = {
        arm: _rates([(shared[run.key].lr_low, shared[run.key].lr_high) for run in runs])
        for arm, runs in rows
        if runs
    }
    return TracePanel(width, updates, axis, edge, series, rates)


@dataclass(frozen=True, slots=True)
class _Shared:
    """A trace in the buckets of all; None where it has nothing or what is not finite."""

    lr_low: Column
    lr_high: Column
    low: Column
    mean: Column
    high: Column


def _shared(trace: Trace, width: int, count: int) -> _Shared:
    """``trace`` in ``count`` buckets of ``width`` updates.

    A bucket that is cut by the border of two counts in both: with its share for the mean, wholly
    for the extremes.
    """
    if trace.width == width:
        rest = (None,) * (count - len(trace))
        return _Shared(*((*map(_known, column), *rest) for column in _columns(trace)))
    columns: list[list[float | None]] = [[], [], [], [], []]
    for bucket in range(count):
        start, stop = bucket * width, min((bucket + 1) * width, trace.updates)
        inside = range(start // trace.width, -(-stop // trace.width)) if start < stop else range(0)
        weights = [min(stop, trace.start(i + 1)) - max(start, trace.start(i)) for i in inside]
        values = (
            min((trace.lr_low[i] for i in inside), default=math.inf),
            max((trace.lr_high[i] for i in inside), default=math.inf),
            min((trace.loss_low[i] for i in inside), default=math.inf),
            _mean([trace.loss_mean[i] for i in inside], weights),
            max((trace.loss_high[i] for i in inside), default=math.inf),
        )
        for column, value in zip(columns, values, strict=True):
            column.append(_known(value))
    return _Shared(*map(tuple, columns))


def _columns(trace: Trace) -> tuple[tuple[float, ...], ...]:
    return trace.lr_low, trace.lr_high, trace.loss_low, trace.loss_mean, trace.loss_high


def _known(value: float) -> float | None:
    return value if drawable(value) else None


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    if not values or not all(map(drawable, values)):
        return math.inf
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _series(
    arm: str, number: int, runs: Sequence[Run], shared: Mapping[str, _Shared], count: int
) -> Series:
    lines = tuple(RunLine(run.seed, run.status, shared[run.key].mean) for run in runs)
    # A mean of those that are left would flatter the arm.
    means = tuple(_together([line.values[i] for line in lines]) for i in range(count))
    ends = [(shared[run.key].low, shared[run.key].high) for run in runs]
    low, high = _envelope(ends or [((None,) * count,) * 2])
    return Series(arm, style_of(number), means, low, high, lines)


def _together(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _rates(runs: Sequence[tuple[Column, Column]]) -> tuple[Column, Column]:
    """The rates of the first of the longest runs: those of several would be one zigzag."""
    return max(runs, key=lambda ends: sum(value is not None for value in ends[0]))


def _envelope(ends: Sequence[tuple[Column, Column]]) -> tuple[Column, Column]:
    """The lowest and the highest of several runs; None where no run has any."""
    lows = zip(*(low for low, _ in ends), strict=True)
    highs = zip(*(high for _, high in ends), strict=True)
    return (
        tuple(min((v for v in values if v is not None), default=None) for values in lows),
        tuple(max((v for v in values if v is not None), default=None) for values in highs),
    )
