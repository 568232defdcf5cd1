"""The PNG, SVG or PDF of a recommendation, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.records import Recommendation
from stepsize.report.figures import (
    GRID,
    INK,
    ORANGE,
    PLAIN,
    SOFT,
    across,
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
from stepsize.report.tune_arms import ArmView, Valley
from stepsize.report.tune_view import TuneView, view_of
from stepsize.report.tune_words import cost_text, length_text, sensitivity_text, under
from stepsize.report.wording import count_text, plain_text, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_WIDTH = 10.0
_EDGE = 0.22
_PANELS = 3.5  # height of both pictures
_LEFT, _RACE_END = 0.75, 5.45
_VALLEY, _VALLEY_END = 5.95, 9.2
_TEST = 0.62  # height of the range test
_LINE = 0.2
_HEAD_LETTERS, _REASON_LETTERS = 86, 118
_MOST_LINES = 3
_BAND = "#f9d9bf"
_TEXT: dict[str, Any] = {"color": INK, "va": "center_baseline", **PLAIN}
_SMALL: dict[str, Any] = {**_TEXT, "size": 9}
_CAPTION: dict[str, Any] = {**_TEXT, "size": 9, "color": SOFT}
#: Line, mark and colour of what the legend names.
_KEYS: dict[str, dict[str, Any]] = {
    "winner": {"lw": 3.4, "marker": "o", "ms": 6},
    "kept": {"lw": 2.0, "marker": "o", "ms": 5},
    "slower": {"lw": 1.2, "marker": "o", "ms": 4.5, "mfc": "white"},
    "diverged": {"lw": 1.2, "marker": "x", "ms": 6, "mew": 1.8},
    "schedule": {"lw": 1.4, "ls": (0, (4.0, 1.6))},
    "trial": {"lw": 1.2, "ls": (0, (4.0, 1.6)), "marker": "o", "ms": 4.5, "mfc": "white"},
    "optimizer": {"lw": 1.6, "ls": (0, (1.2, 1.4))},
    "answer": {"lw": 2.0, "color": ORANGE},
    "expected": {"lw": 0, "marker": "D", "ms": 5.5, "color": ORANGE},
    "start": {"lw": 1.2, "ls": ":", "color": SOFT},
}


def draw(recommendation: Recommendation, path: str | Path | None = None) -> Figure:
    """Draw ``recommendation``; with a ``path`` also save it (``.png``, ``.svg`` or ``.pdf``).

    The race on the left, the loss over the rate at each rung on the right, the range test below
    it. No global state of matplotlib is touched, no window is opened.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    return drawn(lambda: _figure(recommendation), path)


def png(recommendation: Recommendation) -> bytes:
    """The picture of ``recommendation`` as the bytes of a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return rendered(lambda: _figure(recommendation), ".png")


def _figure(recommendation: Recommendation) -> Figure:
    view = view_of(recommendation)
    head = balanced(writable(view.title), _HEAD_LETTERS)
    said = _said(recommendation)
    top = 0.72 + 0.27 * len(head) + _LINE * len(said)
    foot = top + _PANELS
    rows = -(-len(view.legend) // 2)
    below = max(0.75 + _LINE * rows, 0.55 + (_TEST + 0.35 if view.tested else 0))
    figure = new_figure(_WIDTH, foot + below + 0.3)
    _head(figure, head, said)
    _draw_race(panel(figure, _LEFT, _RACE_END, top, foot), view)
    _draw_valleys(panel(figure, _VALLEY, _VALLEY_END, top, foot), view)
    if view.tested:
        test = foot + 0.62
        _draw_test(panel(figure, _VALLEY, _VALLEY_END, test, test + _TEST), view)
    _draw_legend(figure, view, foot + 0.82)
    write(figure, _EDGE, foot + below + 0.12, f"{cost_text(recommendation)}.", _CAPTION)
    return figure


def _said(recommendation: Recommendation) -> list[str]:
    """What stands below the title: the schedule, how much the rate matters, why."""
    under_title = under(recommendation)
    about = f"{under_title}, for {length_text(recommendation)}" if under_title else ""
    reason = plain_text(recommendation.reason)
    lines = [shorten(about, _REASON_LETTERS)] if about else []
    why = textwrap.wrap(
        writable(f"{reason} {sensitivity_text(recommendation)}".strip()), _REASON_LETTERS
    )
    if len(why) > _MOST_LINES:
        rest = " ".join(why[_MOST_LINES - 1 :])
        why = [*why[: _MOST_LINES - 1], shorten(rest, _REASON_LETTERS)]
    return lines + why


def _head(figure: Figure, head: list[str], said: list[str]) -> None:
    room = _WIDTH - 2 * _EDGE
    for number, line in enumerate(head):
        style = {**_TEXT, "size": 15, "weight": "bold"}
        fit(write(figure, _EDGE, 0.32 + 0.27 * number, line, style), room)
    for number, line in enumerate(said):
        y = 0.33 + 0.27 * len(head) + _LINE * number
        fit(write(figure, _EDGE, y, line, {**_TEXT, "size": 10.5, "color": SOFT}), room)


def _loss_axis(axes: Axes, view: TuneView, title: str) -> None:
    """What both pictures have in common: the loss upwards, a title, a grid."""
    axis = view.losses
    axes.set_yscale("log" if axis.log else "linear")
    axes.set_ylim(axis.low, axis.high)
    axes.set_xscale("log")
    axes.set_yticks([tick.value for tick in axis.ticks], [tick.text for tick in axis.ticks])
    axes.set_yticks([], minor=True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    over: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(title, (0, 1), xytext=(0, 9), size=10.5, color=INK, **over)


def _x_axis(axes: Axes, ends: tuple[float, float], ticks: Any, label: str) -> None:
    axes.set_xlim(*ends)
    axes.set_xticks([tick.value for tick in ticks], [tick.text for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.tick_params(labelsize=9)
    axes.set_xlabel(label, size=10, color=INK)


def _draw_race(axes: Axes, view: TuneView) -> None:
    suffix = " (logarithmic)" if view.losses.log else ""
    _loss_axis(axes, view, f"the race: validation loss{suffix}")
    _x_axis(axes, view.span, view.span_ticks, "update (logarithmic)")
    if view.empty:
        style: dict[str, Any] = {"ha": "center", "va": "center", "size": 12, "color": SOFT}
        axes.text(0.5, 0.5, "no finite loss", transform=axes.transAxes, **style)
    if view.starts:
        axes.axhline(view.start or 0.0, zorder=1, color=SOFT, lw=1.2, ls=":")
    for arm in view.arms:
        _draw_arm(axes, view, arm)
    if view.expected is not None and not view.empty:
        mean, low, high = view.expected
        bar: dict[str, Any] = {"color": ORANGE, "zorder": 6, "clip_on": False}
        axes.plot([view.updates] * 2, [low, high], lw=2, **bar)
        axes.plot([view.updates], [mean], "D", ms=7, mec="white", mew=1.2, **bar)
    _draw_lost(axes, view)
    _draw_names(axes, view)


def _draw_lost(axes: Axes, view: TuneView) -> None:
    """Crosses on the upper edge, and how many arms one stands for."""
    for updates, lost in view.lost.items():
        colour = lost[0].style.colour if len(lost) == 1 else SOFT
        cross: dict[str, Any] = {"color": colour, "ms": 7, "mew": 2, "clip_on": False}
        axes.plot([updates], [1.0], "x", zorder=6, **cross, **across(axes))
        if len(lost) > 1:
            beside: dict[str, Any] = {"xytext": (7, 0), "textcoords": "offset points"}
            axes.annotate(
                f"{len(lost)} arms",
                (updates, 1.0),
                xycoords=axes.get_xaxis_transform(),
                **beside,
                **_CAPTION,
            )


def _draw_arm(axes: Axes, view: TuneView, arm: ArmView) -> None:
    times = [time for time, _ in arm.line]
    losses = [loss for _, loss in arm.line]
    colour = arm.style.colour
    wide = 3.4 if arm.winner else 2.0 if arm.style.strong else 1.2
    zorder = 5 if arm.winner else 4 if arm.style.strong else 3
    dash = (0, arm.style.dash) if arm.style.dash else "-"
    axes.plot(times, losses, color=colour, lw=wide, ls=dash, zorder=zorder)
    for time, loss in arm.points:
        if loss > view.losses.high:
            over: dict[str, Any] = {"color": colour, "mew": 0, "ms": 5, **across(axes)}
            axes.plot([time], [0.985], "^", zorder=zorder, **over)
    if arm.lost is None and times:
        face = colour if arm.style.strong else "white"
        end: dict[str, Any] = {"mec": colour, "mfc": face, "mew": 1.3}
        axes.plot(times[-1:], losses[-1:], "o", ms=6 if arm.winner else 4.5, zorder=6, **end)


def _draw_names(axes: Axes, view: TuneView) -> None:
    """The names of the arms that were kept, and of the winner, beside their ends."""
    named = [arm for arm in view.named if view.beside(arm) < 0.93]
    heights = [view.height(arm.points[-1][1]) for arm in named]
    for arm, place in zip(named, spread(heights, 0.16 / _PANELS), strict=True):
        axes.annotate(
            shorten(writable(arm.name), 22),
            (view.beside(arm), place),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            size=9,
            color=INK,
            weight="bold" if arm.winner else "normal",
            va="center_baseline",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            zorder=7,
            **PLAIN,
        )


def _draw_valleys(axes: Axes, view: TuneView) -> None:
    _loss_axis(axes, view, "at each rung, over the peak rate")
    _x_axis(axes, view.rates, view.rate_ticks, "peak learning rate (logarithmic)")
    axes.set_yticklabels([])
    if view.interval is not None:
        axes.axvspan(*view.interval, color=_BAND, linewidth=0, zorder=0.5)
    if view.lr is not None:
        axes.axvline(view.lr, color=ORANGE, linewidth=2, zorder=1)
    for valley in view.valleys:
        _draw_valley(axes, view, valley)
    for arm in view.arms:
        if arm.lost is not None and view.rates[0] <= arm.arm.lr <= view.rates[1]:
            cross: dict[str, Any] = {"color": arm.style.colour, "ms": 7, "mew": 2}
            axes.plot([arm.arm.lr], [1.0], "x", clip_on=False, zorder=6, **cross, **across(axes))
    _draw_rungs(axes, view)


def _draw_valley(axes: Axes, view: TuneView, valley: Valley) -> None:
    rates, losses, numbers = zip(*valley.points, strict=True)
    shade = 0.72 - 0.62 * valley.depth
    dash = (0, (1.2, 1.4)) if valley.optimizer else "-"
    wide = 1.2 + 0.9 * valley.depth
    axes.plot(rates, losses, color=(shade,) * 3, lw=wide, ls=dash, zorder=3 + valley.depth)
    for rate, loss, number in zip(rates, losses, numbers, strict=True):
        inside = loss <= view.losses.high
        point: dict[str, Any] = {
            "color": view.arms[number].style.colour,
            "mec": "white",
            "mew": 0.8,
            "ms": 6.5,
        }
        mark = "o" if inside else "^"
        axes.plot([rate], [view.height(loss)], mark, zorder=5, **point, **across(axes))


def _draw_rungs(axes: Axes, view: TuneView) -> None:
    """The updates of each rung beside the picture, as high as its lowest loss."""
    heights = [view.height(lowest) for _, lowest in view.rungs]
    if not heights:
        return
    over: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    places = spread(heights, 0.17 / _PANELS)
    for (updates, _), height, place in zip(view.rungs, heights, places, strict=True):
        axes.plot([0, 1], [height] * 2, color="#c9c9c9", lw=0.8, ls=(0, (1, 3)), zorder=1, **over)
        axes.plot([1.005, 1.03], [height, place], color="#b0b0b0", lw=0.8, **over)
        axes.text(1.045, place, count_text(updates), **{**_SMALL, **over})
    top = max(places) + 0.22 / _PANELS
    axes.text(1.045, top, "updates", **{**_CAPTION, **over})


def _draw_test(axes: Axes, view: TuneView) -> None:
    low, high = view.tested_range
    axes.set_xscale("log")
    _x_axis(axes, view.rates, view.rate_ticks, "")
    axes.set_xticklabels([])
    axes.set_ylim(low, high)
    axes.set_yticks([])
    axes.set_xlabel("the range test before the race", size=9, color=INK)
    if view.interval is not None:
        axes.axvspan(*view.interval, color=_BAND, linewidth=0, zorder=0.5)
    if view.lr is not None:
        axes.axvline(view.lr, color=ORANGE, linewidth=1.6, zorder=1)
    rates, losses = zip(*view.tested, strict=True)
    axes.plot(rates, losses, color=SOFT, lw=1.8, zorder=2)


def _draw_legend(figure: Figure, view: TuneView, top: float) -> None:
    """Samples of the lines and marks in two columns, with what they are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    rows = -(-len(view.legend) // 2)
    for number, (name, words) in enumerate(view.legend):
        x = _LEFT + 2.1 * (number // rows)
        y = top + _LINE * (number % rows)
        places, heights = [x, x + 0.32], [y, y]
        if name == "answer":
            box = ((x + 0.04) / width, 1 - (y + 0.07) / height)
            band: dict[str, Any] = {"facecolor": _BAND, "transform": figure.transFigure}
            figure.add_artist(Rectangle(box, 0.24 / width, 0.14 / height, **band))
            places, heights = [x + 0.16] * 2, [y - 0.07, y + 0.07]
        elif name == "expected":
            places = [x + 0.16] * 2
        line: dict[str, Any] = {"color": SOFT, **_KEYS[name], "transform": figure.transFigure}
        if "marker" in line:
            line["markevery"] = [1]
        ends = ([place / width for place in places], [1 - at / height for at in heights])
        figure.add_artist(Line2D(*ends, **line))
        write(figure, x + 0.45, y, words, _CAPTION)
