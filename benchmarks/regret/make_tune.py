"""Run ``stepsize.tune`` on the workloads and train what it recommends.

    STEPSIZE_DATA=... python benchmarks/regret/make_tune.py [--only NAME ...] [--budgets 1 ...]

Writes ``tune_results/<workload>.json``, a line a call; calls that are there already are kept::

    {"seed", "budget", "verdict", "lr", "interval", "schedule", "cost", "sensitivity",
     "expected": {"mean", "ci95"} or null, "finals": {seed: {"val", "test", ...} or null}}

``finals``: what the recommended schedule reaches in a whole training from each of the grid's seeds,
trained by the grid's own loop.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from make_grid import SEEDS, Run, train
from workloads import UNLEARNABLE, WORKLOADS

import stepsize
from stepsize.tasks import LoadedTask

FOLDER = Path(__file__).parent / "tune_results"


def finals(name: str, text: str) -> dict[str, Any]:
    """The end of a whole training under the schedule, from each seed."""
    updates = WORKLOADS[name].updates
    schedule = stepsize.schedules.parse(text, steps=updates)
    return {str(seed): train(Run(name, seed), 1.0, updates, schedule)["final"] for seed in SEEDS}


def measure(name: str, seed: int, budget: float) -> tuple[str, dict[str, Any], float]:
    """One call of ``tune`` and the trainings it is judged by."""
    torch.set_num_threads(1)
    began = time.process_time()
    workload = WORKLOADS[name]
    answer = stepsize.tune(LoadedTask(name, workload), workload.epochs, budget, seed=seed)
    row = {
        "seed": seed,
        "budget": budget,
        "verdict": answer.verdict,
        "lr": answer.lr,
        "interval": answer.interval,
        "schedule": answer.schedule,
        "cost": answer.cost.ratio,
        "sensitivity": answer.sensitivity,
        "expected": answer.expected.get("val_loss"),
        "finals": {} if answer.schedule is None else finals(name, answer.schedule),
    }
    return name, row, time.process_time() - began


def load(name: str) -> list[dict[str, Any]]:
    """The rows of a workload."""
    path = FOLDER / f"{name}.json"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add(name: str, row: dict[str, Any]) -> None:
    rows = sorted([*load(name), row], key=lambda each: (each["budget"], each["seed"]))
    text = "\n".join(json.dumps(each, separators=(",", ":"), allow_nan=False) for each in rows)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--budgets", nargs="+", type=float, default=[1.0])
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    wanted = [
        (name, seed, budget)
        for name in options.only
        for budget in options.budgets
        for seed in (SEEDS[:1] if name in UNLEARNABLE else SEEDS)
        if (seed, budget) not in {(row["seed"], row["budget"]) for row in load(name)}
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        for future in as_completed([pool.submit(measure, *job) for job in wanted]):
            name, row, seconds = future.result()
            add(name, row)
            print(f"{name:28s} {row['seed']} {row['budget']:g} {seconds:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
