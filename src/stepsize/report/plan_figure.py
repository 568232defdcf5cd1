"""The PNG, SVG or PDF of a plan's timeline, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.errors import require
from stepsize.fine_tuning.timeline import Timeline
from stepsize.report.axes import whole_ticks
from stepsize.report.figures import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    PLAIN,
    SOFT,
    drawn,
    fit,
    new_figure,
    panel,
    rendered,
    writable,
    write,
)
from stepsize.report.plan_view import Block, Cell, Lane, PlanView, name_of, view_of
from stepsize.report.wording import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_WIDTH = 10.0
_EDGE = 0.22
_LEFT, _RIGHT = 1.75, 9.72
_RATES = 0.72  # height of the schedules' shapes
_LANES = 3.4  # height of the lanes, where there are many
_THICKEST, _THINNEST = 0.29, 0.1
_LINE = 0.185
_BETWEEN = 0.5  # two plans in one picture
_LETTERS = 144
_NAME_LETTERS = 22
_MOST_LINES = 5  # of what a plan says about itself
_LETTER = 0.073  # a generous mean of 9 points
_READABLE = 0.15  # the thinnest lane with text in it
_FROZEN = "#eceff2"
_TEXT: dict[str, Any] = {"color": INK, "va": "center_baseline", **PLAIN}
_SMALL: dict[str, Any] = {**_TEXT, "size": 9}
_CAPTION: dict[str, Any] = {**_TEXT, "size": 9, "color": SOFT}
#: Marks of searches and cycles, in the lanes and in the legend.
_MARKS: dict[str, dict[str, Any]] = {
    "find": {"marker": "v", "ms": 7.5, "mfc": ORANGE, "mec": "white", "mew": 0.8},
    "groups": {"marker": ">", "ms": 6.5, "mfc": ORANGE, "mec": "white", "mew": 0.8},
    "tune": {"marker": "D", "ms": 6, "mfc": ORANGE, "mec": "white", "mew": 0.8},
    "cycle": {"marker": "|", "ms": 8, "mec": FAINT, "mew": 1.2},
}


def draw(timelines: Timeline | Iterable[Timeline], path: str | Path | None = None) -> Figure:
    """Draw one timeline, or several below each other; with a ``path`` also save the picture.

    A lane for each layer group, the input on top; the shape of the rate above them; the phases in
    words below. No global state of matplotlib is touched, no window is opened.

    Raises:
        InputError: no timeline.
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    given = [timelines] if isinstance(timelines, Timeline) else list(timelines)
    return drawn(lambda: figure_of([view_of(timeline) for timeline in given]), path)


def png(timelines: Timeline | Iterable[Timeline]) -> bytes:
    """The picture of one timeline or several as the bytes of a PNG.

    Raises:
        InputError: no timeline.
        MissingDependencyError: matplotlib is not installed.
    """
    given = [timelines] if isinstance(timelines, Timeline) else list(timelines)
    return rendered(lambda: figure_of([view_of(timeline) for timeline in given]), ".png")


def figure_of(views: Sequence[PlanView]) -> Figure:
    """The figure of one view or several, below each other."""
    require(bool(views), "A picture of plans needs at least one timeline, got none.")
    heights = [_height(view) for view in views]
    figure = new_figure(_WIDTH, sum(heights) + _BETWEEN * (len(views) - 1))
    top = 0.0
    for view, height in zip(views, heights, strict=True):
        _draw(figure, view, top)
        top += height + _BETWEEN
    return figure


def _draw(figure: Figure, view: PlanView, top: float) -> None:
    title = write(figure, _EDGE, top + 0.32, view.title, {**_TEXT, "size": 14, "weight": "bold"})
    fit(title, _WIDTH - 2 * _EDGE)
    for number, line in enumerate(_about(view)):
        write(figure, _EDGE, top + 0.6 + _LINE * number, line, _CAPTION)
    rates = top + _head(view)
    lanes = rates + _RATES + 0.06
    foot = lanes + _thickness(view) * len(view.lanes)
    _draw_rates(panel(figure, _LEFT, _RIGHT, rates, rates + _RATES), view)
    _draw_lanes(panel(figure, _LEFT, _RIGHT, lanes, foot), view)
    rest = {**_CAPTION, "ha": "right"}
    write(figure, _LEFT - 0.12, rates + _RATES / 2, "rate, of its peak", rest)
    _draw_legend(figure, view, foot + 0.72)
    below = foot + 1.04 + 0.24 * _legend_rows(view)
    for number, line in enumerate(_phase_lines(view)):
        write(figure, _EDGE, below + _LINE * number, line, _SMALL)


def _head(view: PlanView) -> float:
    """From the top to the shapes of the rate."""
    return 0.95 + _LINE * len(_about(view))


def _height(view: PlanView) -> float:
    lanes = _thickness(view) * len(view.lanes)
    below = 1.04 + 0.24 * _legend_rows(view) + _LINE * len(_phase_lines(view))
    return _head(view) + _RATES + 0.06 + lanes + below


def _thickness(view: PlanView) -> float:
    return min(_THICKEST, max(_THINNEST, _LANES / len(view.lanes)))


def _legend_rows(view: PlanView) -> int:
    """Rows of the legend beyond the first."""
    wide = sum(0.64 + len(words) * _LETTER for words in view.legend.values())
    return int(wide / (_RIGHT - _EDGE))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(writable(text), _LETTERS)


def _about(view: PlanView) -> list[str]:
    lines = _wrapped(view.about)
    rest = " ".join(lines[_MOST_LINES - 1 :])
    return [*lines[: _MOST_LINES - 1], *([shorten(rest, _LETTERS)] if rest else [])]


def _phase_lines(view: PlanView) -> list[str]:
    return [
        f"{block.number}   {line}" if number == 0 else f"     {line}"
        for block in view.blocks
        for number, line in enumerate(_wrapped(block.words))
    ]


def _inches(view: PlanView, epochs: float) -> float:
    return epochs / view.epochs * (_RIGHT - _LEFT)


# -- the rates ------------------------------------------------------------------------------------


def _draw_rates(axes: Axes, view: PlanView) -> None:
    """The shape of every phase's schedule, its name and its search above it."""
    axes.set_xlim(0, view.epochs)
    axes.set_ylim(0, 1.12)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for block in view.blocks:
        if block.number > 1:
            axes.axvline(block.start, color=FAINT, lw=0.9, ymax=1.32, clip_on=False)
        _draw_shape(axes, block)
        _draw_name(axes, view, block)


def _draw_shape(axes: Axes, block: Block) -> None:
    if not block.shape:
        axes.text((block.start + block.stop) / 2, 0.5, "by updates", ha="center", **_CAPTION)
        return
    epochs, values = zip(*block.shape, strict=True)
    axes.fill_between(epochs, values, color=BLUE, alpha=0.12, lw=0)
    axes.plot(epochs, values, color=BLUE, lw=1.6, solid_joinstyle="round", clip_on=False)
    for end in block.cycle_ends:
        axes.plot([end], [0], **_MARKS["cycle"], clip_on=False)


def _draw_name(axes: Axes, view: PlanView, block: Block) -> None:
    """The number, and as much of the name and of where the peak comes from as there is room."""
    over: dict[str, Any] = {
        "xycoords": ("data", "axes fraction"),
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    if block.search:
        axes.plot([block.start], [1.23], clip_on=False, zorder=5, **_MARKS[block.search])
    inset = 10 if block.search else 4
    room = _inches(view, block.stop - block.start) - (inset + 4) / 72
    text = name_of(block, int(room / _LETTER))
    style = {**_SMALL, "weight": "normal" if " " in text else "bold"}
    said = axes.annotate(writable(text), (block.start, 1.1), xytext=(inset, 0), **over, **style)
    if text:
        fit(said, room)


# -- the lanes ------------------------------------------------------------------------------------


def _draw_lanes(axes: Axes, view: PlanView) -> None:
    axes.set_xlim(0, view.epochs)
    axes.set_ylim(len(view.lanes), 0)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    ticks = whole_ticks(view.epochs, 13)
    axes.set_xticks([tick.value for tick in ticks], [tick.text for tick in ticks])
    axes.tick_params(labelsize=9)
    axes.set_xlabel("epochs done", size=9.5, color=INK)
    for place, lane in enumerate(view.lanes):
        _draw_lane(axes, view, lane, place)
    for block in view.blocks[1:]:
        axes.axvline(block.start, color=FAINT, lw=0.9, zorder=4)
    _draw_names(axes, view)


def _draw_lane(axes: Axes, view: PlanView, lane: Lane, place: int) -> None:
    thick = _thickness(view)
    for cell in lane.cells:
        axes.barh(
            place + 0.5,
            cell.stop - cell.start,
            left=cell.start,
            height=0.86,
            **_look(cell),
        )
        room = _inches(view, cell.stop - cell.start) - 0.1
        if cell.text and thick >= _READABLE and len(cell.text) * _LETTER <= room:
            colour = "white" if cell.strength > 0.5 else INK
            x = (cell.start + cell.stop) / 2
            style = {**_SMALL, "size": 8.5, "color": colour, "va": "center"}
            axes.text(x, place + 0.5, cell.text, ha="center", zorder=5, **style)
    for epoch in lane.tests:
        style = {**_MARKS["groups"], "ms": min(6.5, 26 * thick)}
        axes.plot([epoch], [place + 0.5], clip_on=False, zorder=6, **style)


def _look(cell: Cell) -> dict[str, Any]:
    if cell.state == "trained":
        return {"facecolor": _paler(BLUE, cell.strength), "lw": 0}
    if cell.state == "precomputed":
        return {"facecolor": _FROZEN, "edgecolor": FAINT, "hatch": "////", "lw": 0}
    return {"facecolor": _FROZEN, "lw": 0}


def _paler(colour: str, strength: float) -> str:
    """``colour`` mixed with white."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [round(255 - (255 - part) * strength) for part in parts]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _draw_names(axes: Axes, view: PlanView) -> None:
    """The groups beside their lanes; of many thin lanes every second, third, ..."""
    every = max(1, -(-0.14 // _thickness(view)))
    over: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    for place, lane in enumerate(view.lanes):
        if place % every:
            continue
        name = writable(shorten(lane.name, _NAME_LETTERS))
        said = axes.annotate(name, (0, place + 0.5), xytext=(-9, 0), ha="right", **over, **_SMALL)
        fit(said, _LEFT - 2 * _LETTER - 9 / 72)


# -- the legend -----------------------------------------------------------------------------------


def _draw_legend(figure: Figure, view: PlanView, y: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    wide, tall = figure.get_size_inches()
    x = _EDGE
    for kind, words in view.legend.items():
        if x > _EDGE and x + 0.36 + len(words) * _LETTER > _RIGHT:
            x, y = _EDGE, y + 0.24
        if kind in _MARKS:
            place = [(x + 0.14) / wide], [1 - y / tall]
            figure.add_artist(Line2D(*place, ls="", transform=figure.transFigure, **_MARKS[kind]))
        else:
            look = _look(Cell(0, 1, kind, 1.0))
            corner = x / wide, 1 - (y + 0.07) / tall
            box = Rectangle(corner, 0.28 / wide, 0.14 / tall, transform=figure.transFigure, **look)
            figure.add_artist(box)
        text = write(figure, x + 0.36, y, words, _CAPTION)
        x += 0.36 + text.get_window_extent().width / figure.dpi + 0.28
