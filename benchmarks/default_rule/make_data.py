"""Measure the study's data: range-test curves and a grid of real trainings.

    STEPSIZE_DATA=... python benchmarks/default_rule/make_data.py [--only NAME ...]

About five minutes on one core; ``--curves`` leaves out the grid, ``--check`` measures a few entries
again and compares them. Strict JSON, six significant digits, one record a line, null for what is
not finite:

curves.json: {"workload", "n", "seed", "order", "losses"}
    A geometric ladder of n rates from 1e-6 to 10 and on to 10,000 at the same ratio, one update at
    each; ``losses[i]`` is the loss of batch i before the update at rate i. Only a loss that is not
    finite ends a test.
grid.json: {"workload", "schedule", "seed", "updates", "init", "k", "final", "status"}
    One real training per rate ``10 ** (k / 3)``. "cosine": linear warm-up over 5 % of the updates,
    then cosine to zero; "constant": the same rate throughout. init, final: the validation loss
    before and after. status: ok; nan; abandoned (a batch loss above ten times init, null as
    final); worse (than init).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
from workloads import WORKLOADS, Training

from stepsize import Geometric

HERE = Path(__file__).resolve().parent
LOWEST, HIGHEST, DECADES_BEYOND = 1e-6, 10.0, 3.0
GRID_K = range(-15, 4)  # 1e-5 to 10, three a decade
GRID_RUNS = (("cosine", 0), ("cosine", 1), ("constant", 0))
#: (n, seed, order): five seeds, three further batch orders of seed 0, and two other lengths.
CURVE_RUNS = (
    *((100, seed, seed) for seed in range(5)),
    *((100, 0, order) for order in (100, 101, 102)),
    *((n, seed, seed) for n in (35, 300) for seed in range(3)),
)


def ladder(n: int) -> list[float]:
    """``n`` rates from 1e-6 to 10 and those beyond that a finder may try."""
    rates = Geometric(LOWEST, HIGHEST, rates=n)
    return [rung.lr for rung in (*rates.rungs(), *rates.beyond(DECADES_BEYOND))]


def range_test(name: str, n: int, seed: int, order: int) -> dict:
    """One curve."""
    training = Training(name, seed, order)
    losses = []
    for lr in ladder(n):
        losses.append(training.step(lr))
        if not math.isfinite(losses[-1]):
            break
    return {"workload": name, "n": n, "seed": seed, "order": order, "losses": rounded(losses)}


def share(schedule: str, t: int, updates: int) -> float:
    """The rate of update ``t`` as a share of the peak."""
    warm = max(1, round(0.05 * updates))
    if schedule == "constant":
        return 1.0
    if t < warm:
        return (t + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (t - warm) / (updates - warm)))


def train(name: str, schedule: str, seed: int, k: int) -> tuple[float, float, str]:
    """One full training: the validation loss before it, after it, and how it went."""
    training = Training(name, seed, seed)
    init, updates = training.validate(), training.workload.updates
    for t in range(updates):
        loss = training.step(10.0 ** (k / 3) * share(schedule, t, updates))
        if not math.isfinite(loss):
            return init, math.inf, "nan"
        if loss > 10 * init:
            return init, math.inf, "abandoned"
    final = training.validate()
    if not math.isfinite(final):
        return init, math.inf, "nan"
    return init, final, "worse" if final > init else "ok"


def grid(name: str, schedule: str, seed: int) -> dict:
    """The trainings of one workload, schedule and seed at all rates."""
    runs = [train(name, schedule, seed, k) for k in GRID_K]
    return {
        "workload": name,
        "schedule": schedule,
        "seed": seed,
        "updates": WORKLOADS[name].updates,
        "init": rounded([runs[0][0]])[0],
        "k": list(GRID_K),
        "final": rounded([final for _, final, _ in runs]),
        "status": [status for *_, status in runs],
    }


def rounded(values: list[float]) -> list[float | None]:
    """Six significant digits; None for what is not finite."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def load(name: str) -> list[dict]:
    path = HERE / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def save(name: str, rows: list[dict]) -> None:
    lines = ",\n".join(json.dumps(row, separators=(",", ":"), allow_nan=False) for row in rows)
    temporary = HERE / f"{name}.tmp"
    temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    os.replace(temporary, HERE / name)


def check(names: list[str]) -> None:
    """Measure one curve and two rates of each workload again."""
    curves, grids = load("curves.json"), load("grid.json")
    for name in names:
        curve = next(row for row in curves if row["workload"] == name)
        same = curve == range_test(name, curve["n"], curve["seed"], curve["order"])
        runs = [
            (rounded([train(name, row["schedule"], row["seed"], k)[1]])[0], final)
            for row in grids
            if row["workload"] == name
            for k, final in zip(row["k"], row["final"], strict=True)
            if k in (-6, 0)
        ]
        print(f"{name:24s} curve {same}, grid {sum(a == b for a, b in runs)} of {len(runs)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--curves", action="store_true", help="measure the curves only")
    parser.add_argument("--check", action="store_true", help="compare a few with the files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.check:
        check(options.only)
        return
    curves, grids = load("curves.json"), load("grid.json")
    for name in options.only:
        started = time.perf_counter()
        curves = [row for row in curves if row["workload"] != name]
        curves += [range_test(name, *run) for run in CURVE_RUNS]
        save("curves.json", curves)
        if WORKLOADS[name].updates is not None and not options.curves:
            grids = [row for row in grids if row["workload"] != name]
            grids += [grid(name, *run) for run in GRID_RUNS]
            save("grid.json", grids)
        print(f"{name:24s} {time.perf_counter() - started:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
