"""Every method's regrets, one dot a case, over what the method costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from contestants import Case
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Regrets below this are drawn here: they cannot be told from none.
LEAST = 1e-3
OURS, OTHERS, FLOOR = "#c2410c", "#475569", "#0f766e"


def draw(found: Mapping[str, Sequence[Case]], path: Path) -> None:
    """Rows by mean regret: dots of all cases, a bar at the mean."""
    methods = sorted(found, key=lambda m: fmean(case.regret for case in found[m]), reverse=True)
    figure = Figure(figsize=(9, 0.27 * len(methods) + 1.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, method in enumerate(methods):
        colour = OURS if method.startswith(("tune", "find")) else OTHERS
        colour = FLOOR if method.startswith("whole grid") else colour
        values = [max(LEAST, case.regret) for case in found[method]]
        axes.plot(values, [row] * len(values), "|", color=colour, alpha=0.35, markersize=8)
        mean = fmean(case.regret for case in found[method])
        axes.plot(max(LEAST, mean), row, "D", color=colour, markersize=5.5)
        cost = fmean(case.cost for case in found[method])
        axes.annotate(
            f"{mean:.3f}", (1.12, row), va="center", fontsize=8, color=colour, annotation_clip=False
        )
        axes.annotate(
            f"{cost:.1f}", (1.9, row), va="center", fontsize=8, color=colour, annotation_clip=False
        )
    axes.annotate("mean", (1.12, len(methods) - 0.2), fontsize=8, annotation_clip=False)
    axes.annotate("cost", (1.9, len(methods) - 0.2), fontsize=8, annotation_clip=False)
    axes.set_yticks(range(len(methods)), methods, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(LEAST / 1.15, 1.08)
    axes.set_ylim(-0.7, len(methods) - 0.3)
    for value in (0.01, 0.1):
        axes.axvline(value, color="#cbd5e1", linewidth=0.8, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("normalised regret (validation loss): 0.01 is 1 % of what the training gains")
    figure.savefig(path, dpi=130)
