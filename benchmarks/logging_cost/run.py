"""What writing down one update costs: the store beside one transaction each, and beside a CSV.

    python benchmarks/logging_cost/run.py [--repetitions 15]

CPU time (``time.process_time``). In each repetition every contestant notes as many updates, in an
order shuffled anew; the table shows the median over the repetitions, and the median ratio to the
CSV of the same repetition. The updates follow each other at once, so the clock would hardly ever
ask the store to commit; it is made to commit after as many updates as a tenth of a second has room
for when an update takes 2.4 ms. Writes results.json and results.md beside this file (elsewhere
with ``--out``).
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import math
import os
import platform
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from stepsize.store import Store, lease

HERE = Path(__file__).resolve().parent
UPDATE_MS = 2.4  # an update of a small network on one core
TOGETHER = round(1000 * lease.COMMIT_SECONDS / UPDATE_MS)
UPDATES = 100 * TOGETHER
TARGET_PERCENT = 2.0
DEFINITION = {"task": "t", "schedule": "cosine(0.1)", "seed": 0, "epochs": 1, "updates": UPDATES}
BASE = "a CSV, line by line"


def stored(folder: Path, together: int) -> float:
    """The store, committing after every ``together`` updates."""
    with Store(folder) as store:
        held = store.claim(store.add_run("abc", DEFINITION), {})
        held.log(0, 0.1, 1.0)
        held._due = math.inf
        start = time.process_time()
        for update in range(1, UPDATES + 1):
            held.log(update, 0.1, 1.0 / update)
            if not update % together:
                held.flush()
                held._due = math.inf
        spent = time.process_time() - start
        held.finish("finished")
    return spent


def bare_rows(folder: Path) -> float:
    """SQLite without a store around it: a transaction for each row."""
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE updates (number INTEGER PRIMARY KEY, lr REAL, loss REAL)")
        start = time.process_time()
        for update in range(1, UPDATES + 1):
            connection.execute("INSERT INTO updates VALUES (?, ?, ?)", (update, 0.1, 1.0 / update))
        return time.process_time() - start


def text_lines(folder: Path) -> float:
    """A CSV file, each line handed to the system at once."""
    with open(folder / "rows.csv", "w", encoding="utf-8", buffering=1) as file:
        writer = csv.writer(file)
        start = time.process_time()
        for update in range(1, UPDATES + 1):
            writer.writerow((update, 0.1, 1.0 / update))
        return time.process_time() - start


CONTESTANTS: dict[str, Callable[[Path], float]] = {
    f"the store, {TOGETHER} updates a commit": lambda folder: stored(folder, TOGETHER),
    "the store, one update a commit": lambda folder: stored(folder, 1),
    "bare SQLite, one row a commit": bare_rows,
    BASE: text_lines,
}


def measure(repetitions: int) -> dict[str, list[float]]:
    """Microseconds per update of every contestant, once per repetition after one to warm up."""
    shuffler = random.Random(0)
    took: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for repetition in range(-1, repetitions):
        for name in shuffler.sample(list(CONTESTANTS), len(CONTESTANTS)):
            with TemporaryDirectory() as folder:
                spent = 1e6 * CONTESTANTS[name](Path(folder)) / UPDATES
            if repetition >= 0:
                took[name].append(spent)
    return took


def table(repetitions: int) -> dict:
    took = measure(repetitions)
    rows = {}
    for name, mine in took.items():
        low, middle, high = quantiles(
            [a / b for a, b in zip(mine, took[BASE], strict=True)], n=4, method="inclusive"
        )
        rows[name] = {
            "us": round(median(mine), 2),
            "ratio": round(middle, 2),
            "ratio_quartiles": [round(low, 2), round(high, 2)],
            "percent_of_update": round(median(mine) / UPDATE_MS / 10, 3),
        }
    return rows


def markdown(record: dict) -> str:
    ours = next(iter(record["rows"].values()))
    verdict = "met" if ours["percent_of_update"] < TARGET_PERCENT else "**missed**"
    lines = [
        "# What writing down one update costs",
        "",
        f"{record['machine']}; {record['date']}; shared, load {record['load']} before. CPU time, "
        "microseconds per update.",
        f"Command: `python benchmarks/logging_cost/run.py`; median of {record['repetitions']} "
        f"repetitions of {UPDATES} updates in which all take turns; ratio to the CSV of the same "
        "repetition, median [quartiles].",
        "",
        f"Target: under {TARGET_PERCENT:g} % of an update of {UPDATE_MS} ms, {verdict}.",
        "",
        f"| | µs | of {UPDATE_MS} ms | ratio |",
        "|---|--:|--:|--:|",
    ]
    for name, numbers in record["rows"].items():
        low, high = numbers["ratio_quartiles"]
        lines.append(
            f"| {name} | {numbers['us']:.2f} | {numbers['percent_of_update']:.2f} % | "
            f"{numbers['ratio']:.2f} [{low:.2f}, {high:.2f}] |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    record = {
        "machine": f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} VM, SQLite "
        f"{sqlite3.sqlite_version}, Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
        "load": round(os.getloadavg()[0], 1),
        "repetitions": options.repetitions,
        "rows": table(options.repetitions),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (options.out / "results.md").write_text(markdown(record), encoding="utf-8")
    print(markdown(record))


if __name__ == "__main__":
    main()
