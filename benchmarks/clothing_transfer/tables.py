"""What a comparison of transfer plans says, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from stepsize.comparison.intervals import mean_interval
from stepsize.comparison.ranking import pairwise

METRICS = ("val_loss", "val_accuracy")


@dataclass(frozen=True)
class Cell:
    """One training of a tuning by hand."""

    grid: str
    rate: float
    val_loss: float | None
    val_accuracy: float | None
    updates: int


def number(value: float | None, signed: bool = False) -> str:
    return "" if value is None else f"{value:+.4f}" if signed else f"{value:.4f}"


def interval(bounds: Sequence[float] | None, signed: bool = False) -> str:
    return "" if bounds is None else f"[{number(bounds[0], signed)}, {number(bounds[1], signed)}]"


def ranking(result: Any, beforehand: Mapping[str, int]) -> list[str]:
    """Every arm: what it reached, and what its rates cost to find.

    Args:
        result: of the plans.
        beforehand: updates of tuning by hand, by arm.
    """
    comparison = result.comparison
    lines = [
        "| arm | place | validation loss [95 %] | to the best [95 %] | p adjusted | "
        "validation accuracy [95 %] | search: updates | of which by hand |",
        "|---|---|---|---|--:|---|--:|--:|",
    ]
    for row in comparison.ranking:
        runs = [run for run in comparison.of(row.arm) if run.status == "finished"]
        accuracy = [run.final["val_accuracy"] for run in runs]
        known = result.decisions.get(row.arm, {}).values()
        each = [sum(phase.search_updates for phase in phases) for phases in known]
        by_hand = beforehand.get(row.arm, 0)
        search = (fmean(each) if each else 0) + by_hand
        shown = f"{number(fmean(accuracy))} {interval(mean_interval(accuracy))}" if accuracy else ""
        lines.append(
            f"| {row.arm} | {row.place} | {number(row.mean)} {interval(row.ci95)} | "
            f"{number(row.difference_to_best, True)} {interval(row.difference_ci95, True)} | "
            f"{number(row.p_adjusted)} | {shown} | {search:,.0f} | {by_hand:,} |"
        )
    return [*lines, ""]


def paired(result: Any, arm: str) -> list[str]:
    """``arm`` minus every other, seed by seed; each difference by itself."""
    comparison = result.comparison
    lines = [
        f"| {arm} minus | validation loss [95 %] | p | validation accuracy [95 %] | p |",
        "|---|---|--:|---|--:|",
    ]
    found = {
        metric: pairwise(comparison.runs, metric=metric, higher=metric != "val_loss")
        for metric in METRICS
    }
    for row in comparison.ranking:
        pairs = [found[metric].get((arm, row.arm)) for metric in METRICS]
        if None not in pairs:
            cells = [
                f"{number(pair.mean, True)} {interval(pair.ci95, True)} | {number(pair.p)}"
                for pair in pairs
            ]
            lines.append(f"| {row.arm} | {' | '.join(cells)} |")
    return [*lines, ""]


def decisions(result: Any) -> list[str]:
    """What every run decided on at the beginning of each phase."""
    lines = [
        "| arm | seed | phase | epochs | rate of each group | from |",
        "|---|--:|---|--:|---|---|",
    ]
    for arm, runs in result.decisions.items():
        for seed, phases in runs.items():
            for phase in phases:
                trained = max(phase.trainable)
                rates = ", ".join(f"{rate:.3g}" for rate in phase.rates[-trained:])
                lines.append(
                    f"| {arm} | {seed} | {phase.phase} | {phase.epochs} | {rates} | "
                    f"{phase.lr_from} |"
                )
    return [*lines, ""]


def grids(cells: Sequence[Cell]) -> list[str]:
    """The tuning by hand."""
    lines = ["| grid | rate | validation loss | accuracy | updates |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {cell.grid} | {cell.rate:g} | {number(cell.val_loss) or 'diverged'} | "
        f"{number(cell.val_accuracy)} | {cell.updates} |"
        for cell in cells
    ]
    return [*lines, ""]


def runs(result: Any) -> list[str]:
    """Every run at its end."""
    lines = [
        "| arm | seed | status | validation loss | accuracy | training loss |",
        "|---|--:|---|--:|--:|--:|",
    ]
    for run in result.comparison.runs:
        last = run.final
        lines.append(
            f"| {run.arm} | {run.seed} | {run.error or run.status} | {number(last.get('val_loss'))}"
            f" | {number(last.get('val_accuracy'))} | {number(last.get('train_loss'))} |"
        )
    return [*lines, ""]
