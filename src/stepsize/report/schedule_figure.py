"""The PNG, SVG or PDF of schedules, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.report.axes import whole_ticks
from stepsize.report.figures import (
    BLUE,
    CHARACTER,
    DPI,
    GRID,
    INK,
    ORANGE,
    PLAIN,
    SOFT,
    across,
    drawn,
    fit,
    new_figure,
    panel,
    rendered,
    writable,
)
from stepsize.report.marks import spread
from stepsize.report.schedule_trace import trace
from stepsize.report.schedule_view import (
    NAME_HEIGHT,
    Axis,
    Line,
    ScheduleView,
    places_at,
    value_axis,
    value_text,
    view_of,
)
from stepsize.report.wording import rate_text, shorten
from stepsize.schedules import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_WIDTH = 10.0
_EDGE = 0.22
_PANEL = 3.35  # height
_LOWER, _GAP = 0.95, 0.22  # height of a panel below, and the gap to it
_FOOT = 0.56  # numbers and label of the horizontal axis
_STRIP, _STRIP_GAP = 0.19, 0.04  # a row of phases above the panel
_ROW = 0.21  # a row of text
#: A line that goes up and down more often than this is thin.
_BUSY = 40
#: Several schedules show their phases if they are at most so many.
_MOST_STRIPS = 4
#: Every value has its dot in a run as short as this.
_DOTTED = 60

#: Told apart by lightness and hue, and dark enough to be read as text.
_COLOURS = (BLUE, ORANGE, "#009e73", "#9b3f8f", "#2f8fd0", "#a67c00", "#6b6b6b", "#d6478f")
_TINTS = ("#d5e0ec", "#e9eff5")
_NAME: dict[str, Any] = {"size": 10.5, "color": INK}


def draw(view: ScheduleView, path: str | Path | None = None) -> Figure:
    """Draw ``view``; with a ``path`` also save it (``.png``, ``.svg`` or ``.pdf``).

    No global state of matplotlib is touched, no window is opened.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    return drawn(lambda: _figure(view), path)


def png(view: ScheduleView) -> bytes:
    """The picture as the bytes of a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return rendered(lambda: _figure(view), ".png")


def svg(view: ScheduleView) -> bytes:
    """The picture as the bytes of an SVG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return rendered(lambda: _figure(view), ".svg")


def thumbnail(schedule: Schedule, steps: int, ending: str = ".svg") -> bytes:
    """A small picture for galleries, 480 x 240 pixels: the curve, its phases, its extremes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InputError: lengths that are not resolved.
    """
    view = view_of([trace(schedule, steps)])
    return rendered(lambda: _thumbnail(view, steps), ending)


def _thumbnail(view: ScheduleView, steps: int) -> Figure:
    figure = new_figure(480 / DPI, 240 / DPI)
    axes = panel(figure, 0.42, 480 / DPI - 0.14, 0.1, 240 / DPI - 0.24)
    axes.tick_params(labelsize=7, length=2)
    axis, seen = view.axis, view.lines[0].trace
    low, peak = seen.lowest.value, seen.peak.value
    narrow = 0.5 * peak < low < peak  # such as momentum: from zero it would look level
    if narrow:
        axis = value_axis((low, peak), from_zero=False)
    _scale(axes, axis, view.lines[0])
    shown = [low if narrow else 0.0] + ([peak] if axis.place(peak) > 0.5 else [])
    axes.set_yticks(shown, [rate_text(value) for value in shown])
    axes.set_xticks([0, steps], ["0", f"{steps:,}"])
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    _draw_boundaries(axes, view.lines[0])
    _draw_line(axes, axis, view.lines[0], BLUE, 1.8)
    return figure


def _figure(view: ScheduleView) -> Figure:
    strips = _strips(view)
    top = _head_height(view) + len(strips) * (_STRIP + _STRIP_GAP) + 0.06
    bottom = top + _PANEL
    lower = bottom + (_GAP + _LOWER if view.momentum else 0.0)
    closer = lower + (_FOOT + _LOWER if view.closer else 0.0)
    figure = new_figure(_WIDTH, closer + _FOOT)
    _head(figure, view)
    longest = max((len(tick.text) for tick in view.axis.ticks), default=0)
    left, right = 0.52 + 0.085 * max(longest, 5), _WIDTH - _margin(view)
    axes = panel(figure, left, right, top, bottom)
    _draw_schedules(axes, view)
    for place, (row, line) in enumerate(reversed(strips)):
        _draw_strip(axes, line, _TINTS if view.alone else _tints(_COLOURS[row]), place)
    if view.momentum and view.momentum_axis:
        axes.tick_params(labelbottom=False)
        axes = panel(figure, left, right, bottom + _GAP, lower)
        _scale(axes, view.momentum_axis, view.momentum)
        axes.set_ylabel("momentum", **_NAME)
        _draw_line(axes, view.momentum_axis, view.momentum, SOFT, 1.8, fill=False)
    axes.set_xlabel(view.steps_label, **_NAME)
    if view.closer:
        axes = panel(figure, left, right, lower + _FOOT, closer)
        _scale(axes, view.axis, view.closer)
        axes.set_yticks([tick.value for tick in view.axis.ticks[::2]])
        _draw_boundaries(axes, view.closer)
        _draw_line(axes, view.axis, view.closer, _COLOURS[0], 1.8)
        axes.set_xlabel(f"{view.steps_label}, {view.closer.name}", **_NAME)
    return figure


def _strips(view: ScheduleView) -> list[tuple[int, Line]]:
    """The lines whose phases say more than the line itself, with their numbers."""
    told = [
        (row, line) for row, line in enumerate(view.lines) if len(line.segments) > 1 or line.outline
    ]
    return told if len(view.lines) <= _MOST_STRIPS else []


# -- the head ---------------------------------------------------------------------------------


def _definition(view: ScheduleView) -> list[str]:
    """The text of a single schedule in lines, at most three."""
    lines = textwrap.wrap(writable(view.lines[0].text), width=112, break_on_hyphens=False)
    if len(lines) > 3:
        lines = [*lines[:2], shorten(" ".join(lines[2:]), 112)]
    return lines


def _head_height(view: ScheduleView) -> float:
    rows = len(_definition(view)) + 1 if view.alone else len(view.lines)
    return 0.52 + _ROW * rows


def _head(figure: Figure, view: ScheduleView) -> None:
    """The title; below it a schedule with its numbers, or several in their colours."""
    room = _WIDTH - 2 * _EDGE
    _write(figure, 0.36, writable(view.title), room, size=16, weight="bold")
    if view.alone:
        lines = _definition(view)
        for row, text in enumerate(lines):
            _write(figure, 0.62 + _ROW * row, text, room, size=9.5, family="DejaVu Sans Mono")
        facts = writable(view.lines[0].facts)
        _write(figure, 0.62 + _ROW * len(lines), facts, room, size=10.5, color=SOFT)
        return
    for row, line in enumerate(view.lines):
        down = 0.62 + _ROW * row
        seen = line.trace
        area = f"mean {value_text(seen.mean)}, area {value_text(seen.area)}"
        _write(figure, down, area, 2.2, x=_WIDTH - _EDGE, size=10, color=SOFT, ha="right")
        text = shorten(writable(line.text), 92)
        colour = _COLOURS[row]
        _write(figure, down, "■", 0.2, size=10, color=colour, family="DejaVu Sans Mono")
        style = {"size": 9.5, "color": colour, "family": "DejaVu Sans Mono"}
        _write(figure, down, text, room - 2.6, x=_EDGE + 0.18, **style)


def _write(figure: Figure, down: float, text: str, room: float, **style: Any) -> None:
    width, height = figure.get_size_inches()
    style = {"color": INK, "x": _EDGE, **PLAIN, **style}
    x = style.pop("x") / width
    fit(figure.text(x, 1 - down / height, text, **style), room)


# -- the panel --------------------------------------------------------------------------------


def _margin(view: ScheduleView) -> float:
    """Room to the right of the panel for the labels at the ends of the lines."""
    if view.at < 1:
        return 0.4
    return 0.16 + CHARACTER * 1.08 * max(len(text) for text in _end_texts(view))


def _end_texts(view: ScheduleView) -> list[str]:
    if view.alone:
        return [f"last {value_text(view.lines[0].trace.last.value)}"]
    return [line.name for line in view.lines]


def _scale(axes: Axes, axis: Axis, line: Line) -> None:
    """Both axes: the values of ``axis`` over the run of ``line``."""
    if axis.log:
        axes.set_yscale("log")
    axes.set_ylim(axis.low, axis.high)
    axes.set_yticks([tick.value for tick in axis.ticks], [tick.text for tick in axis.ticks])
    axes.set_yticks([], minor=True)
    steps = line.trace.steps
    axes.set_xlim(0, steps)
    ticks = whole_ticks(steps)
    axes.set_xticks([tick.value for tick in ticks], [tick.text for tick in ticks])
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_schedules(axes: Axes, view: ScheduleView) -> None:
    _scale(axes, view.axis, view.lines[0])
    scale = " (logarithmic)" if view.axis.log else ""
    axes.set_ylabel(f"learning rate{scale}", **_NAME)
    if view.alone:
        _draw_boundaries(axes, view.lines[0])
        _draw_peak(axes, view.lines[0])
    below = len(view.lines) - 1
    for number, line in enumerate(view.lines):
        # Where lines run over each other, the ones below stay visible at the edges.
        width = 2.2 + min(0.6, 1.6 / max(below, 1)) * (below - number)
        _draw_line(axes, view.axis, line, _COLOURS[number], width, fill=view.alone)
    if view.at < 1:
        _draw_names(axes, view)
    else:
        _draw_ends(axes, view)


def _draw_line(
    axes: Axes, axis: Axis, line: Line, colour: str, width: float, fill: bool = True
) -> None:
    if line.outline:
        _draw_outline(axes, axis, line, colour)
        return
    steps = [float(point.step) for point in line.points]
    values = [_inside(axis, point.value) for point in line.points]
    style: dict[str, Any] = {"zorder": 3, "solid_capstyle": "round", "solid_joinstyle": "round"}
    if line.stepped:  # each value is held for its update, the last one too
        style["drawstyle"] = "steps-post"
        steps.append(float(line.trace.steps))
        values.append(values[-1])
    if fill and not axis.log:
        step: Any = "post" if line.stepped else None
        axes.fill_between(steps, values, 0, step=step, color=colour, alpha=0.07, lw=0, zorder=0.7)
    width = width if line.trace.strokes <= _BUSY else min(width, 1.2)
    axes.plot(steps, values, color=colour, linewidth=width, **style)
    if line.trace.steps <= _DOTTED:
        dots: dict[str, Any] = {"ms": 4.5, "mew": 0, "clip_on": False, "zorder": 3.5}
        axes.plot(steps[: line.trace.steps], values[: line.trace.steps], "o", color=colour, **dots)


def _draw_outline(axes: Axes, axis: Axis, line: Line, colour: str) -> None:
    """A line that would fill its range with colour: the range, lightly, and its two edges."""
    steps = [line.trace.steps * i / (len(line.outline) - 1) for i in range(len(line.outline))]
    below = [_inside(axis, low) for low, _ in line.outline]
    above = [_inside(axis, high) for _, high in line.outline]
    axes.fill_between(steps, below, above, color=colour, alpha=0.22, lw=0, zorder=2)
    for edge in (below, above):
        axes.plot(steps, edge, color=colour, linewidth=1.4, zorder=3)


def _inside(axis: Axis, value: float) -> float:
    """What a logarithmic axis has no place for leaves it at the foot."""
    return value if not axis.log or axis.place(value) > -1 else axis.low * (axis.low / axis.high)


def _draw_boundaries(axes: Axes, line: Line) -> None:
    for segment in line.segments[1:]:
        axes.axvline(segment.start, color="#c9ced3", linewidth=0.8, zorder=0.8)


def _draw_peak(axes: Axes, line: Line) -> None:
    peak = line.trace.peak
    if peak.value == line.trace.lowest.value:
        return  # a constant: the label at its end says all
    share = peak.step / line.trace.steps
    side, shift = ("left", 5) if share < 0.1 else ("right", -5) if share > 0.9 else ("center", 0)
    style: dict[str, Any] = {"ha": side, "size": 9, "color": INK, "zorder": 5}
    axes.annotate(
        f"peak {value_text(peak.value)}",
        peak,
        xytext=(shift, 8),
        textcoords="offset points",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        **style,
    )
    dot: dict[str, Any] = {"color": ORANGE, "ms": 7, "mec": "white", "mew": 1.2, "clip_on": False}
    axes.plot([peak.step], [peak.value], "o", zorder=4.5, **dot)


def _draw_names(axes: Axes, view: ScheduleView) -> None:
    """Names on the lines, where these are apart."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 1.5}
    for number, place in enumerate(places_at(view.lines, view.axis, view.at)):
        style: dict[str, Any] = {"size": 9.5, "ha": "center", "va": "center_baseline", **PLAIN}
        style |= {"color": _COLOURS[number], "zorder": 5, "transform": axes.transAxes}
        axes.text(view.at, place, writable(view.lines[number].name), bbox=box, **style)


def _draw_ends(axes: Axes, view: ScheduleView) -> None:
    """Names beside the ends of the lines, moved apart where the lines end together."""
    inches = _WIDTH - _margin(view)
    ends = places_at(view.lines, view.axis, 1.0)
    places = spread(ends, NAME_HEIGHT)
    texts = _end_texts(view)
    for number, (end, place, text) in enumerate(zip(ends, places, texts, strict=True)):
        colour = INK if view.alone else _COLOURS[number]
        over: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
        axes.plot([1.002, 1 + 0.09 / inches], [end, place], color=colour, lw=0.9, **over)
        style: dict[str, Any] = {"size": 9.5, "va": "center_baseline", **over, **PLAIN}
        axes.text(1 + 0.13 / inches, place, writable(text), color=colour, **style)


def _draw_strip(axes: Axes, line: Line, tints: tuple[str, str], place: int) -> None:
    """A row above the panel, ``place`` rows up: the phases, each named where its name fits."""
    foot = 1 + (0.05 + place * (_STRIP + _STRIP_GAP)) / _PANEL
    top = foot + _STRIP / _PANEL
    pixels = axes.bbox.width / line.trace.steps
    for number, segment in enumerate(line.segments):
        low, high = segment.start, segment.stop
        box = [low, high, high, low], [foot, foot, top, top]
        axes.fill(*box, color=tints[number % 2], lw=0, clip_on=False, zorder=1, **across(axes))
        style: dict[str, Any] = {"size": 8.5, "color": INK, "ha": "center", **across(axes)}
        for name in filter(None, segment.names):
            x, y = (low + high) / 2, (foot + top) / 2
            text = axes.text(x, y, writable(name), va="center_baseline", **style, **PLAIN)
            if text.get_window_extent().width <= (high - low) * pixels - 8:
                break
            text.remove()


def _tints(colour: str) -> tuple[str, str]:
    """Two light tones of a colour."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(colour)

    def light(share: float) -> str:
        return to_hex((1 - share * (1 - red), 1 - share * (1 - green), 1 - share * (1 - blue)))

    return light(0.3), light(0.16)
