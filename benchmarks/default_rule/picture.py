"""The picture of the study: what each rule costs on each workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
from judge import NAMES, regret

mpl.use("Agg")
import matplotlib.pyplot as plt

TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)
OURS, OTHERS, MEAN = "#0b6e99", "#8a8f98", "#c0392b"


def draw(given: Mapping[str, Mapping[str, list[float | None]]], path: Path) -> None:
    """One row per rule, best mean at the top; one dot per workload."""
    rows = {
        label: {name: fmean(regret(name, lr) for lr in rates[name]) for name in NAMES}
        for label, rates in given.items()
        if "uncut" not in label
    }
    silent = {label: {name for name in NAMES if None in given[label][name]} for label in rows}
    order = sorted(rows, key=lambda label: -fmean(rows[label].values()))
    figure, axes = plt.subplots(figsize=(9, 5.2), layout="constrained")
    axes.set_xscale("function", functions=(lambda v: v.clip(0) ** 0.5, lambda v: v**2))
    for y, label in enumerate(order):
        _row(axes, y, rows[label], silent[label], OURS if label.startswith("ours") else OTHERS)
    axes.set_yticks(range(len(order)), order)
    for text in axes.get_yticklabels():
        if text.get_text().startswith("ours"):
            text.set(color=OURS, fontweight="bold")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(
        "normalised regret under the cosine schedule, square-root scale "
        "(0: best rate of the grid, 1: nothing learned or no answer)\n"
        "dots: 12 workloads, mean over seeds; rings: some seeds got no answer; red: mean of all",
        fontsize=9,
    )
    axes.set_title("What each rule's learning rate costs (development data)", loc="left")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _row(axes, y: int, costs: Mapping[str, float], silent: set[str], colour: str) -> None:
    names = sorted(costs, key=costs.__getitem__)
    for i, name in enumerate(names):
        axes.plot(
            costs[name],
            y + 0.12 * ((i % 3) - 1),  # so that equal dots stay apart
            "o",
            markersize=6,
            color=colour,
            markerfacecolor="white" if name in silent else colour,
            alpha=1.0 if name in silent else 0.75,
            markeredgewidth=1.4 if name in silent else 0,
            clip_on=False,
        )
    mean = fmean(costs.values())
    axes.plot([mean, mean], [y - 0.32, y + 0.32], color=MEAN, linewidth=2.2)
    worst = max(costs, key=costs.__getitem__)
    if 0.1 < costs[worst] < 0.9:
        axes.annotate(
            worst,
            (costs[worst], y),
            xytext=(7, -3),
            textcoords="offset points",
            fontsize=7.5,
            color="#555555",
        )
