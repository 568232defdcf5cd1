"""Normalised regret: what a choice of rate and schedule costs on the workloads of the grid.

    grid = Grid.load("digits_mlp_sgd")
    grid.regret(0.1), grid.regret(0.1, "linear", seed=0), grid.best(), grid.seeds

On a seed: ``(final - best) / (start - best)`` of the validation losses, at most 1. ``best`` is the
loss, on that seed, of the cell (rate x schedule) that is best by its mean over the seeds, so a
choice may be a little better than 0 on one seed. 1 also for a training that left the finite
numbers and for no choice at all. Linear in the logarithm of the rate between the rates of the
grid; beyond its ends the end's value.

The files are those of make_grid.py in ``grid/`` or in the folder that the environment variable
``REGRET_GRID`` names.
"""

from __future__ import annotations

import json
import math
import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

FOLDER = Path(os.environ.get("REGRET_GRID", Path(__file__).parent / "grid"))
#: The schedules of full length.
SCHEDULES = ("linear", "cosine", "wsd", "trunk")


class Cell(NamedTuple):
    """A choice: a peak rate and a schedule."""

    lr: float
    schedule: str


@dataclass(frozen=True, eq=False)
class Grid:
    """The trainings of one workload.

    Attributes:
        name: the workload.
        updates: those of a full training.
        init: the losses before the training, by seed.
        rows: the trainings, in make_grid.py's form, by schedule, seed and rate.
    """

    name: str
    updates: int
    init: Mapping[int, Mapping[str, float]]
    rows: Mapping[tuple[str, int], Mapping[float, Mapping[str, Any]]]

    @staticmethod
    def load(name: str, folder: Path | str = FOLDER) -> Grid:
        """The grid of the workload ``name``; read once.

        Raises:
            FileNotFoundError: it is not measured yet.
        """
        return _load(name, Path(folder))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were trained."""
        return tuple(sorted(self.init))

    def rates(self, schedule: str = "cosine") -> tuple[float, ...]:
        """The rates of the grid, rising."""
        return tuple(sorted(self.rows[schedule, self.seeds[0]]))

    def final(self, cell: Cell, seed: int, label: str = "val") -> float:
        """What a training of the grid ended with; infinite where it left the finite numbers."""
        found = self.rows[cell.schedule, seed][cell.lr]["final"]
        value = None if found is None else found.get(label)
        return math.inf if value is None else float(value)

    def best(self, schedule: str | None = None, seeds: Iterable[int] | None = None) -> Cell:
        """The cell with the lowest mean final validation loss, of ``schedule`` or of all."""
        return _best(self, schedule, self.seeds if seeds is None else tuple(seeds))

    def cell_regret(self, cell: Cell, seed: int, label: str = "val") -> float:
        """The regret of a cell of the grid on one seed."""
        reference = self.final(self.best(), seed, label)
        top = self.init[seed][label]
        return min(1.0, (self.final(cell, seed, label) - reference) / (top - reference))

    def regret(
        self,
        lr: float | None,
        schedule: str = "cosine",
        seed: int | None = None,
        label: str = "val",
    ) -> float:
        """What the peak ``lr`` costs under ``schedule``, on ``seed`` or on average over the seeds.

        ``label``: "val" or "test", the loss that is looked at (the best cell is always the best by
        its validation loss).
        """
        if lr is None or not 0.0 < lr < math.inf:
            return 1.0
        seeds = self.seeds if seed is None else (seed,)
        return _between(
            self.rates(schedule),
            [
                fmean(self.cell_regret(Cell(rate, schedule), each, label) for each in seeds)
                for rate in self.rates(schedule)
            ],
            lr,
        )

    def value(
        self, lr: float, schedule: str = "cosine", seed: int | None = None, label: str = "val"
    ) -> float:
        """A final loss or error (``val``, ``test_error``, ...) between rates."""
        seeds = self.seeds if seed is None else (seed,)
        rates = self.rates(schedule)
        finals = [
            fmean(self.final(Cell(rate, schedule), each, label) for each in seeds) for rate in rates
        ]
        return _between(rates, finals, lr)

    def good(self, schedule: str = "cosine", slack: float = 0.02) -> tuple[float, float]:
        """The rates around the schedule's best that cost at most ``slack`` more, as grid rates."""
        rates = self.rates(schedule)
        costs = [self.regret(rate, schedule) for rate in rates]
        low = high = min(range(len(rates)), key=costs.__getitem__)
        limit = costs[low] + slack
        while low > 0 and costs[low - 1] <= limit:
            low -= 1
        while high < len(rates) - 1 and costs[high + 1] <= limit:
            high += 1
        return rates[low], rates[high]


@cache
def _load(name: str, folder: Path) -> Grid:
    text = (folder / f"{name}.json").read_text(encoding="utf-8")
    head, *lines = [json.loads(line) for line in text.splitlines()]
    rows: dict[tuple[str, int], dict[float, Mapping[str, Any]]] = {}
    for row in lines:
        rows.setdefault((row["schedule"], row["seed"]), {})[row["lr"]] = row
    init = {int(seed): losses for seed, losses in head["init"].items()}
    return Grid(name, head["updates"], init, rows)


@cache
def _best(grid: Grid, schedule: str | None, seeds: tuple[int, ...]) -> Cell:
    cells = [
        Cell(lr, kind)
        for kind in ([schedule] if schedule else SCHEDULES)
        for lr in grid.rates(kind)
    ]
    return min(cells, key=lambda cell: fmean(grid.final(cell, seed) for seed in seeds))


def _between(rates: Sequence[float], values: Sequence[float], lr: float) -> float:
    """Linear in the logarithm of the rate; the end's value beyond the ends."""
    x = [math.log10(rate) for rate in rates]
    place = min(max(math.log10(lr), x[0]), x[-1])
    i = max(1, bisect_left(x, place))
    share = (place - x[i - 1]) / (x[i] - x[i - 1])
    if share <= 0.0 or share >= 1.0:
        return values[i - 1] if share <= 0.0 else values[i]
    return values[i - 1] + share * (values[i] - values[i - 1])


def available(names: Iterable[str], folder: Path | str = FOLDER) -> list[str]:
    """Those of ``names`` that are measured."""
    return [name for name in names if (Path(folder) / f"{name}.json").exists()]


def noise_floor(grid: Grid, schedule: str | None = None) -> list[float]:
    """What the whole grid itself costs when it is judged like a choice.

    For each seed: the cell that is best on that seed alone, judged on the other seeds (regret of a
    perfect search that has one seed to look at).
    """
    return [
        grid.cell_regret(grid.best(schedule, [seed]), other)
        for seed in grid.seeds
        for other in grid.seeds
        if other != seed
    ]


def quantile(values: Iterable[float], share: float) -> float:
    """Linear between order statistics."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    i = min(int(place), max(0, len(ordered) - 2))
    if len(ordered) == 1:
        return ordered[0]
    return ordered[i] + (place - i) * (ordered[i + 1] - ordered[i])


def spread(rates: Iterable[float | None]) -> float:
    """Decades from the lowest to the highest rate; 0 for fewer than two."""
    logs = [math.log10(lr) for lr in rates if lr]
    return max(logs) - min(logs) if logs else 0.0
