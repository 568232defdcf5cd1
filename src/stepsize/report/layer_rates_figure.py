"""The PNG, SVG or PDF of measured layer rates, drawn with matplotlib: depth down, rates across."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.report.figures import (
    BLUE,
    CHARACTER,
    FAINT,
    GRID,
    INK,
    ORANGE,
    PLAIN,
    SOFT,
    balanced,
    drawn,
    fit,
    new_figure,
    panel,
    rendered,
    writable,
    write,
)
from stepsize.report.layer_rates_view import LayerRatesView, LayerRow, view_of
from stepsize.report.wording import rate_text, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stepsize.fine_tuning import LayerRangeTests

# Inches.
_WIDTH, _EDGE = 10.0, 0.22
_RIGHT = 7.75
_BRACKET, _VALUES = 7.87, 8.1
_ROW, _LEAST_ROW = 0.46, 0.3
_MOST_TALL = 12  # rows; more of them are lower
_LINE = 0.2
_LONGEST_NAME = 30
_HEAD_LETTERS, _SAID_LETTERS, _MOST_SAID = 84, 116, 4
#: Where in a row the suggested rate and the test's own reading stand, from its top.
_RATE_AT, _READ_AT = 0.42, 0.76
_HARM = "#ececec"
_FOLK: dict[str, Any] = {"fc": "#dbe7f3", "ec": "#7d99b8", "lw": 0.7, "ls": (0, (2, 2))}
_TEXT: dict[str, Any] = {"color": INK, "va": "center_baseline", **PLAIN}
_SOFT: dict[str, Any] = {**_TEXT, "size": 9, "color": SOFT}


def draw(tests: LayerRangeTests, path: str | Path | None = None) -> Figure:
    """Draw ``tests``; with a ``path`` also save the picture (``.png``, ``.svg`` or ``.pdf``).

    One row for each layer group, the one nearest the input at the top: its suggested rate with its
    interval, what its own test says, its ceiling, and where the usual advice would put it. No
    global state of matplotlib is touched, no window is opened.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    return drawn(lambda: _figure(view_of(tests)), path)


def png(tests: LayerRangeTests) -> bytes:
    """The picture of ``tests`` as the bytes of a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return rendered(lambda: _figure(view_of(tests)), ".png")


def _figure(view: LayerRatesView) -> Figure:
    head = balanced(view.title, _HEAD_LETTERS)
    said = _said(view)
    count = max(len(view.rows), 1)
    row = _ROW if count <= _MOST_TALL else _LEAST_ROW
    top = 0.78 + 0.27 * len(head) + _LINE * len(said)
    foot = top + row * count
    keys = -(-len(view.legend) // 3)
    figure = new_figure(_WIDTH, foot + 0.8 + _LINE * keys + 0.36)
    _head(figure, head, said)
    longest = max((len(_name(each)) for each in view.rows), default=0)
    left = _EDGE + 0.2 + CHARACTER * min(max(longest, 8), _LONGEST_NAME)
    axes = panel(figure, left, _RIGHT, top, foot)
    _frame(axes, view, row)
    for number, each in enumerate(view.rows):
        _draw_row(axes, view, number, each)
        _words(figure, each, top + row * (number + 0.5), left)
    _brackets(figure, view, top, row)
    write(figure, _EDGE, top - 0.18, "layer group, input first", _SOFT)
    write(figure, _VALUES, top - 0.18, "suggested rate", _SOFT)
    _legend(figure, view, foot + 0.75)
    height = figure.get_size_inches()[1]
    write(figure, _EDGE, height - 0.2, f"{view.cost}.", _SOFT)
    return figure


def _said(view: LayerRatesView) -> list[str]:
    lines = [line for text in view.said for line in textwrap.wrap(writable(text), _SAID_LETTERS)]
    if len(lines) > _MOST_SAID:
        lines = [
            *lines[: _MOST_SAID - 1],
            shorten(" ".join(lines[_MOST_SAID - 1 :]), _SAID_LETTERS),
        ]
    return lines


def _head(figure: Figure, head: list[str], said: list[str]) -> None:
    room = _WIDTH - 2 * _EDGE
    for number, line in enumerate(head):
        style = {**_TEXT, "size": 15, "weight": "bold"}
        fit(write(figure, _EDGE, 0.32 + 0.27 * number, line, style), room)
    for number, line in enumerate(said):
        y = 0.33 + 0.27 * len(head) + _LINE * number
        fit(write(figure, _EDGE, y, line, {**_TEXT, "size": 10.5, "color": SOFT}), room)


def _name(row: LayerRow) -> str:
    return shorten(writable(row.name), _LONGEST_NAME)


def _words(figure: Figure, row: LayerRow, y: float, left: float) -> None:
    """The group's name before its row, its rate behind it."""
    name = write(figure, left - 0.12, y, _name(row), {**_TEXT, "size": 10, "ha": "right"})
    fit(name, left - 0.12 - _EDGE)
    style = {**_TEXT, "size": 10.5, "weight": "bold" if row.informative else "normal"}
    value = write(figure, _VALUES, y, row.value, style)
    beside = _VALUES + 0.1 + value.get_window_extent().width / figure.dpi
    said = write(figure, beside, y, row.ends, _SOFT)
    fit(said, _WIDTH - _EDGE - beside)


def _frame(axes: Axes, view: LayerRatesView, row: float) -> None:
    count = max(len(view.rows), 1)
    axes.set_xscale("log")
    axes.set_xlim(*view.ends)
    axes.set_ylim(count, 0)
    axes.set_xticks([tick.value for tick in view.ticks], [tick.text for tick in view.ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8, axis="x")
    axes.set_axisbelow(True)
    for number in range(count):
        axes.axhline(number, color="#dddddd", lw=0.8, zorder=1)
    axes.set_xlabel("learning rate (logarithmic)", size=10.5, color=INK)
    if view.common is not None:
        axes.axvline(view.common, color=SOFT, lw=1.0, ls=(0, (4, 3)), zorder=1.2)
        right = view.place(view.common) > 0.75
        axes.annotate(
            f"all at once: {rate_text(view.common)}",
            (view.common, 0),
            xytext=(-4 if right else 4, 0.18 * 72),
            textcoords="offset points",
            ha="right" if right else "left",
            **_SOFT,
        )


def _draw_row(axes: Axes, view: LayerRatesView, number: int, row: LayerRow) -> None:
    from matplotlib.patches import Rectangle

    low, high = view.ends
    if row.ceiling is not None and row.ceiling < high:
        start = max(row.ceiling, low)
        axes.add_patch(Rectangle((start, number), high - start, 1, fc=_HARM, lw=0, zorder=0.4))
        axes.plot([start] * 2, [number, number + 1], color=SOFT, lw=1.4, zorder=2.2)
    if row.folk is not None and view.inside(row.folk):
        start, stop = max(row.folk[0], low), min(row.folk[1], high)
        corner = (start, number + 0.08)
        axes.add_patch(Rectangle(corner, stop - start, 0.84, zorder=0.6, **_FOLK))
    elif row.folk is not None:
        at: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
        y = 1 - (number + 0.5) / len(view.rows)
        axes.plot([0.006], [y], "<", ms=6, color=_FOLK["ec"], mew=0, **at)
    frame = Rectangle((low, number), high - low, 1, transform=axes.transData)
    shown = [(rate, float("nan") if height is None else height) for rate, height in row.curve]
    heights = [number + 0.94 - 0.86 * height for _, height in shown]
    (line,) = axes.plot([rate for rate, _ in shown], heights, color=FAINT, lw=1.5, zorder=1.5)
    line.set_clip_path(frame)
    if not row.informative:
        beside: dict[str, Any] = {"xytext": (14, 0), "textcoords": "offset points"}
        spot = (0, number + 0.78)
        over = axes.get_yaxis_transform()
        axes.annotate("no information", spot, xycoords=over, **beside, **{**_SOFT, "size": 8.5})
    if row.read is not None:
        rate, ends = row.read
        _mark(axes, number + _READ_AT, rate, ends, {"color": BLUE, "ms": 3.6, "lw": 0.9})
    if row.rate is not None:
        own: dict[str, Any] = {"color": ORANGE, "ms": 8, "lw": 2.4}
        own |= {"mec": "white"} if row.informative else {"mfc": "white", "mec": ORANGE, "mew": 1.8}
        _mark(axes, number + _RATE_AT, row.rate, row.interval, own)


def _mark(
    axes: Axes, y: float, rate: float, ends: tuple[float, float] | None, style: dict[str, Any]
) -> None:
    """A point with its interval."""
    line = {"color": style["color"], "lw": style.pop("lw")}
    if ends is not None:
        axes.plot(ends, [y, y], zorder=3, solid_capstyle="butt", **line)
    axes.plot([rate], [y], "o", zorder=4, **style)


def _brackets(figure: Figure, view: LayerRatesView, top: float, row: float) -> None:
    """Beside the panel: from the first to the last of the groups that cannot be told apart."""
    for first, last in view.brackets:
        a, b = top + row * (first + 0.18), top + row * (last + 0.82)
        _line(figure, [_BRACKET - 0.06, _BRACKET, _BRACKET, _BRACKET - 0.06], [a, a, b, b])


def _line(figure: Figure, xs: list[float], ys: list[float], **style: Any) -> None:
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    places = [x / width for x in xs], [1 - y / height for y in ys]
    look = {"color": INK, "lw": 1.2, "transform": figure.transFigure, **style}
    figure.add_artist(Line2D(*places, **look))


def _legend(figure: Figure, view: LayerRatesView, top: float) -> None:
    """Samples of the marks in three columns, with what they are."""
    for number, (kind, words) in enumerate(view.legend):
        x = _EDGE + 3.2 * (number % 3)
        y = top + _LINE * (number // 3)
        _sample(figure, kind, x, y)
        write(figure, x + 0.42, y, words, _SOFT)


def _sample(figure: Figure, kind: str, x: float, y: float) -> None:
    across: tuple[list[float], list[float]] = ([x, x + 0.16, x + 0.32], [y] * 3)
    upright: tuple[list[float], list[float]] = ([x + 0.16] * 2, [y - 0.08, y + 0.08])
    dot: dict[str, Any] = {"marker": "o", "markevery": [1]}
    if kind == "rate":
        _line(figure, *across, color=ORANGE, lw=2.4, ms=7, mec="white", **dot)
    elif kind == "pooled":
        open_dot = {"mfc": "white", "mec": ORANGE, "mew": 1.8, "ms": 7, "lw": 0}
        _line(figure, *across, **{"color": ORANGE, **dot, **open_dot})
    elif kind == "read":
        _line(figure, *across, color=BLUE, lw=0.9, ms=3.6, **dot)
    elif kind == "common":
        _line(figure, *upright, color=SOFT, lw=1.0, ls=(0, (3, 2)))
    elif kind == "curve":
        _line(figure, *across, color=FAINT, lw=1.5)
    elif kind == "bracket":
        ys = [y - 0.07, y - 0.07, y + 0.07, y + 0.07]
        _line(figure, [x + 0.12, x + 0.19, x + 0.19, x + 0.12], ys)
    else:
        _box(figure, kind, x, y)


def _box(figure: Figure, kind: str, x: float, y: float) -> None:
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    style = _FOLK if kind == "folk" else {"fc": _HARM, "lw": 0}
    start = x if kind == "folk" else x + 0.08
    corner = (start / width, 1 - (y + 0.07) / height)
    size = (x + 0.32 - start) / width, 0.14 / height
    figure.add_artist(Rectangle(corner, *size, transform=figure.transFigure, **style))
    if kind != "folk":
        _line(figure, [start] * 2, [y - 0.07, y + 0.07], color=SOFT, lw=1.4)
