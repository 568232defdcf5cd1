"""The range tests of a phase as one small picture, for the page of transfer plans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from stepsize.report.axes import rate_ticks
from stepsize.report.find_view import FindView
from stepsize.report.svg import label, picture

_WIDTH, _HEIGHT, _FOOT = 340, 130, 104


def range_tests(views: Sequence[FindView]) -> str:
    """The smoothed losses of several range tests over the same rates, and what each suggests."""
    ends = min(view.x[0] for view in views), max(view.x[1] for view in views)
    parts = []
    for tick in rate_ticks(*ends, most=6):
        x = _place(tick.value, ends)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="2" x2="{x:.1f}" y2="{_FOOT}"/>')
        room = 4.0 * len(tick.text)
        parts.append(label(min(max(x, room), _WIDTH - room), _FOOT + 18, tick.text, "middle"))
    low, high = min(view.y[0] for view in views), max(view.y[1] for view in views)
    lines = "".join(_answer(view, ends, len(views) == 1) for view in views)
    lines += "".join(_line(view, ends, (low, high)) for view in views)
    # The inner picture cuts what leaves the axis.
    parts.append(
        f'<svg x="0" y="2" width="{_WIDTH}" height="{_FOOT - 2}" '
        f'viewBox="0 2 {_WIDTH} {_FOOT - 2}">{lines}</svg>'
    )
    return picture(_WIDTH, _HEIGHT, "".join(parts), "still")


def _place(rate: float, ends: tuple[float, float]) -> float:
    low, high = map(math.log, ends)
    return min(max((math.log(rate) - low) / (high - low), 0.0), 1.0) * _WIDTH


def _answer(view: FindView, ends: tuple[float, float], band: bool) -> str:
    if view.lr is None:
        return ""
    parts = ""
    if band and view.interval is not None:
        low, high = (_place(end, ends) for end in view.interval)
        parts = (
            f'<rect class="band" x="{low:.1f}" y="2" width="{max(high - low, 1.0):.1f}" '
            f'height="{_FOOT - 2}"/>'
        )
    x = f"{_place(view.lr, ends):.1f}"
    return f'{parts}<line class="answer-line" x1="{x}" y1="2" x2="{x}" y2="{_FOOT}"/>'


def _line(view: FindView, ends: tuple[float, float], span: tuple[float, float]) -> str:
    """One line for every stretch of the smoothed loss."""
    low, high = span
    points = zip(view.rates, view.line, strict=True)
    lines = []
    for known, stretch in groupby(points, key=lambda pair: pair[1] is not None):
        if known:
            shares = ((rate, ((loss or 0.0) - low) / (high - low)) for rate, loss in stretch)
            places = " ".join(
                f"{_place(rate, ends):.1f},{_FOOT - min(max(y, -1.0), 2.0) * (_FOOT - 2):.1f}"
                for rate, y in shares
            )
            lines.append(f'<polyline points="{places}" stroke-width="2"/>')
    return "".join(lines)
