"""Everyone who is judged, as regrets: of the recorded opponents, and of ``tune``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from judge import Grid
from make_tune import load as tune_rows
from workloads import WORKLOADS

OPPONENTS = Path(__file__).parent / "opponent_results"
#: A model that is trained already needs no further training.
FINAL_TRAINING = 1.0


class Case(NamedTuple):
    """One try on one workload.

    Attributes:
        method: the contestant.
        workload: its name.
        seed: of the try.
        regret: of the validation loss, at most 1.
        test: the same regret of the test loss; None where it does not apply.
        error: test error points above the best cell's; None for regressions.
        cost: in trainings, the training itself included.
        lr: the rate that was chosen; None where there is none to choose.
    """

    method: str
    workload: str
    seed: int
    regret: float
    test: float | None
    error: float | None
    cost: float
    lr: float | None


def loss_regret(grid: Grid, seed: int, final: Mapping[str, float] | None) -> float:
    """The regret of a training on one seed, at most 1."""
    reference, top = grid.final(grid.best(), seed), grid.init[seed]["val"]
    value = None if final is None else final.get("val")
    return 1.0 if value is None else min(1.0, (value - reference) / (top - reference))


def judged(
    method: str, grid: Grid, seed: int, finals: Mapping[int, Any], cost: float, lr: float | None
) -> Case:
    """A choice by what its trainings ended with; the mean over their seeds."""
    best, tests, errors = grid.best(), [], []
    for each, final in finals.items():
        ended = final is not None and final.get("test") is not None
        reached = final if ended else grid.init[each]  # nothing learned
        reference = grid.final(best, each, "test")
        tests.append((reached["test"] - reference) / (grid.init[each]["test"] - reference))
        if "test_error" in reached:
            errors.append(reached["test_error"] - grid.final(best, each, "test_error"))
    regret = fmean(loss_regret(grid, each, final) for each, final in finals.items())
    error = fmean(errors) if errors else None
    return Case(method, grid.name, seed, regret, fmean(tests), error, cost, lr)


def evaluation_updates(name: str) -> float:
    """What looking at the whole validation costs: a forward pass is a third of an update."""
    workload = WORKLOADS[name]
    return len(workload.data().val.x) / (3.0 * workload.batch)


def opponents(name: str) -> Iterator[Case]:
    """The recorded opponents on one workload."""
    path = OPPONENTS / f"{name}.json"
    if not path.exists():
        return
    grid = Grid.load(name)
    _, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        updates = row.get("updates", 0) + row.get("evaluations", 0) * evaluation_updates(name)
        cost = FINAL_TRAINING + updates / grid.updates
        if row["group"] == "finder":
            if row["seed"] not in grid.seeds:
                continue  # everyone has the same three tries
            lr = row["lr"]
            yield Case(row["method"], name, row["seed"], grid.regret(lr), None, None, cost, lr)
        elif row["group"] == "optimizer":
            finals = {row["seed"]: row["final"]}
            yield judged(row["method"], grid, row["seed"], finals, FINAL_TRAINING, None)
        else:
            finals = {int(seed): final for seed, final in row["finals"].items()}
            if row["lr"] is None:
                finals = dict.fromkeys(grid.seeds)
            cost -= FINAL_TRAINING * row["trained"]
            yield judged(row["method"], grid, row["seed"], finals, cost, row["lr"])


def ours(name: str) -> Iterator[Case]:
    """``tune`` on one workload, by budget."""
    grid = Grid.load(name)
    for row in tune_rows(name):
        finals = {int(seed): final for seed, final in row["finals"].items()}
        if row["verdict"] != "ok":
            finals = dict.fromkeys(grid.seeds)
        method = f"tune, B = {row['budget']:g}"
        cost = FINAL_TRAINING + row["cost"]
        yield judged(method, grid, row["seed"], finals, cost, row["lr"])


def one_seed_grid(name: str) -> Iterator[Case]:
    """The noise floor: the best cell on one seed, judged on the others."""
    grid = Grid.load(name)
    for seed in grid.seeds:
        cell = grid.best(seeds=[seed])
        others = [each for each in grid.seeds if each != seed]
        finals = {each: grid.rows[cell.schedule, each][cell.lr]["final"] for each in others}
        cells = 4 * len(grid.rates())
        yield judged("whole grid on one seed", grid, seed, finals, cells, cell.lr)
