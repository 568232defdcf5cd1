"""Small pictures of a comparison as SVG: swatches, the forest plot, and charts without a script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from stepsize.report.axes import Tick, whole_ticks
from stepsize.report.compare_panels import Panel, Style
from stepsize.report.compare_rates import Rates
from stepsize.report.compare_view import CompareView, Forest, ForestRow
from stepsize.report.schedule_view import Axis
from stepsize.report.svg import dashes, label, picture

#: A line over the progress of the run: shares of it, and values.
_Line = tuple[int, Style, Sequence[tuple[float, float | None]]]

_FOREST = 260
_ROW = 26
_WIDTH, _HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 8, 46


def swatch(number: int, style: Style) -> str:
    """The line of an arm, as long as it takes to see its dashes."""
    line = f'<line x1="1" y1="5" x2="31" y2="5"{dashes(style, 2.0)}/>'
    return picture(32, 10, line, f"swatch arm-{number}")


def forest_row(row: ForestRow, forest: Forest, number: int, sure: bool) -> str:
    """An arm's difference to the best with its interval; an arrowhead where it is off the axis.

    Args:
        row: what to draw.
        forest: whose row it is.
        number: of the arm.
        sure: filled where the arm is the best or worse, open where that cannot be told.
    """
    middle = _ROW / 2
    parts = []
    if row.low is not None and row.high is not None:
        low, high = (_clipped(forest.axis, end) for end in (row.low, row.high))
        if high > low:
            parts.append(
                f'<line class="interval" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" '
                f'y2="{middle}"/>'
            )
    kind = "middle sure" if sure else "middle"
    if row.off:
        tip, back = (_FOREST - 2, _FOREST - 11) if row.off > 0 else (2, 11)
        corners = f"{back},{middle - 5.5} {tip},{middle} {back},{middle + 5.5}"
        parts.append(f'<polygon class="{kind}" points="{corners}"/>')
    elif row.difference is not None:
        at = _clipped(forest.axis, row.difference)
        parts.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{middle}" r="4.2"/>')
    return picture(_FOREST, _ROW, "".join(parts), f"forest arm-{number}")


def zero_of(forest: Forest) -> float:
    """Where in a row of the forest plot there is no difference, in pixels from its left."""
    return _clipped(forest.axis, 0.0)


def forest_axis(forest: Forest) -> str:
    """The numbers below the forest plot and what they are."""
    parts = [f'<line class="zero" x1="0" y1="0.5" x2="{_FOREST}" y2="0.5"/>']
    ticks = forest.axis.ticks
    longest = max((len(tick.text) for tick in ticks), default=1)
    stride = max(1, -(-len(ticks) * (longest * 7 + 14) // _FOREST))
    zero = next((i for i, tick in enumerate(ticks) if tick.value == 0), 0)
    for tick in ticks[zero % stride :: stride]:
        at = _clipped(forest.axis, tick.value)
        inside = min(max(at, longest * 3.2), _FOREST - longest * 3.2)
        parts.append(f'<line class="zero" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="5"/>')
        parts.append(label(inside, 19, tick.text, "middle"))
    return picture(_FOREST, 24, "".join(parts), "forest")


def metric_chart(panel: Panel, view: CompareView) -> str:
    """A metric's means over the epochs, for readers without scripts."""
    shares = [epoch / view.epochs for epoch in panel.epochs]
    lines: list[_Line] = [
        (number, one.style, list(zip(shares, one.line, strict=False)))
        for number, one in enumerate(panel.series)
    ]
    return _chart(lines, panel.axis, whole_ticks(view.epochs), view.epochs, "epoch")


def rate_chart(rates: Rates, view: CompareView) -> str:
    """The schedules over the updates, for readers without scripts."""
    numbers = {row.arm: number for number, row in enumerate(view.rows)}
    lines: list[_Line] = [
        (numbers[one.arm], one.style, [(x / view.updates, rate) for x, rate in one.points])
        for one in rates.curves
    ]
    return _chart(lines, rates.axis, whole_ticks(view.updates, 6), view.updates, "update")


def _chart(lines: Sequence[_Line], axis: Axis, ticks: Iterable[Tick], last: int, below: str) -> str:
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    foot = _HEIGHT - _BOTTOM
    parts = []
    for tick in axis.ticks:
        y = _TOP + (1 - axis.place(tick.value)) * high
        parts.append(
            f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
            + label(_LEFT - 8, y + 4, tick.text, "end")
        )
    for tick in ticks:
        x = _LEFT + wide * tick.value / last
        parts.append(
            f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{foot}"/>'
            + label(x, foot + 17, tick.text, "middle")
        )
    parts.append(label(_LEFT + wide / 2, _HEIGHT - 8, below, "middle"))
    inner = "".join(
        _polylines(number, style, points, axis, wide, high)
        for number, style, points in reversed(lines)
    )
    # The inner picture cuts what leaves the axis.
    parts.append(
        f'<svg x="{_LEFT}" y="{_TOP}" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}">{inner}</svg>'
    )
    return picture(_WIDTH, _HEIGHT, "".join(parts), "still")


def _polylines(
    number: int,
    style: Style,
    points: Sequence[tuple[float, float | None]],
    axis: Axis,
    wide: int,
    high: int,
) -> str:
    """One line for every stretch of values."""
    width = 2.0 if style.strong else 1.4
    parts = []
    for known, stretch in groupby(points, key=lambda point: point[1] is not None):
        if known:
            places = " ".join(
                f"{x * wide:.1f},{(1 - min(max(axis.place(y or 0.0), -1.0), 2.0)) * high:.1f}"
                for x, y in stretch
            )
            parts.append(
                f'<polyline class="arm-{number}" points="{places}" stroke-width="{width}"'
                f"{dashes(style, width)}/>"
            )
    return "".join(parts)


def _clipped(axis: Axis, value: float) -> float:
    return min(max(axis.place(value), 0.0), 1.0) * _FOREST
