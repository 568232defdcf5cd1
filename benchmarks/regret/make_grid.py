"""Train every workload at a dense grid of rates, and keep what the validation loss was on the way.

    STEPSIZE_DATA=... python benchmarks/regret/make_grid.py [--only NAME ...] [--processes 2]

About an hour and a half on one core. What is done already is kept: remove ``grid/<name>.json`` to
measure a workload again; ``--check`` trains a few of the runs again and compares.

One file a workload, one line a run::

    {"schedule", "seed", "lr", "val", "train", "final": {"val", "test", "val_error", ...}}

``val`` holds the validation loss after each share of ``MARKS`` of the updates, ``train`` the mean
training loss of the tenth of the updates before it; null from the first value that is not finite.
Schedules, of the peak ``lr`` and T updates, all but ``constant`` after a linear warm-up over 5 %:

* ``trunk``: the peak to the end; also ``averaged`` (the validation loss of an exponential average
  of the weights over about a tenth of the updates so far) and ``cooled`` (that after a fork at each
  share of ``FORKS``: further 25 % of the updates so far, with 1 - sqrt down to zero).
* ``wsd``: the trunk's first 80 %, then 1 - sqrt to zero. ``linear``, ``cosine``: to zero.
* ``linear/4``, ``linear/16`` (development workloads): linear over T / 4 and T / 16 updates.

The first line is ``{"workload", "updates", "init": {seed: {"val", "test", ...}}}``.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from workloads import DEVELOPMENT, UNLEARNABLE, WORKLOADS

from stepsize.tasks import Task
from stepsize.tasks.batches import TensorBatches

FOLDER = Path(__file__).parent / "grid"
MARKS = (1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
FORKS = (1 / 16, 1 / 8, 1 / 4)
SEEDS = (0, 1, 2)
WARM_UP, COOL_DOWN, AFTER_FORK = 0.05, 0.2, 0.25
#: Lowest and highest exponent of ten by optimizer.
RANGES = {"sgd": (-3.5, 1.5), "sgdm": (-4, 0.5), "nesterov": (-4, 0.5)}
ADAM_RANGE = (-4.5, -0.25)

Share = Callable[[int], float]


def exponents(name: str) -> tuple[float, float]:
    """Of ten: the lowest and the highest rate."""
    return RANGES.get(WORKLOADS[name].optimizer, ADAM_RANGE)


def rates(name: str) -> list[float]:
    """Four a decade for development, three for judging."""
    low, high = exponents(name)
    per_decade = 4 if name in DEVELOPMENT else 3
    first, last = math.ceil(low * per_decade), math.floor(high * per_decade)
    return [10.0 ** (k / per_decade) for k in range(first, last + 1)]


class Run:
    """One training of a workload from a seed, fed by hand."""

    def __init__(self, name: str, seed: int) -> None:
        self.seed = seed
        self.task: Task = WORKLOADS[name](seed)
        self.orders: list[torch.Tensor] = []  # the rows of every batch, the same for all runs
        train: Any = self.task.train
        rows = torch.arange(len(train.inputs))
        walk = TensorBatches(rows, rows, train.batch_size, shuffle=True, seed=seed)
        for _ in range(WORKLOADS[name].epochs):
            self.orders += [rows for rows, _ in walk]
        self.start = self.state()
        self.bad = self.evaluate(self.task.val)["loss"]
        self.bad += 10 * (abs(self.bad) + 1)

    def state(self) -> Any:
        return copy.deepcopy((self.task.model.state_dict(), self.task.optimizer.state_dict()))

    def restore(self, state: Any) -> None:
        self.task.model.load_state_dict(state[0])
        self.task.optimizer.load_state_dict(copy.deepcopy(state[1]))

    def update(self, t: int, lr: float) -> float:
        """One update at ``lr``; the loss before it."""
        task, train, rows = self.task, self.task.train, self.orders[t]
        loss = task.loss(task.model, (train.inputs[rows], train.targets[rows]))
        value = loss.item()
        if math.isfinite(value):
            task.optimizer.zero_grad()
            loss.backward()
            for group in task.optimizer.param_groups:
                group["lr"] = lr
            self.step(loss)
        return value

    def step(self, loss: torch.Tensor) -> None:
        """Where the optimizer is asked; some read the loss."""
        self.task.optimizer.step()

    @torch.no_grad()
    def evaluate(self, batches: Any) -> dict[str, float]:
        """The mean loss and metrics."""
        task, total, sums = self.task, 0, {}
        task.model.eval()
        for batch in batches:
            total += len(batch[0])
            for label, function in {"loss": task.loss, **task.metrics}.items():
                sums[label] = sums.get(label, 0.0) + float(function(task.model, batch)) * len(
                    batch[0]
                )
        task.model.train()
        return {label: value / total for label, value in sums.items()}

    def finals(self) -> dict[str, float | None]:
        val, test = self.evaluate(self.task.val), self.evaluate(self.task.test)
        found = {"val": val["loss"], "test": test["loss"]}
        if "error" in val:
            found |= {"val_error": val["error"], "test_error": test["error"]}
        return {label: rounded(value) for label, value in found.items()}


class Average:
    """An exponential average of the weights over about a tenth of the updates so far."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.live = [p for p in model.parameters() if p.requires_grad]
        self.kept = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def add(self, t: int) -> None:
        torch._foreach_lerp_(self.kept, self.live, min(1.0, 10.0 / (t + 1)))

    @torch.no_grad()
    def swap(self) -> None:
        for live, kept in zip(self.live, self.kept, strict=True):
            live_now = live.detach().clone()
            live.copy_(kept)
            kept.copy_(live_now)


def warm(t: int, updates: int) -> float:
    length = max(1, round(WARM_UP * updates))
    return min(1.0, (t + 1) / length)


def linear(t: int, updates: int) -> float:
    length = max(1, round(WARM_UP * updates))
    return warm(t, updates) if t < length else (updates - t) / (updates - length)


def cosine(t: int, updates: int) -> float:
    length = max(1, round(WARM_UP * updates))
    done = (t - length) / (updates - length)
    return warm(t, updates) if t < length else 0.5 * (1 + math.cos(math.pi * done))


def walk(run: Run, lr: float, updates: int, share: Share, average: Average | None) -> Iterator:
    """Train; yields (mark, update count, mean training loss) at each mark, stops when it is bad."""
    at = {max(1, round(mark * updates)): mark for mark in MARKS}
    losses: list[float] = []
    for t in range(updates):
        losses.append(run.update(t, lr * share(t)))
        if not math.isfinite(losses[-1]):
            return
        if average is not None:
            average.add(t)
        if t + 1 in at:
            window = losses[-max(5, (t + 1) // 10) :]
            yield at[t + 1], t + 1, math.fsum(window) / len(window)


def train(run: Run, lr: float, updates: int, share: Share) -> dict[str, Any]:
    """A run under one schedule."""
    run.restore(run.start)
    torch.manual_seed(run.seed)
    row: dict[str, Any] = {"val": [], "train": [], "final": None}
    for mark, _, loss in walk(run, lr, updates, share, None):
        row["val"].append(run.evaluate(run.task.val)["loss"])
        row["train"].append(loss)
        if not row["val"][-1] < run.bad:
            break
        if mark == 1.0:
            row["final"] = run.finals()
    return filled(row)


def cool(run: Run, lr: float, first: int, length: int) -> None:
    """1 - sqrt from ``lr`` to zero over ``length`` updates; the caller restores the state."""
    for i in range(length):
        run.update(first + i, lr * (1 - math.sqrt(i / length)))


def trunk(run: Run, lr: float, updates: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Warm-up and constant, with what its forks give; and with the cool-down at its end."""
    run.restore(run.start)
    torch.manual_seed(run.seed)
    row: dict[str, Any] = {"val": [], "train": [], "averaged": [], "cooled": [], "final": None}
    wsd: dict[str, Any] = {"final": None}
    average = Average(run.task.model)
    fork_at = updates - round(COOL_DOWN * updates)
    before_cool_down: list[Any] = []

    def share(t: int) -> float:
        if t == fork_at:
            before_cool_down.append(run.state())
        return warm(t, updates)

    for mark, done, loss in walk(run, lr, updates, share, average):
        row["val"].append(run.evaluate(run.task.val)["loss"])
        row["train"].append(loss)
        average.swap()
        row["averaged"].append(run.evaluate(run.task.val)["loss"])
        average.swap()
        if not row["val"][-1] < run.bad:
            break
        if mark in FORKS:
            state = run.state()
            cool(run, lr, done, max(1, round(AFTER_FORK * done)))
            row["cooled"].append(run.evaluate(run.task.val)["loss"])
            run.restore(state)
        if mark == 1.0:
            row["final"] = run.finals()
    else:
        if len(row["val"]) == len(MARKS):
            run.restore(before_cool_down[0])
            cool(run, lr, fork_at, updates - fork_at)
            wsd["final"] = run.finals()
    return filled(row), wsd


def filled(row: dict[str, Any]) -> dict[str, Any]:
    """Lists rounded and filled up with null."""
    for label, length in (("val", len(MARKS)), ("train", len(MARKS)), ("averaged", len(MARKS))):
        if label in row:
            values = [rounded(value) for value in row[label]]
            row[label] = values + [None] * (length - len(values))
    if "cooled" in row:
        values = [rounded(value) for value in row["cooled"]]
        row["cooled"] = values + [None] * (len(FORKS) - len(values))
    return row


def rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def measure(name: str, seed: int) -> tuple[str, int, dict[str, Any], list[dict[str, Any]], float]:
    """All runs of one workload from one seed."""
    torch.set_num_threads(1)
    began = time.process_time()
    run = Run(name, seed)
    T, rows = WORKLOADS[name].updates, []
    for lr in rates(name):
        constant, wsd = trunk(run, lr, T)
        kinds = {"trunk": constant, "wsd": wsd}
        kinds["linear"] = train(run, lr, T, lambda t: linear(t, T))
        kinds["cosine"] = train(run, lr, T, lambda t: cosine(t, T))
        if name in DEVELOPMENT:
            for part in (4, 16):
                short = T // part
                kinds[f"linear/{part}"] = train(run, lr, short, lambda t, n=short: linear(t, n))
        head = {"seed": seed, "lr": float(f"{lr:.6g}")}
        rows += [{"schedule": kind, **head, **row} for kind, row in kinds.items()]
    run.restore(run.start)
    return name, seed, run.finals(), rows, time.process_time() - began


def load(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The head and the runs of a workload."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return {"workload": name, "updates": WORKLOADS[name].updates, "init": {}}, []
    head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return head, rows


def add(name: str, seed: int, init: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    head, kept = load(name)
    head["init"][str(seed)] = init
    lines = [head, *sorted(kept + rows, key=lambda r: (r["seed"], r["schedule"], r["lr"]))]
    text = "\n".join(json.dumps(line, separators=(",", ":"), allow_nan=False) for line in lines)
    temporary = FOLDER / f"{name}.tmp"
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, FOLDER / f"{name}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [name for name in WORKLOADS if name not in UNLEARNABLE]
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    wanted = [
        (name, seed)
        for seed in SEEDS
        for name in options.only
        if str(seed) not in load(name)[0]["init"]
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        for future in as_completed([pool.submit(measure, *job) for job in wanted]):
            name, seed, init, rows, seconds = future.result()
            add(name, seed, init, rows)
            print(f"{name:28s} seed {seed} {seconds:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
