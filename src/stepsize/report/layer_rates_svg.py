"""Measured layer rates as a table with a strip of the picture in every row, for pages."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from stepsize.report.layer_rates_view import LayerRatesView, LayerRow, view_of
from stepsize.report.page import items, table, text
from stepsize.report.svg import label, picture
from stepsize.report.wording import rate_text

if TYPE_CHECKING:
    from stepsize.fine_tuning import LayerRangeTests

_WIDTH, _ROW = 640, 46
#: Right end of the axis: what is beyond it belongs to the brackets.
_END = 622
_RATE_AT, _READ_AT = 18, 36


def layer_rates(tests: LayerRangeTests) -> str:
    """The table of ``tests`` with its legend and what there is to say, as markup.

    Its classes are those of ``layer_rates.css``.
    """
    view = view_of(tests)
    rows = "".join(_row(view, number) for number in range(len(view.rows)))
    said = f'<p class="key">{text(" ".join(view.said))}</p>' if view.said else ""
    keys = "".join(f"<li>{_sample(kind)}<span>{text(of)}</span></li>" for kind, of in view.legend)
    head = (
        f'<tr><th>layer group, input first</th><th class="strip">{_above(view)}</th>'
        "<th>suggested rate</th></tr>"
    )
    foot = f'<tr><td></td><td class="strip">{_below(view)}</td><td></td></tr>'
    return (
        f'<p class="said">{text(view.title)}.</p>{said}'
        f'<table class="layers"><thead>{head}</thead><tbody>{rows}</tbody>'
        f'<tfoot>{foot}</tfoot></table><ul class="legend">{keys}</ul>'
        f'<p class="key">{text(view.cost)}. The loss has the same scale in every row.</p>'
        f"{_details(view)}"
    )


def fragment(tests: LayerRangeTests) -> str:
    """A few lines of HTML for a notebook: the answer and the rates, no script and no style."""
    view = view_of(tests)
    rows = [(text(row.name), row.value, row.ends, text(row.said)) for row in view.rows]
    shown = table(("layer group", "suggested rate", "95 % interval", "its own test"), rows)
    said = "".join(f"<div>{text(line)}</div>" for line in view.said)
    return (
        f"<div><strong>{text(view.title)}</strong>{said}{shown}"
        f"<small>{text(view.cost)}</small></div>"
    )


def _details(view: LayerRatesView) -> str:
    said = [f"{row.name}: {row.said}" for row in view.rows if row.said]
    if not said:
        return ""
    return f'<details class="small"><summary>What each test says</summary>{items(said)}</details>'


def _row(view: LayerRatesView, number: int) -> str:
    row = view.rows[number]
    below = f'<span class="sub">{escape(row.ends)}</span>' if row.ends else ""
    silent = "" if row.informative else '<span class="sub">no information</span>'
    strip = picture(_WIDTH, _ROW, "".join(_strip(view, number)), "strip")
    return (
        f'<tr><th scope="row">{text(row.name)}{silent}</th><td class="strip">{strip}</td>'
        f'<td class="value">{escape(row.value)}{below}</td></tr>'
    )


def _x(view: LayerRatesView, rate: float) -> float:
    return min(max(view.place(rate), 0.0), 1.0) * _END


def _strip(view: LayerRatesView, number: int) -> Iterator[str]:
    row = view.rows[number]
    for tick in view.ticks:
        yield _upright("grid", _x(view, tick.value))
    if row.ceiling is not None and row.ceiling < view.ends[1]:
        x = _x(view, row.ceiling)
        yield f'<rect class="harm" x="{x:.1f}" y="0" width="{_END - x:.1f}" height="{_ROW}"/>'
        yield _upright("ceiling", x)
    yield _folk(view, row)
    if view.common is not None:
        yield _upright("common", _x(view, view.common))
    yield _curve(view, row)
    if row.read is not None:
        yield _mark("read", _READ_AT, view, *row.read)
    if row.rate is not None:
        kind = "rate" if row.informative else "rate pooled"
        yield _mark(kind, _RATE_AT, view, row.rate, row.interval)
    for first, last in view.brackets:
        if first <= number <= last:
            yield _bracket(number == first, number == last)


def _upright(kind: str, x: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{_ROW}"/>'


def _folk(view: LayerRatesView, row: LayerRow) -> str:
    """Where the usual advice puts the group; an arrowhead where that is off the axis."""
    if row.folk is None:
        return ""
    if not view.inside(row.folk):
        return f'<path class="folk off" d="M9 {_ROW / 2 - 6}l-8 6l8 6z"/>'
    low, high = (_x(view, end) for end in row.folk)
    return f'<rect class="folk" x="{low:.1f}" y="4" width="{high - low:.1f}" height="{_ROW - 8}"/>'


def _curve(view: LayerRatesView, row: LayerRow) -> str:
    """One line for every stretch of the loss; the frame of the strip cuts what leaves it."""
    lines = []
    for known, stretch in groupby(row.curve, key=lambda point: point[1] is not None):
        if known:
            places = " ".join(
                f"{_x(view, rate):.1f},{_ROW - 3 - (_ROW - 6) * (height or 0.0):.1f}"
                for rate, height in stretch
            )
            lines.append(f'<polyline class="curve" points="{places}"/>')
    return "".join(lines)


def _mark(
    kind: str, y: int, view: LayerRatesView, rate: float, ends: tuple[float, float] | None
) -> str:
    line = ""
    if ends is not None:
        low, high = (_x(view, end) for end in ends)
        line = f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}"/>'
    point = f'<circle cx="{_x(view, rate):.1f}" cy="{y}" r="{3 if kind == "read" else 5.5}"/>'
    return f'<g class="{kind}">{line}{point}</g>'


def _bracket(first: bool, last: bool) -> str:
    """The part of a bracket that belongs to one row."""
    x, top, foot = _WIDTH - 8, 8 if first else 0, _ROW - 8 if last else _ROW
    path = f"M{x - 6} {top}h6" if first else f"M{x} {top}"
    return f'<path class="bracket" d="{path}V{foot}{"h-6" if last else ""}"/>'


def _above(view: LayerRatesView) -> str:
    """What the dashed line is, above it."""
    if view.common is None:
        return ""
    x = _x(view, view.common)
    anchor = "start" if x < 0.3 * _END else "end" if x > 0.7 * _END else "middle"
    words = f"all at once: {rate_text(view.common)}"
    return picture(_WIDTH, 26, label(x, 19, words, anchor), "strip")


def _below(view: LayerRatesView) -> str:
    """The numbers of the axis."""
    parts = [f'<line class="axis" x1="0" y1="0.5" x2="{_END}" y2="0.5"/>']
    for tick in view.ticks:
        x = _x(view, tick.value)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="5"/>')
        room = 6.0 * len(tick.text)
        parts.append(label(min(max(x, room), _END - room), 24, tick.text, "middle"))
    parts.append(label(_END / 2, 50, "learning rate (logarithmic)", "middle"))
    return picture(_WIDTH, 58, "".join(parts), "strip")


def _sample(kind: str) -> str:
    """A mark as the legend shows it."""
    line = '<line x1="1" y1="7" x2="31" y2="7"/>'
    inner = {
        "rate": f'<g class="rate">{line}<circle cx="16" cy="7" r="5"/></g>',
        "pooled": '<g class="rate pooled"><circle cx="16" cy="7" r="5"/></g>',
        "read": f'<g class="read">{line}<circle cx="16" cy="7" r="3"/></g>',
        "ceiling": '<rect class="harm" x="8" y="0" width="24" height="14"/>'
        '<line class="ceiling" x1="8" y1="0" x2="8" y2="14"/>',
        "folk": '<rect class="folk" x="1" y="1" width="30" height="12"/>',
        "common": '<line class="common" x1="16" y1="0" x2="16" y2="14"/>',
        "bracket": '<path class="bracket" d="M12 1h6V13h-6"/>',
        "curve": '<polyline class="curve" points="1,4 9,5 17,11 25,11 31,3"/>',
    }
    return picture(34, 14, inner[kind], "strip")
