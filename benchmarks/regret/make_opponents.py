"""Run what else there is on the workloads: released finders, optimizers without a rate, searches.

    pip install -r benchmarks/regret/requirements.txt  # how to install fastai is said there
    STEPSIZE_DATA=... python benchmarks/regret/make_opponents.py [--workloads NAME ...]
        [--only METHOD ...] [--processes 2] [--out FOLDER]

About an hour on one core. What is done already is kept: remove ``opponent_results/<name>.json`` to
run a workload again.

One file a workload: a head ``{"workload", "updates", "optimizer"}``, then one line a row. Three
groups of rows; all losses and errors as in the grid, null where a training diverged:

* ``finder`` (seeds 0 to 4, see ``opponents/finders.py``): ``{"group", "method", "seed", "lr",
  "updates"}``, and ``"why"`` where ``lr`` is null. Unlearnable workloads have these rows alone.
* ``optimizer`` (seeds 0 to 2, ``opponents/optimizers.py``): ``{..., "schedule", "evaluations",
  "final": {"val", "test", ...}}``: one training, no search.
* ``search`` (seeds 0 to 2, ``opponents/searches.py``): the same with ``"trained"`` (the search
  leaves the trained model; otherwise it costs one more training) and, for ``final``, ``"finals"``:
  a whole linear training at ``lr`` from each of the grid's seeds. The search saw only its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from make_grid import SEEDS
from opponents.finders import FINDERS, find, quiet
from opponents.optimizers import METHODS, train_once
from opponents.searches import SEARCHES
from opponents.trainings import Search, Trainings, read_lines, six_digits, write_lines
from workloads import UNLEARNABLE, WORKLOADS

FOLDER = Path(__file__).parent / "opponent_results"
FINDER_SEEDS = (0, 1, 2, 3, 4)
GROUPS = {
    **dict.fromkeys(FINDERS, "finder"),
    **dict.fromkeys(METHODS, "optimizer"),
    **dict.fromkeys(SEARCHES, "search"),
}


def finder_row(name: str, method: str, seed: int) -> dict[str, Any]:
    found = find(name, seed, method)
    why = {} if found.why is None else {"why": found.why}
    return {"lr": found.lr, "updates": found.updates, **why}


def optimizer_row(name: str, method: str, seed: int) -> dict[str, Any]:
    chosen = METHODS[method]
    return {
        "lr": chosen.lr,
        "schedule": chosen.schedule.__name__,
        "updates": WORKLOADS[name].updates,
        "evaluations": 0,
        "final": train_once(name, seed, chosen),
    }


def search_row(method: str, seed: int, trainings: Trainings) -> dict[str, Any]:
    search = Search(trainings, seed)
    lr = SEARCHES[method](search)
    lr = None if lr is None else six_digits(lr)
    return {
        "lr": lr,
        "schedule": "linear",
        "updates": search.updates,
        "evaluations": search.evaluations,
        "trained": method.startswith("random"),
        "finals": {str(s): None if lr is None else trainings.final(lr, s) for s in SEEDS},
    }


def wanted(name: str, only: list[str], kept: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """Each method and seed that has no row yet."""
    done = {(row["method"], row["seed"]) for row in kept}
    for method in only:
        if GROUPS[method] != "finder" and name in UNLEARNABLE:
            continue
        for seed in FINDER_SEEDS if GROUPS[method] == "finder" else SEEDS:
            if (method, seed) not in done:
                yield method, seed


def measure(name: str, only: list[str], folder: Path) -> tuple[str, float]:
    """Complete the file of one workload; the seconds it took."""
    torch.set_num_threads(1)
    quiet()
    began, path = time.process_time(), folder / f"{name}.json"
    workload = WORKLOADS[name]
    head = {"workload": name, "updates": workload.updates, "optimizer": workload.optimizer}
    rows = read_lines(path)[1:]
    trainings = Trainings(name, folder / "trainings" / f"{name}.json")
    for method, seed in wanted(name, only, rows):
        group = GROUPS[method]
        if group == "finder":
            found = finder_row(name, method, seed)
        elif group == "optimizer":
            found = optimizer_row(name, method, seed)
        else:
            found = search_row(method, seed, trainings)
        rows.append({"group": group, "method": method, "seed": seed, **found})
        order = list(GROUPS)
        rows.sort(key=lambda row: (order.index(row["method"]), row["seed"]))
        write_lines(path, [head, *rows])
    return name, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=GROUPS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the results")
    options = parser.parse_args()
    (options.out / "trainings").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(measure, name, options.only, options.out) for name in options.workloads]
        for future in as_completed(jobs):
            name, seconds = future.result()
            print(f"{name:28s} {seconds:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
