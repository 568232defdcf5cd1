"""Judge everyone: the tables of results.md and the picture regret.png, in seconds.

python benchmarks/regret/run.py
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, median

from contestants import Case, one_seed_grid, opponents, ours
from judge import Grid, available, quantile, spread
from make_tune import load as tune_rows
from picture import draw
from workloads import DEVELOPMENT, JUDGING, UNLEARNABLE

HERE = Path(__file__).parent
OWN = ("tune, B = 1", "whole grid on one seed")


def cases(names: Iterable[str]) -> dict[str, list[Case]]:
    """All cases by method."""
    found: dict[str, list[Case]] = {}
    for name in available(names):
        for source in (one_seed_grid, ours, opponents):
            for case in source(name):
                found.setdefault(case.method, []).append(case)
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers are set to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def interval(found: Sequence[Case], statistic: Callable[[list[float]], float]) -> str:
    """A 95 % bootstrap interval over workloads, which are what is drawn from a population."""
    by_name: dict[str, list[float]] = {}
    for case in found:
        by_name.setdefault(case.workload, []).append(case.regret)
    names, draws, chance = list(by_name), [], random.Random(0)
    for _ in range(2000):
        drawn = [value for name in chance.choices(names, k=len(names)) for value in by_name[name]]
        draws.append(statistic(drawn))
    return f"{quantile(draws, 0.025):.3f} to {quantile(draws, 0.975):.3f}"


def share(values: Sequence[float], most: float) -> str:
    return f"{sum(value <= most for value in values) / len(values):.0%}"


def shared(found: dict[str, list[Case]]) -> tuple[dict[str, list[Case]], list[str]]:
    """The workloads that every opponent was run on, and the cases there: others do not compare."""
    ran = {m: {c.workload for c in tried} for m, tried in found.items()}
    most = set.union(*ran.values())
    common = {name for name in most if sum(name in names for names in ran.values()) > len(ran) // 2}
    kept = {m: [c for c in found[m] if c.workload in common] for m in found if ran[m] >= common}
    return kept, sorted(common)


def by_method(found: dict[str, list[Case]]) -> str:
    """One row a method, best mean first."""
    rows = []
    for method, tried in sorted(found.items(), key=lambda item: fmean(c.regret for c in item[1])):
        values = [case.regret for case in tried]
        workloads = {case.workload for case in tried}
        spreads = [spread(case.lr for case in tried if case.workload == name) for name in workloads]
        tests = [case.test for case in tried if case.test is not None]
        errors = [100 * case.error for case in tried if case.error is not None]
        rows.append(
            (
                method,
                fmean(values),
                interval(tried, fmean),
                median(values),
                quantile(values, 0.9),
                max(values),
                share(values, 0.01),
                share(values, 0.02),
                f"{fmean(case.cost for case in tried):.2f}",
                f"{fmean(spreads):.2f}" if any(case.lr for case in tried) else None,
                f"{fmean(tests):.3f}" if tests else None,
                f"{fmean(errors):+.1f}" if errors else None,
                len(values),
            )
        )
    head = ("method", "mean", "95 % of the mean", "median", "90 %", "max", "<= 1 %", "<= 2 %")
    more = ("cost", "seed spread", "test: mean", "error points: mean", "cases")
    return table((*head, *more), rows)


def by_workload(found: dict[str, list[Case]], names: Sequence[str]) -> str:
    """The noise floor, the sensitivity and some methods on each workload."""
    methods = [m for m in ("tune, B = 1", "t_sha", "t_sha_neighbours", "adamw_1e-2") if m in found]
    rows = []
    for name in names:
        grid = Grid.load(name)
        best = grid.best()
        low, high = grid.good(best.schedule)
        floor = fmean(case.regret for case in one_seed_grid(name))
        costs = [_mean([c.regret for c in found[m] if c.workload == name]) for m in methods]
        rows.append(
            (
                f"`{name}`",
                grid.updates,
                f"{best.schedule}, {best.lr:.2g}",
                f"{low:.2g} to {high:.2g}",
                sensitivity(grid, best.schedule),
                floor,
                *costs,
            )
        )
    head = ("workload", "updates", "best", "costs < 2 %", "sensitivity", "noise floor", *methods)
    return table(head, rows)


def sensitivity(grid: Grid, schedule: str) -> float:
    """Mean regret over 1.5 decades to each side of the schedule's best rate."""
    centre = grid.best(schedule).lr
    near = [r for r in grid.rates(schedule) if abs(math.log10(r / centre)) <= 1.501]
    return fmean(max(0.0, grid.regret(rate, schedule)) for rate in near)


def honesty(names: Sequence[str]) -> str:
    """How often the intervals of ``tune`` hold."""
    rows = []
    for budget in sorted({row["budget"] for name in names for row in tune_rows(name)}):
        own, others, rates, widths = [], [], [], []
        for name in names:
            grid = Grid.load(name)
            for row in tune_rows(name):
                if row["budget"] != budget or row["verdict"] != "ok":
                    continue
                if row["schedule"].startswith("wsd"):
                    low, high = row["interval"]
                    rates.append(low <= grid.best("wsd").lr <= high)
                if row["expected"] is None:
                    continue
                low, high = row["expected"]["ci95"]
                top = grid.init[row["seed"]]["val"]
                widths.append((high - low) / (top - row["expected"]["mean"]))
                for seed, final in row["finals"].items():
                    held = final is not None and low <= final["val"] <= high
                    (own if int(seed) == row["seed"] else others).append(held)
        rows.append((f"{budget:g}", _of(own), _of(others), _mean(widths), _of(rates)))
    head = ("budget", "95 % of the loss: its own seed", "other seeds", "width, of the gain")
    return table((*head, "80 % of the rate (no early stop)"), rows)


def _of(held: Sequence[bool]) -> str:
    return f"{sum(held)} of {len(held)}"


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def abstentions() -> str:
    """What everyone says where there is nothing to learn."""
    rows = [
        (f"`{name}`", ", ".join(f"{row['verdict']} ({row['cost']:.2f})" for row in tune_rows(name)))
        for name in UNLEARNABLE
    ]
    return table(("workload", "tune's verdict (cost)"), rows)


def main() -> None:
    parts = ["# The regret bench: results\n\nMade by `run.py`; README.md says what is what.\n"]
    for title, names in (("Judging", list(JUDGING)), ("Development", list(DEVELOPMENT))):
        known = available(names)
        if not known:
            continue
        every = cases(known)
        found, common = shared(every)
        parts.append(f"## {title} workloads\n\nAll {len(known)}:\n")
        parts.append(f"{by_method({m: every[m] for m in OWN if m in every})}\n")
        parts.append(f"The {len(common)} that everyone was run on:\n\n{by_method(found)}\n")
        parts.append(f"### By workload\n\n{by_workload(every, known)}\n")
        parts.append(f"### Are the intervals of `tune` honest?\n\n{honesty(known)}\n")
        if title == "Judging":
            draw(found, HERE / "regret.png")
    parts.append(f"## Nothing to learn\n\n{abstentions()}\n")
    (HERE / "results.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
