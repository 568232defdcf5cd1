"""The PNG, SVG or PDF of a ``find``, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.records import FindResult
from stepsize.report.axes import rate_ticks
from stepsize.report.figures import (
    BLUE,
    CHARACTER,
    FAINT,
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
from stepsize.report.find_view import FindView, view_of
from stepsize.report.marks import PlacedMark, lay_out
from stepsize.report.wording import clr_text, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 10.0, 6.25  # inches: 1600 x 1000 pixels
_ROW_FOOT = 0.13  # inches: the middle of the lowest row above the panel
_CAPTION = "other rules say:"
_ROW = 0.21  # inches: one row of rule marks
_BAND, _LOST = "#f9d9bf", "#e4e4e4"
_LABEL: dict[str, Any] = {"size": 9, "color": SOFT, "va": "center_baseline", **PLAIN}


def draw(result: FindResult, path: str | Path | None = None) -> Figure:
    """Draw ``result``; with a ``path`` also save it (``.png``, ``.svg`` or ``.pdf``).

    The loss against the rate above, the rate per update below. No global state of matplotlib is
    touched, no window is opened.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    return drawn(lambda: _figure(view_of(result)), path)


def png(result: FindResult) -> bytes:
    """The picture of ``result`` as the bytes of a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return rendered(lambda: _figure(view_of(result)), ".png")


def _figure(view: FindView) -> Figure:
    figure = new_figure(_WIDTH, _HEIGHT)
    longest = max((len(tick.text) for tick in view.y_ticks), default=0)
    left, right = 0.52 + 0.085 * max(longest, 5), _WIDTH - 0.22
    placed = lay_out(view.marks, (right - left) / CHARACTER, reserved=len(_CAPTION))
    rows = max((mark.row for mark in placed), default=-1) + 1
    text = _head(figure, view)
    top = text + (0.12 + _ROW * rows if rows else 0.14)
    bottom = _HEIGHT - 1.93
    loss = panel(figure, left, right, top, bottom)
    _draw_loss(loss, view)
    _draw_marks(loss, view, placed, height=bottom - top)
    _draw_ladder(panel(figure, left, right, _HEIGHT - 1.18, _HEIGHT - 0.52), view)
    return figure


def _head(figure: Figure, view: FindView) -> float:
    """Write the title and the reason; return how far down they reach, in inches."""
    title = writable(view.title)
    room = _WIDTH - 0.44
    height = 1 - 0.36 / _HEIGHT
    fit(figure.text(0.022, height, title, size=16, weight="bold", color=INK, **PLAIN), room)
    lines = textwrap.wrap(writable(view.reason), width=118)
    if len(lines) > 2:
        lines = [lines[0], shorten(" ".join(lines[1:]), 118)]
    for i, line in enumerate(lines):
        height = 1 - (0.62 + 0.2 * i) / _HEIGHT
        fit(figure.text(0.022, height, line, size=10.5, color=SOFT, **PLAIN), room)
    return 0.46 + 0.2 * len(lines)


def _draw_loss(axes: Axes, view: FindView) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*view.x)
    axes.set_ylim(*view.y)
    axes.set_xticks([t.value for t in view.x_ticks], [t.text for t in view.x_ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([t.value for t in view.y_ticks], [t.text for t in view.y_ticks])
    axes.set_xlabel("learning rate (logarithmic)", size=10.5, color=INK)
    axes.set_ylabel(view.y_label, size=10.5, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _draw_divergence(axes, view)
    _draw_points(axes, view)
    _draw_answer(axes, view)
    if view.empty:
        axes.text(0.3, 0.5, view.empty, transform=axes.transAxes, ha="center", size=12, color=INK)


def _draw_divergence(axes: Axes, view: FindView) -> None:
    if view.diverges_from is None:
        return
    axes.axvspan(
        view.diverges_from, view.x[1], facecolor=_LOST, edgecolor="#c4c4c4", hatch="///", zorder=0.6
    )
    width = 1 - view.place(view.diverges_from)
    axes.annotate(
        "diverges",
        (1 - width / 2, 0.36),
        xycoords="axes fraction",
        ha="center",
        va="center",
        rotation=0 if width > 0.1 else 90,
        size=11,
        color=INK,
        bbox={"facecolor": _LOST, "edgecolor": "none", "pad": 2.5},
        zorder=4,
    )


def _draw_points(axes: Axes, view: FindView) -> None:
    many = len(view.rates) > 300
    for rates, losses in view.repeats:
        shown = [float("nan") if loss is None else loss for loss in losses]
        axes.plot(rates, shown, color=FAINT, linewidth=0.7, alpha=0.45, zorder=1.5)
    raw = [float("nan") if loss is None else loss for loss in view.losses]
    axes.plot(view.rates, raw, "o", color=FAINT, ms=2.6 if many else 4, mew=0, alpha=0.6, zorder=2)
    # What the crop cuts off is not hidden: an arrowhead says that a point lies beyond.
    for rates, height, glyph in ((view.above, 0.982, "^"), (view.below, 0.018, "v")):
        axes.plot(
            rates, [height] * len(rates), glyph, color=SOFT, ms=4, mew=0, zorder=2, **across(axes)
        )
    line = [float("nan") if value is None else value for value in view.line]
    axes.plot(view.rates, line, color=BLUE, linewidth=2.6, zorder=3, solid_capstyle="round")


def _draw_answer(axes: Axes, view: FindView) -> None:
    if view.lr is None:
        return
    if view.interval is not None:
        axes.axvspan(*view.interval, color=_BAND, linewidth=0, zorder=1)
    axes.axvline(view.lr, color=ORANGE, linewidth=2, zorder=2.5)
    low, high = view.interval or (view.lr, view.lr)
    to_left = view.place(low) > 0.32
    axes.annotate(
        view.answer,
        (low if to_left else high, 0.925),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-8 if to_left else 8, 0),
        textcoords="offset points",
        ha="right" if to_left else "left",
        va="center",
        size=13,
        weight="bold",
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
        zorder=5,
    )
    height = view.line_at(view.lr)
    if height is not None:
        axes.plot([view.lr], [height], "o", color=ORANGE, ms=8, mec="white", mew=1.4, zorder=4.5)
    _draw_bracket(axes, view)


def _draw_bracket(axes: Axes, view: FindView) -> None:
    if view.clr is None:
        return
    low, high = view.clr
    axes.plot([low, high], [0.045] * 2, "|-", color=INK, lw=1.2, ms=9, zorder=4, **across(axes))
    label = clr_text(view.clr)
    width = len(label) * CHARACTER / 8.5
    middle = (view.place(low) + view.place(high)) / 2
    axes.text(
        min(max(middle, width / 2 + 0.01), 1 - width / 2 - 0.01),
        0.08,
        label,
        transform=axes.transAxes,
        ha="center",
        va="bottom",
        size=9,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
        zorder=4,
    )


def _draw_marks(axes: Axes, view: FindView, placed: tuple[PlacedMark, ...], height: float) -> None:
    """The other rules: rows of labels above the panel, diamonds on the line.

    ``height`` is that of the panel, in inches: the rows keep theirs when the panel shrinks.
    """
    if placed:
        first = 1 + _ROW_FOOT / height
        axes.text(0, first, _CAPTION, transform=axes.transAxes, **_LABEL)
    for mark, label, row, left in placed:
        up = 1 + (_ROW_FOOT + _ROW * row) / height
        over = {"clip_on": False, **across(axes)}
        axes.plot([mark.rate] * 2, [1, up], color="#bbbbbb", lw=0.8, zorder=1, **over)
        axes.plot([mark.rate], [up], "v", color=SOFT, ms=5.5, mew=0, **over)
        text = axes.annotate(
            writable(label),
            (mark.rate, up),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            zorder=2,
            **_LABEL,
        )
        fit(text, len(label) * CHARACTER)
        on_line = view.line_at(mark.rate)
        if on_line is not None:
            axes.plot([mark.rate], [on_line], "D", color="white", ms=4.5, mec=INK, mew=1, zorder=4)


def _draw_ladder(axes: Axes, view: FindView) -> None:
    axes.set_yscale("log")
    axes.set_xlabel(f"update   ({writable(view.cost)})", size=10.5, color=INK)
    axes.set_ylabel("rate", size=10.5, color=INK)
    low, high = view.x
    ticks = rate_ticks(low, high, most=4)
    axes.set_ylim(low, high)
    axes.set_yticks([tick.value for tick in ticks], [tick.text for tick in ticks])
    axes.set_yticks([], minor=True)
    if not view.ladder:
        axes.set_xticks([])
        return
    last = view.ladder[-1][0]
    axes.set_xlim(0, max(1, last))
    axes.set_xticks(
        [tick.value for tick in view.ladder_ticks], [tick.text for tick in view.ladder_ticks]
    )
    if view.diverges_from is not None:
        first = next(foot for foot, rate in view.ladder if rate >= view.diverges_from)
        axes.axvspan(first, last, facecolor=_LOST, edgecolor="#c4c4c4", hatch="///", zorder=0.6)
    if view.interval is not None:
        axes.axhspan(*view.interval, color=_BAND, linewidth=0, zorder=0.7)
    if view.lr is not None:
        axes.axhline(view.lr, color=ORANGE, linewidth=1.4, zorder=1)
    feet, rates = zip(*view.ladder, strict=True)
    axes.step(feet, rates, where="post", color=BLUE, linewidth=1.8, zorder=3)
