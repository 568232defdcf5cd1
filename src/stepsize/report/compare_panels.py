"""The curves of a comparison: one panel for each metric, one line for each arm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import final

from stepsize.comparison.intervals import mean_interval
from stepsize.records import Comparison, Run
from stepsize.report.axes import drawable, even_ticks, rate_ticks
from stepsize.report.compare_words import (
    better_when_higher,
    metric_text,
    names_text,
    standings_of,
)
from stepsize.report.schedule_view import Axis

#: With fewer seeds a band goes from the lowest to the highest; with more it is an interval.
FEW_SEEDS = 5
#: Lines that stand out; the others are thinner and paler.
STRONG = 5
#: Curves that fall by this factor are shown on a logarithmic axis.
_LOG_FACTOR = 10.0
#: Smaller values are 0 to the arithmetic of axes.
_LEAST = 1e-100
#: The first epochs, as a share of the run, are shown only if they do not flatten the rest.
_START = 0.1
#: Values beyond the range of the better half are shown if they widen it by no more than this.
_SLACK = 1.0
#: The same where there are fewer epochs than make a curve: then only the arms spread.
_SLACK_OF_FEW = 10.0
_FEW_EPOCHS = 3
#: Nothing is cut where that would widen the picture by no more than this factor.
_LITTLE = 1.4
_MARGIN = 0.05


@final
@dataclass(frozen=True, slots=True)
class Style:
    """How an arm is drawn everywhere.

    Attributes:
        colour, dark: on white and on a dark page.
        dash: lengths of dash and gap in widths of the line; empty for a solid line.
        strong: whether it stands out.
    """

    colour: str
    dark: str
    dash: tuple[float, ...]
    strong: bool


#: Told apart by lightness and hue, also by those who do not see all colours.
_STRONG = (
    ("#0b3c6f", "#6ea8ee"),
    ("#d55e00", "#ff9142"),
    ("#009e73", "#35c79b"),
    ("#9b3f8f", "#d98bcf"),
    ("#2f8fd0", "#a6dcff"),
)
_MUTED = (
    ("#a67c00", "#d9b34a"),
    ("#6b6b6b", "#a9a9a9"),
    ("#d6478f", "#f08bbd"),
    ("#5f9ea0", "#86c5c7"),
    ("#8b6f5c", "#c2a48f"),
    ("#7d86c9", "#a7afe8"),
)
_DASHES: tuple[tuple[float, ...], ...] = ((), (4.0, 1.6), (1.2, 1.4), (5.0, 1.6, 1.2, 1.6))


def style_of(number: int) -> Style:
    """The style of the arm in that place of the ranking, from 0.

    >>> len({style_of(number) for number in range(29)})
    29
    """
    if number < STRONG:
        return Style(*_STRONG[number], (), True)
    later = number - STRONG
    dash = _DASHES[later // len(_MUTED) % len(_DASHES)]
    return Style(*_MUTED[later % len(_MUTED)], dash, False)


@final
@dataclass(frozen=True, slots=True)
class RunLine:
    """One run's values at the panel's epochs; None where it has none."""

    seed: int
    status: str
    values: tuple[float | None, ...]


@final
@dataclass(frozen=True, slots=True)
class Series:
    """One arm in a panel.

    Attributes:
        arm: its name.
        style: how it is drawn.
        mean: over its runs, at the panel's epochs; None where one of those that started has no
            finite value: a mean of those that are left would flatter it.
        low, high: the band over the seeds; None where there is no mean or one run.
        runs: the single runs.
    """

    arm: str
    style: Style
    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    runs: tuple[RunLine, ...]

    @property
    def values(self) -> list[float]:
        """Everything that is drawn of it."""
        columns = (self.mean, self.low, self.high, *(run.values for run in self.runs))
        return [value for column in columns for value in column if value is not None]

    @property
    def line(self) -> tuple[float | None, ...]:
        """The mean, or where there is none at all its longest run."""
        if any(value is not None for value in self.mean) or not self.runs:
            return self.mean
        return max((run.values for run in self.runs), key=lambda line: len(line) - line.count(None))


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """One metric over the epochs.

    Attributes:
        metric: its name, and ``label`` in words.
        higher: whether higher values are better.
        epochs: where the values are; the horizontal axis goes from 0 to the budget.
        axis: the vertical axis; lines may leave it.
        series: the arms, best first.
        remark: what is cut off, such as "cut off above 0.4: all of constant(3) (diverged)."; empty
            where nothing is.
    """

    metric: str
    label: str
    higher: bool
    epochs: tuple[int, ...]
    axis: Axis
    series: tuple[Series, ...]
    remark: str

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(one.values for one in self.series)


def panels_of(comparison: Comparison) -> tuple[Panel, ...]:
    """One panel for each metric: the ranking's first, then the others of the validation."""
    names = dict.fromkeys(
        name for run in comparison.runs for each in run.history for name in each.values
    )
    order = sorted(
        names or [comparison.metric],
        key=lambda name: (
            name != comparison.metric,
            name != "val_loss",
            not name.startswith("val_"),
        ),
    )
    return tuple(_panel(comparison, name) for name in order)


def band_text(comparison: Comparison) -> str:
    """What the bands are, in words; empty for one seed."""
    seeds = len(comparison.seeds)
    if seeds < 2:
        return ""
    if seeds < FEW_SEEDS:
        return f"Lines: mean of {seeds} seeds; bands: from the lowest to the highest seed."
    return f"Lines: mean of {seeds} seeds; bands: 95 % interval of the mean (t)."


def _panel(comparison: Comparison, metric: str) -> Panel:
    epochs = tuple(sorted({each.epoch for run in comparison.runs for each in run.history}))
    series = tuple(
        _series(row.arm, style_of(number), comparison.of(row.arm), metric, epochs)
        for number, row in enumerate(standings_of(comparison))
    )
    higher = better_when_higher(metric, comparison)
    axis, top = axis_of(series, epochs, higher)
    remark = _remark(series, epochs, top, higher)
    return Panel(metric, metric_text(metric), higher, epochs, axis, series, remark)


def _series(
    arm: str, style: Style, runs: Sequence[Run], metric: str, epochs: Sequence[int]
) -> Series:
    lines = tuple(_run_line(run, metric, epochs) for run in runs)
    counted = [
        line.values for line, run in zip(lines, runs, strict=True) if run.history or _lost(run)
    ]
    bands = [_band([values[i] for values in counted]) for i in range(len(epochs))]
    columns = list(zip(*bands, strict=True)) if bands else [(), (), ()]
    return Series(arm, style, columns[0], columns[1], columns[2], lines)


def _lost(run: Run) -> bool:
    return run.status == "diverged"


def _run_line(run: Run, metric: str, epochs: Sequence[int]) -> RunLine:
    at = {each.epoch: each.values.get(metric, math.inf) for each in run.history}
    values = (at.get(epoch, math.inf) for epoch in epochs)
    return RunLine(run.seed, run.status, tuple(v if drawable(v) else None for v in values))


def _band(values: Sequence[float | None]) -> tuple[float | None, float | None, float | None]:
    """Mean and band over the seeds at one epoch."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None, None, None
    middle = mean(known)
    if len(known) == 1:
        return middle, None, None
    if len(known) < FEW_SEEDS:
        return middle, min(known), max(known)
    low, high = mean_interval(known) or (middle, middle)
    return middle, low, high


def axis_of(
    series: Sequence[Series], epochs: Sequence[int], higher: bool
) -> tuple[Axis, float | None]:
    """The vertical axis, and from where on values are cut off (None where none is).

    The better half of the arms after the first epochs decides: what lies far beyond is cut.
    """
    every = [value for one in series for value in one.values]
    if not every:
        return Axis(0.0, 1.0, False, ()), None
    core = _core(series, epochs, higher)
    log = not higher and min(every) > _LEAST and max(core) / min(core) >= _LOG_FACTOR
    scale = math.log if log else float
    sign = -1.0 if higher else 1.0
    core, placed = [sign * scale(v) for v in core], [sign * scale(v) for v in every]
    slack = _SLACK if len(epochs) >= _FEW_EPOCHS else _SLACK_OF_FEW
    low, high = focus(core, placed, slack)
    best = min(placed)
    low = min(low, best)
    if max(placed) - low <= _LITTLE * (high - low):
        high = max(placed)
    cut = max(placed) > high
    margin = _MARGIN * (high - low) or 0.05 * abs(high) or 0.5
    low, high = sorted((sign * (low - margin), sign * (high + (0 if cut else margin))))
    if log:
        low, high = math.exp(low), math.exp(high)
        return Axis(low, high, True, rate_ticks(low, high)), high if cut else None
    ticks = even_ticks(low, high)
    return Axis(low, high, False, ticks), (low if higher else high) if cut else None


def _core(series: Sequence[Series], epochs: Sequence[int], higher: bool) -> list[float]:
    """The values of the better half of the arms, after the first epochs if there are more."""
    drawn = [one for one in series if one.values]
    ends = [_known(one)[-1] for one in drawn]
    order = sorted(range(len(drawn)), key=lambda i: ends[i], reverse=higher)
    better = [drawn[i] for i in order[: -(-len(order) // 2)]]
    late = [i for i, epoch in enumerate(epochs) if epoch > _START * epochs[-1] + 1e-9]
    core = [column[i] for one in better for i in late for column in (one.line, one.low, one.high)]
    known = [value for value in core if value is not None]
    return known or [value for one in better for value in one.values]


def _known(one: Series) -> list[float]:
    return [value for value in one.line if value is not None] or one.values


def focus(
    core: Iterable[float], every: Iterable[float], slack: float = _SLACK
) -> tuple[float, float]:
    """From the least to the largest of ``core``, and what else is not too far from it.

    >>> focus([1.0, 2.0], [0.5, 2.5, 9.0])
    (0.5, 2.5)
    """
    core = list(core)
    low, high = min(core), max(core)
    room = slack * (high - low)
    near = [value for value in every if low - room <= value <= high + room]
    return min(near, default=low), max(near, default=high)


def _remark(
    series: Sequence[Series], epochs: Sequence[int], edge: float | None, higher: bool
) -> str:
    """What lies beyond the edge of the picture."""
    if edge is None:
        return ""

    def beyond(value: float | None) -> bool:
        return value is not None and (value < edge if higher else value > edge)

    whole: list[str] = []
    parts: list[str] = []
    last = 0
    for one in series:
        cut = [i for i, value in enumerate(one.line) if beyond(value)]
        known = [value for value in one.line if value is not None]
        if cut and len(cut) == len(known):
            lost = any(run.status == "diverged" for run in one.runs)
            end = "diverged" if lost else f"ends at {known[-1]:.4g}"
            whole.append(f"{names_text([one.arm])} ({end})")
        elif cut or any(map(beyond, one.values)):
            parts.append(one.arm)
            last = max([last, *(epochs[i] for i in cut)])
    said = [f"all of {', '.join(whole[:3])}" if whole else ""]
    if len(whole) > 3:
        said[0] += f" and {len(whole) - 3} more"
    if parts:
        early = 0 < last <= max(1.0, 3 * _START * epochs[-1])
        first = "the first epoch" if last == 1 else f"the first {last} epochs"
        said.append(f"{first if early else 'parts'} of {names_text(parts)}")
    where = "below" if higher else "above"
    return f"cut off {where} {edge:.3g}: {'; '.join(filter(None, said))}."
