"""Range-test every workload, and keep the curves.

    STEPSIZE_DATA=... python benchmarks/regret/make_curves.py [--only NAME ...]

Some fifteen minutes on one core. What is done already is kept: remove ``curves/<name>.json`` to
measure a workload again.

One file a workload, one line a range test, six significant digits::

    {"n": rates of the ladder, "seed", "losses": [...]}

A geometric ladder of n rates from 1e-6 to 10, and on to 10,000 at the same ratio, one update at
each. ``losses[i]`` is the training loss of batch i before the update at rate i; the last one is
null where it is not finite, which alone ends a test.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from workloads import WORKLOADS

from stepsize import Geometric

FOLDER = Path(__file__).parent / "curves"
LOWEST, HIGHEST, DECADES_BEYOND = 1e-6, 10.0, 3.0
#: Seeds by the number of rates: enough for five answers of three repeats.
SEEDS = {35: range(15), 100: range(15), 300: range(9)}


def ladder(n: int) -> list[float]:
    """``n`` rates from 1e-6 to 10 and those beyond that a finder may try."""
    rates = Geometric(LOWEST, HIGHEST, rates=n)
    return [rung.lr for rung in (*rates.rungs(), *rates.beyond(DECADES_BEYOND))]


def endless(batches: Any) -> Iterator[Any]:
    while True:
        yield from batches


def climb(name: str, seed: int, rates: list[float]) -> list[float]:
    """The training loss before the update at each of ``rates``."""
    task = WORKLOADS[name](seed)
    torch.manual_seed(seed)
    losses = []
    for lr, batch in zip(rates, endless(task.train), strict=False):
        loss = task.loss(task.model, batch)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            break
        task.optimizer.zero_grad()
        loss.backward()
        for group in task.optimizer.param_groups:
            group["lr"] = lr
        task.optimizer.step()
    return losses


def rounded(values: list[float]) -> list[float | None]:
    """Six significant digits; None for what is not finite."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def measure(name: str) -> None:
    """All range tests of a workload."""
    rows = [
        {"n": n, "seed": seed, "losses": rounded(climb(name, seed, ladder(n)))}
        for n, seeds in SEEDS.items()
        for seed in seeds
    ]
    lines = [json.dumps(row, separators=(",", ":"), allow_nan=False) for row in rows]
    temporary = FOLDER / f"{name}.tmp"
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(temporary, FOLDER / f"{name}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name in options.only:
        if not (FOLDER / f"{name}.json").exists():
            began = time.process_time()
            measure(name)
            print(f"{name:28s} {time.process_time() - began:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
