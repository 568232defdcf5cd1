"""What an epoch of head training costs on precomputed activations, beside one through the body.

    python benchmarks/precomputed_activations/run.py [--repetitions 5]

The task ``clothing-transfer``: ResNet-20 from CIFAR-10 on 3,068 photographs of clothes, 32 pixels,
mirrored and shifted anew in each epoch; batches of 32; all layer groups but the last are frozen.
One thread, CPU time (``time.process_time``). In each repetition every contestant makes one epoch,
in an order shuffled anew; the table shows the median over the repetitions, and the median ratio to
the hand-written loop of the same repetition. Computing the activations is timed by itself: once
into a new folder, once with the files there. Writes results.json and results.md beside this file
(elsewhere with ``--out``).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import torch

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.fine_tuning import Freezing, groups, precompute
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.training import Training
from stepsize.schedules import Constant
from stepsize.tasks import Task, load, make_task

HERE = Path(__file__).resolve().parent
TASK = "clothing-transfer"
TARGET = 10.0
BASE = "training: a loop by hand, body under no_grad"
OURS = "training: on activations"


def begun(task: Task, updates: int) -> Training:
    return Training(
        task, Constant(0.01), seed=0, steps=10**6, updates_per_epoch=updates, recipe=Recipe()
    )


def epoch(training: Training) -> None:
    for _ in range(training.updates_per_epoch):
        training.update()
    training.end_epoch()


def by_hand(task: Task) -> None:
    """As somebody would write it who knows that the body need not be differentiated."""
    model: Any = task.model
    optimizer = torch.optim.SGD(model.linear.parameters(), lr=0.01, momentum=0.9)
    features: list[torch.Tensor] = []
    hook = model.linear.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    for pictures, classes in task.train:
        with torch.no_grad():
            model(pictures)
        loss = torch.nn.functional.cross_entropy(model.linear(features[0]), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        features.clear()
    hook.remove()


def contestants(folder: Path) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    task = make_task(load(TASK), 0)
    first = next(iter(task.val))
    found = groups(task.model, example=lambda model: task.loss(model, first))
    Freezing(task.model, found).train_last(1)
    spent = []
    for _ in range(2):
        start = time.process_time()
        done = precompute(task, found, 1, folder=folder)
        spent.append(time.process_time() - start)
    updates = len(task.train)
    through, ours = begun(task, updates), begun(done.task, updates)
    turns: dict[str, Callable[[], Any]] = {
        BASE: lambda: by_hand(task),
        "training: through the body": lambda: epoch(through),
        OURS: lambda: epoch(ours),
        "validation: through the body": lambda: evaluate(task, task.val, Recipe(), "val_"),
        "validation: on activations": lambda: evaluate(done.task, done.task.val, Recipe(), "val_"),
    }
    values = [evaluate(t, t.val, Recipe(), "val_")["val_loss"] for t in (task, done.task)]
    facts = {key: done.facts[key] for key in ("bytes", "examples", "batches", "augmented")}
    return turns, {
        **facts,
        "first_s": round(spent[0], 2),
        "again_s": round(spent[1], 2),
        "val_loss": values,
    }


def table(repetitions: int) -> tuple[dict[str, Any], dict[str, Any]]:
    shuffler = random.Random(0)
    with TemporaryDirectory() as folder:
        turns, facts = contestants(Path(folder))
        took: dict[str, list[float]] = {name: [] for name in turns}
        for repetition in range(-1, repetitions):  # the first is to warm up
            for name in shuffler.sample(list(turns), len(turns)):
                start = time.process_time()
                turns[name]()
                if repetition >= 0:
                    took[name].append(time.process_time() - start)
    rows = {}
    for name, mine in took.items():
        ratios = [base / own for own, base in zip(mine, took[BASE], strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        rows[name] = {
            "ms": round(1e3 * median(mine), 1),
            "times_faster": round(middle, 2),
            "quartiles": [round(low, 2), round(high, 2)],
        }
    return rows, facts


def markdown(record: dict[str, Any]) -> str:
    rows, facts = record["rows"], record["facts"]
    gain = rows[OURS]["times_faster"]
    saved = (rows[BASE]["ms"] - rows[OURS]["ms"]) / 1e3
    lines = [
        "# What an epoch of head training costs on precomputed activations",
        "",
        f"{record['machine']}; {record['date']}; shared, load {record['load']} before. One thread, "
        "CPU time.",
        f"Command: `python benchmarks/precomputed_activations/run.py`; median of "
        f"{record['repetitions']} repetitions in which all take turns; ratio to the loop by hand "
        "of the same repetition, median [quartiles].",
        "",
        f"Task `{TASK}`, head alone trained: {facts['batches']} batches, {facts['examples']} "
        "photographs an epoch; training decodes nothing (the photographs are in memory) and "
        "augments.",
        "",
        f"Target: an epoch at least {TARGET:g} times faster than through the body, "
        f"{'met' if gain >= TARGET else '**missed**'} ({gain:.1f} times).",
        "",
        "| an epoch of | ms | times faster than by hand |",
        "|---|--:|--:|",
    ]
    for name, row in rows.items():
        low, high = row["quartiles"]
        ratio = f"{row['times_faster']:.2f} [{low:.2f}, {high:.2f}]"
        lines.append(f"| {name} | {row['ms']:.1f} | {ratio if 'training' in name else ''} |")
    one, other = facts["val_loss"]
    return "\n".join(
        [
            *lines,
            "",
            f"Computing and proving the activations takes {facts['first_s']:.1f} s, and "
            f"{facts['again_s']:.1f} s where their files are found again (the proof is made "
            f"anew). It has paid for itself after {facts['first_s'] / saved:.1f} epochs of "
            f"training; a head that is trained for fewer, and on which no rate is searched, is "
            f"trained as cheaply through the body. They take {facts['bytes'] / 2**20:.0f} MiB.",
            f"The validation loss is {one:.7f} through the body and {other:.7f} on activations.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load_before = round(os.getloadavg()[0], 1)
    rows, facts = table(options.repetitions)
    record = {
        "machine": f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} VM, torch "
        f"{torch.__version__}, Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
        "load": load_before,
        "repetitions": options.repetitions,
        "rows": rows,
        "facts": facts,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (options.out / "results.md").write_text(markdown(record), encoding="utf-8")
    print(markdown(record))


if __name__ == "__main__":
    main()
