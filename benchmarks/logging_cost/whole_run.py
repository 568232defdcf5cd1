"""What keeping a run costs: a training of the reference study with a store, and without.

    STEPSIZE_DATA=... python benchmarks/logging_cost/whole_run.py [--repetitions 15]

Epochs of the study's network (Fashion-MNIST, MLP 784-512-200-10, batch 64), CPU time of the whole
process. In each repetition the same epochs are trained with the store (every update, evaluations,
facts, checkpoints), with a lease that keeps nothing, and in a bare loop, in an order shuffled anew;
the table shows the median of the ratios within a repetition. Writes whole_run.json and whole_run.md
beside this file (elsewhere with ``--out``).
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

import torch

from stepsize.adapters.torch.trials import train, updates_per_epoch
from stepsize.comparison import Trial
from stepsize.schedules import parse
from stepsize.store import Store
from stepsize.tasks import load, make_task

HERE = Path(__file__).resolve().parent
TASK = "fashion-mnist-mlp"
EPOCHS = 4
TARGET_PERCENT = 2.0
STORED, KEPT_NOTHING, BARE = "train, with the store", "train, keeping nothing", "a bare loop"


class NoLease:
    """Takes everything and keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint, self.weights = folder / "checkpoint", folder / "weights"

    def nothing(self, *words: object, **named: object) -> None:
        pass

    log = flush = evaluate = rewind = facts = event = finish = nothing


def trial() -> Trial:
    loaded = load(TASK)
    each = updates_per_epoch(make_task(loaded, 0))
    schedule = parse("cosine(0.1)", steps=EPOCHS * each, steps_per_epoch=each)
    return Trial("cosine", loaded, schedule, 0, EPOCHS, each)


def with_store(asked: Trial, folder: Path) -> None:
    with Store(folder) as store, store.claim(store.add_run("abc", asked.definition()), {}) as lease:
        train(asked, lease)


def keeping_nothing(asked: Trial, folder: Path) -> None:
    train(asked, NoLease(folder))


def bare(asked: Trial, folder: Path) -> None:
    """What a user would write by hand, validation and all."""
    task = make_task(asked.task, asked.seed)
    model, optimizer = task.model, task.optimizer
    update = 0
    for _ in range(EPOCHS):
        for batch in task.train:
            optimizer.param_groups[0]["lr"] = asked.schedule(update)
            optimizer.zero_grad()
            loss = task.loss(model, batch)
            loss.backward()
            optimizer.step()
            loss.item()
            update += 1
        model.eval()
        with torch.no_grad():
            for batch in task.val:
                task.loss(model, batch).item()
                task.metrics["accuracy"](model, batch)
        model.train()


CONTESTANTS: dict[str, Callable[[Trial, Path], None]] = {
    STORED: with_store,
    KEPT_NOTHING: keeping_nothing,
    BARE: bare,
}


def measure(repetitions: int) -> dict[str, list[float]]:
    """CPU seconds of every contestant, once per repetition after one to warm up."""
    shuffler, asked = random.Random(0), trial()
    took: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for repetition in range(-1, repetitions):
        for name in shuffler.sample(list(CONTESTANTS), len(CONTESTANTS)):
            with TemporaryDirectory() as folder:
                start = time.process_time()
                CONTESTANTS[name](asked, Path(folder))
                spent = time.process_time() - start
            if repetition >= 0:
                took[name].append(spent)
    return took


def ratio(took: dict[str, list[float]], name: str, base: str) -> list[float]:
    """Median and quartiles of the ratio within a repetition."""
    ratios = [a / b for a, b in zip(took[name], took[base], strict=True)]
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return [round(middle, 4), round(low, 4), round(high, 4)]


def markdown(record: dict) -> str:
    middle = record["ratios"]["the store's cost"][0]
    verdict = "met" if 100 * (middle - 1) < TARGET_PERCENT else "**missed**"
    lines = [
        "# What keeping a run costs",
        "",
        f"{record['machine']}; {record['date']}; shared, load {record['load']} before. CPU time.",
        "Command: `python benchmarks/logging_cost/whole_run.py`; "
        f"{EPOCHS} epochs of `{TASK}`, {record['repetitions']} repetitions in which all take "
        "turns; ratios within a repetition, median [quartiles].",
        "",
        f"Target: logging under {TARGET_PERCENT:g} % of a run, {verdict}.",
        "",
        "| | CPU s |",
        "|---|--:|",
    ]
    lines += [f"| {name} | {seconds:.2f} |" for name, seconds in record["seconds"].items()]
    lines += ["", "| ratio | median | quartiles |", "|---|--:|---|"]
    for name, (middle, low, high) in record["ratios"].items():
        lines.append(f"| {name} | {middle:.3f} | {low:.3f} to {high:.3f} |")
    return (
        "\n".join(lines).replace(" | |", " |").replace("|---|--:|---|\n", "|---|--:|\n", 1) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load_before = round(os.getloadavg()[0], 1)
    took = measure(options.repetitions)
    record = {
        "machine": f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} VM, torch "
        f"{torch.__version__}, one thread, Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
        "load": load_before,
        "repetitions": options.repetitions,
        "seconds": {name: round(median(mine), 3) for name, mine in took.items()},
        "ratios": {
            "the store's cost": ratio(took, STORED, KEPT_NOTHING),
            "the whole of train": ratio(took, STORED, BARE),
        },
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "whole_run.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (options.out / "whole_run.md").write_text(markdown(record), encoding="utf-8")
    print(markdown(record))


if __name__ == "__main__":
    main()
