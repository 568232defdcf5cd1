"""The PNG, SVG or PDF of a comparison, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.records import Comparison
from stepsize.report.axes import whole_ticks
from stepsize.report.compare_panels import Panel, Series, Style
from stepsize.report.compare_rates import RateCurve
from stepsize.report.compare_view import CompareView, ForestRow, RankRow, view_of
from stepsize.report.figures import (
    GRID,
    INK,
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
from stepsize.report.marks import spread
from stepsize.report.schedule_view import Axis
from stepsize.report.wording import plain_text, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_WIDTH = 10.0
_EDGE = 0.22
_PANELS = 3.1  # height of the curves
_ROW, _LINE = 0.27, 0.15  # a row of the ranking, and what a second line of its name adds
_FOOT_LINE = 0.175
#: Where the columns of the ranking begin or end.
_SWATCH, _NAME, _NAME_END, _MEAN, _PLOT, _PLOT_END = 0.22, 0.93, 3.4, 3.5, 5.2, 7.85
_NAME_LETTERS = 36
_FOOT_LETTERS = 150
_HEAD_LETTERS = 86
_MOST_NAME_LINES = 3
_MOST_PLACES = 20  # numbers beside the ends of lines
_MOST_FOOT_LINES = 9
_TINT = "#eef3f8"
_TEXT: dict[str, Any] = {"color": INK, "va": "center_baseline", **PLAIN}
_SMALL: dict[str, Any] = {"size": 9, **_TEXT}
_CAPTION: dict[str, Any] = {"size": 8.5, **_TEXT, "color": SOFT}


def draw(comparison: Comparison, path: str | Path | None = None) -> Figure:
    """Draw ``comparison``; with a ``path`` also save it (``.png``, ``.svg`` or ``.pdf``).

    The ranking's metric and the rates above, the ranking as a forest plot below. No global state
    of matplotlib is touched, no window is opened.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    return drawn(lambda: figure_of(view_of(comparison)), path)


def png(comparison: Comparison) -> bytes:
    """The picture of ``comparison`` as the bytes of a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return rendered(lambda: figure_of(view_of(comparison)), ".png")


def figure_of(
    view: CompareView,
    beside: Callable[[Axes, CompareView], None] | None = None,
    said: Sequence[str] = (),
) -> Figure:
    """The figure of a comparison.

    Args:
        view: what to draw.
        beside: draws what stands right of the curves, by default the rates.
        said: lines between the answer and the title.
    """
    head = balanced(writable(view.answer), _HEAD_LETTERS)
    names = [_name_lines(row) for row in view.rows]
    heights = [_ROW + _LINE * (len(lines) - 1) for lines in names]
    foot = list(_foot_lines(view))
    under = [*said, view.title]
    top = 0.68 + 0.27 * len(head) + 0.18 * len(under)
    ranking = top + _PANELS + 1.08
    end = ranking + sum(heights)
    figure = new_figure(_WIDTH, end + 0.66 + _FOOT_LINE * len(foot))
    _head(figure, under, head)
    split = 6.15
    loss = panel(figure, _EDGE + 0.42, split, top, top + _PANELS)
    _draw_metric(loss, view)
    right = panel(figure, split + 0.95, _WIDTH - _EDGE, top, top + _PANELS)
    (beside or _draw_rates)(right, view)
    _draw_ranking(figure, view, names, heights, ranking)
    if not view.forest.empty:
        _draw_forest(panel(figure, _PLOT, _PLOT_END, ranking, end), view, heights)
    for number, line in enumerate(foot):
        write(figure, _EDGE, end + 0.66 + _FOOT_LINE * number, line, _CAPTION)
    return figure


def _head(figure: Figure, under: Sequence[str], answer: Sequence[str]) -> None:
    room = _WIDTH - 2 * _EDGE
    for number, line in enumerate(answer):
        style = {**_TEXT, "size": 14, "weight": "bold"}
        fit(write(figure, _EDGE, 0.3 + 0.27 * number, line, style), room)
    for number, line in enumerate(under):
        y = 0.28 + 0.27 * len(answer) + 0.18 * number
        fit(write(figure, _EDGE, y, line, {**_TEXT, "size": 10, "color": SOFT}), room)


def _name_lines(row: RankRow) -> list[str]:
    """The arm's name in a few lines."""
    lines = textwrap.wrap(writable(plain_text(row.arm)), _NAME_LETTERS) or [""]
    rest = " ".join(lines[_MOST_NAME_LINES - 1 :])
    return [*lines[: _MOST_NAME_LINES - 1], *([shorten(rest, _NAME_LETTERS)] if rest else [])]


def _foot_lines(view: CompareView) -> Iterator[str]:
    """What one must know to read the picture, wrapped."""
    first = view.panels[0]
    cut = f"{first.label.capitalize()} is {first.remark}" if first.remark else ""
    test = ", ".join(f"{name} {text}" for name, text in view.test.items())
    test = f"{test} ({view.test_about})." if test else ""
    said = (
        f"{view.bands} {view.method} {view.cost}.".strip(),
        test,
        cut,
        view.rates.remark,
        *view.notes,
    )
    lines = [line for text in said for line in textwrap.wrap(writable(text), _FOOT_LETTERS)]
    yield from lines[:_MOST_FOOT_LINES]
    if len(lines) > _MOST_FOOT_LINES:
        yield "…"


def frame(axes: Axes, title: str, axis: Axis, ends: tuple[float, float]) -> None:
    """Scale, numbers and title of a panel."""
    axes.set_xlim(*ends)
    axes.set_yscale("log" if axis.log else "linear")
    axes.set_ylim(axis.low, axis.high)
    axes.set_yticks([tick.value for tick in axis.ticks], [tick.text for tick in axis.ticks])
    axes.set_yticks([], minor=True)
    axes.tick_params(labelsize=9)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    suffix = " (logarithmic)" if axis.log else ""
    over: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(f"{title}{suffix}", (0, 1), xytext=(0, 8), size=10.5, color=INK, **over)


def _x_axis(axes: Axes, label: str, last: int, most: int) -> None:
    ticks = whole_ticks(last, most)
    axes.set_xticks([tick.value for tick in ticks], [tick.text for tick in ticks])
    axes.set_xlabel(label, size=10, color=INK)


def line_of(style: Style) -> dict[str, Any]:
    """How a line of an arm looks, for ``axes.plot``."""
    return {
        "color": style.colour,
        "lw": 2.0 if style.strong else 1.3,
        "ls": (0, style.dash) if style.dash else "-",
        "dash_capstyle": "butt",
        "solid_capstyle": "round",
    }


def _draw_metric(axes: Axes, view: CompareView) -> None:
    """The ranking's metric over the epochs, the best arm on top, its place at its end."""
    shown = view.panels[0]
    frame(axes, writable(shown.label), shown.axis, (0, view.epochs * 1.0))
    _x_axis(axes, "epoch", view.epochs, 9)
    if shown.empty:
        style: dict[str, Any] = {"ha": "center", "va": "center", "size": 12, "color": SOFT}
        text = "no finite value" if shown.epochs else "no values yet"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, **style)
        return
    for number, one in enumerate(shown.series):
        _draw_series(axes, shown, one, zorder=4 - number / len(shown.series))
    _draw_places(axes, view, shown)


def _draw_series(axes: Axes, shown: Panel, one: Series, zorder: float) -> None:
    missing = float("nan")
    mean, low, high = (
        [missing if value is None else value for value in column]
        for column in (one.mean, one.low, one.high)
    )
    fill: dict[str, Any] = {
        "color": one.style.colour,
        "lw": 0,
        "alpha": 0.16 if one.style.strong else 0.07,
    }
    axes.fill_between(shown.epochs, low, high, zorder=zorder - 2, **fill)
    axes.plot(shown.epochs, mean, zorder=zorder, **line_of(one.style))
    if len(shown.epochs) == 1:  # no lines yet
        dot: dict[str, Any] = {"color": one.style.colour, "clip_on": False, "zorder": zorder}
        axes.plot(shown.epochs, mean, "o", ms=5, mew=0, **dot)
        axes.vlines(shown.epochs, low, high, lw=1.2, **dot)
    for run in one.runs:
        known = [i for i, value in enumerate(run.values) if value is not None]
        lost = run.status == "diverged"
        if not known or (not lost and all(one.mean[i] is not None for i in known)):
            continue  # its mean tells it
        values = [missing if value is None else value for value in run.values]
        axes.plot(shown.epochs, values, zorder=zorder, **{**line_of(one.style), "lw": 0.9})
        if lost:
            end = min(max(values[known[-1]], shown.axis.low), shown.axis.high)
            cross: dict[str, Any] = {"color": one.style.colour, "ms": 7, "mew": 1.8}
            axes.plot([shown.epochs[known[-1]]], [end], "x", zorder=5, clip_on=False, **cross)


def _draw_places(axes: Axes, view: CompareView, shown: Panel) -> None:
    """The numbers of the ranking beside the ends of the lines, moved apart where they meet."""
    ends: list[tuple[RankRow, float, float]] = []
    for row, one in zip(view.rows, shown.series, strict=True):
        known = [i for i, value in enumerate(one.mean) if value is not None]
        if known and row.number:
            epoch, value = shown.epochs[known[-1]], one.mean[known[-1]]
            height = shown.axis.place(value if value is not None else 0.0)
            if 0 <= height <= 1:
                ends.append((row, epoch / view.epochs, height))
    ends = ends[:_MOST_PLACES]
    places = spread([height for _, _, height in ends], 0.135 / _PANELS)
    for (row, x, height), place in zip(ends, places, strict=True):
        over: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
        colour = row.style.colour
        axes.plot([x + 0.004, x + 0.02], [height, place], color=colour, lw=0.8, **over)
        weight = "bold" if row.style.strong else "normal"
        style = {**_TEXT, **over, "size": 8.5, "color": colour, "weight": weight}
        axes.text(x + 0.025, place, row.number, **style)


def _draw_rates(axes: Axes, view: CompareView) -> None:
    rates = view.rates
    frame(axes, "learning rate", rates.axis, (0, view.updates))
    _x_axis(axes, "update", view.updates, 4)
    if not rates.curves:
        style: dict[str, Any] = {"ha": "center", "va": "center", "size": 12, "color": SOFT}
        axes.text(0.5, 0.5, "no rates", transform=axes.transAxes, **style)
    for number, curve in enumerate(rates.curves):
        _draw_rate(axes, rates.axis, curve, 4 - number / len(rates.curves))


def _draw_rate(axes: Axes, axis: Axis, curve: RateCurve, zorder: float) -> None:
    lowest = axis.low * axis.low / axis.high if axis.log else float("-inf")
    updates, values = zip(*curve.points, strict=True)
    style = line_of(curve.style)
    style["lw"] *= 0.85
    axes.plot(updates, [max(value, lowest) for value in values], zorder=zorder, **style)


def _draw_ranking(
    figure: Figure,
    view: CompareView,
    names: Sequence[Sequence[str]],
    heights: Sequence[float],
    top: float,
) -> None:
    """The columns of text beside the forest plot; what equals the best is shaded."""
    heads = ((_NAME, view.noun), (_MEAN, "mean [95 % interval]"))
    for x, text in (*heads, (_PLOT_END + 0.12, "difference [95 % interval]")):
        write(figure, x, top - 0.15, text, _CAPTION)
    alike = {row.place: row.place_text for row in view.rows if row.place in ("equal", "unknown")}
    shaded = f"   (shaded: {' or '.join(alike.values())})" if alike else ""
    title = {**_TEXT, "size": 10.5}
    write(figure, _EDGE, top - 0.42, f"ranking by {view.metric}{shaded}", title)
    for row, lines, height in zip(view.rows, names, heights, strict=True):
        middle = top + height / 2
        if alike and row.place in ("best", *alike):
            _shade(figure, top, height)
        _swatch(figure, row, middle)
        for number, line in enumerate(lines):
            y = middle + _LINE * (number - (len(lines) - 1) / 2)
            fit(write(figure, _NAME, y, line, _name_style(row)), _NAME_END - _NAME)
        _numbers(figure, row, middle)
        top += height


def _name_style(row: RankRow) -> dict[str, Any]:
    return {**_SMALL, "weight": "bold" if row.place == "best" else "normal"}


def _numbers(figure: Figure, row: RankRow, y: float) -> None:
    if not row.number:
        write(figure, _MEAN, y, row.place_text, {**_SMALL, "color": SOFT})
        return
    fit(write(figure, _MEAN, y, f"{row.mean} {row.interval}", _SMALL), _PLOT - _MEAN - 0.08)
    said = "best" if row.place == "best" else f"{row.difference} {row.difference_interval}"
    x = _PLOT_END + 0.12
    fit(write(figure, x, y, said, _SMALL), _WIDTH - 0.17 - x)


def _shade(figure: Figure, top: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    width, whole = figure.get_size_inches()
    left, wide = 0.12 / width, 1 - 0.24 / width
    figure.add_artist(
        Rectangle(
            (left, 1 - (top + height) / whole),
            wide,
            height / whole,
            transform=figure.transFigure,
            facecolor=_TINT,
            edgecolor="none",
            zorder=-1,
        )
    )


def _swatch(figure: Figure, row: RankRow, y: float) -> None:
    """The number of the place and a piece of the arm's line."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    if row.number:
        style = {**_SMALL, "ha": "right", "color": row.style.colour, "weight": "bold"}
        write(figure, _SWATCH + 0.16, y, row.number, style)
    ends = [(_SWATCH + 0.23) / width, (_NAME - 0.07) / width]
    line = Line2D(ends, [1 - y / height] * 2, transform=figure.transFigure, **line_of(row.style))
    figure.add_artist(line)


def _draw_forest(axes: Axes, view: CompareView, heights: Sequence[float]) -> None:
    """The differences to the best: hollow where the arm cannot be told from it."""
    axis = view.forest.axis
    axes.set_xlim(axis.low, axis.high)
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.patch.set_visible(False)
    axes.set_xticks([tick.value for tick in axis.ticks], [tick.text for tick in axis.ticks])
    axes.tick_params(labelsize=8.5)
    axes.set_xlabel(view.forest.label, size=9, color=INK)
    axes.axvline(0, color=SOFT, lw=1, zorder=1)
    axes.grid(axis="x", color="#e2e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    foot = 0.0
    for row, place, height in zip(view.rows, view.forest.rows, heights, strict=True):
        _draw_difference(axes, row, place, foot + height / 2, axis)
        foot += height


def _draw_difference(axes: Axes, row: RankRow, place: ForestRow, y: float, axis: Axis) -> None:
    if place.difference is None:
        return
    colour = row.style.colour
    if place.low is not None and place.high is not None:
        ends = [max(place.low, axis.low), min(place.high, axis.high)]
        if ends[0] <= ends[1]:
            axes.plot(ends, [y, y], color=colour, lw=1.8, solid_capstyle="butt", zorder=2)
    at = min(max(place.difference, axis.low), axis.high)
    mark = ">" if place.off > 0 else "<" if place.off < 0 else "D" if row.place == "best" else "o"
    face = "white" if row.place in ("equal", "unknown") and not place.off else colour
    style: dict[str, Any] = {"ms": 6, "mec": colour, "mew": 1.6, "mfc": face, "clip_on": False}
    axes.plot([at], [y], mark, zorder=3, **style)
