"""The PNG, SVG or PDF of a comparison of transfer plans, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.report.compare_figure import figure_of, frame, line_of
from stepsize.report.compare_view import CompareView
from stepsize.report.figures import INK, SOFT, drawn, rendered, writable
from stepsize.report.schedule_view import value_axis
from stepsize.report.transfer_view import PlanReport, TransferView, view_of
from stepsize.report.wording import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stepsize.fine_tuning import TransferResult

_LETTERS = 120
#: Letters of all names together that fit below the panel of the rates.
_MOST_LETTERS = 34
_LONGEST_NAME = 16


def draw(result: TransferResult, path: str | Path | None = None) -> Figure:
    """Draw ``result``; with a ``path`` also save it (``.png``, ``.svg`` or ``.pdf``).

    The ranking's metric and the rates that each plan gave the layer groups above, the ranking as a
    forest plot below. No global state of matplotlib is touched, no window is opened.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    return drawn(lambda: _figure(view_of(result)), path)


def png(result: TransferResult) -> bytes:
    """The picture of ``result`` as the bytes of a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return rendered(lambda: _figure(view_of(result)), ".png")


def _figure(view: TransferView) -> Figure:
    def beside(axes: Axes, _: CompareView) -> None:
        _draw_rates(axes, view)

    said = textwrap.wrap(writable(f"{view.headline} {view.evidence}"), _LETTERS)
    compare = replace(view.compare, rates=replace(view.compare.rates, remark=""))  # another panel
    return figure_of(compare, beside, said)


def _draw_rates(axes: Axes, view: TransferView) -> None:
    """The highest rate that every plan gave each layer group, over the depth."""
    known = [rate for plan in view.plans for rate in plan.rates if rate is not None]
    last = max(len(view.names) - 1, 1)
    frame(axes, "peak rate", value_axis(known, log=True, most=6), (-0.06 * last, 1.06 * last))
    axes.set_xticks(*_names(view.names))
    axes.set_xlabel("layer group", size=10, color=INK)
    if not known:
        style: dict[str, Any] = {"ha": "center", "va": "center", "size": 12, "color": SOFT}
        axes.text(0.5, 0.5, "no rates", transform=axes.transAxes, **style)
    for plan in reversed(view.plans):
        _draw_plan(axes, plan, 4 - plan.number / len(view.plans))


def _draw_plan(axes: Axes, plan: PlanReport, zorder: float) -> None:
    missing = float("nan")
    rates = [missing if rate is None else rate for rate in plan.rates]
    dot: dict[str, Any] = {"marker": "o", "ms": 4.5, "mec": "white", "mew": 0.7}
    axes.plot(range(len(rates)), rates, zorder=zorder, clip_on=False, **line_of(plan.style), **dot)


def _names(names: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """Which groups are named below the panel: all if there is room, else the first and the last."""
    shown = [writable(name).replace("$", r"\$") for name in names]
    if sum(map(len, shown)) <= _MOST_LETTERS and len(shown) < 8:
        return list(range(len(names))), shown
    ends = ["input", "head"] if len(names) > 1 else [shorten(shown[0], _LONGEST_NAME)]
    return [0, len(names) - 1][: len(names)], ends
