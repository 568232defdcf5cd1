"""A store of each released version of the tables, so that every later one must open it.

    python tools/make_store_golden.py 1

Writes tests/golden/store/version-N.db from the first N steps of the schema, by plain SQL. A file
is made once, when its version is released, and never again: it stands for the files that users
have. The runs: finished, diverged, crashed on another computer, waiting.
"""

from __future__ import annotations

import argparse
import json
import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from stepsize.store.schema import APPLICATION_ID, MIGRATIONS

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden" / "store"
BEGAN = "2026-01-02T03:04:05.000+00:00"
ENDED = "2026-01-02T03:05:05.000+00:00"
#: Key, status, seed, updates made, error, token, whether it was begun.
RUNS = (
    ("0000000000000000aaaa", "finished", 0, 20, "", None, True),
    ("0000000000000000bbbb", "diverged", 1, 12, "the loss is nan", None, True),
    ("0000000000000000cccc", "running", 2, 7, "", "c0ffee", True),
    ("0000000000000000dddd", "waiting", 3, 0, "", None, False),
)


def fill(connection: sqlite3.Connection) -> None:
    """Enter the runs, with all that hangs on them."""
    for number, (key, status, seed, done, error, token, begun) in enumerate(RUNS, start=1):
        schedule = "cosine(0.1, steps=20)"
        definition = {"task": "digits", "schedule": schedule, "seed": seed}
        definition |= {"epochs": 2, "updates": 20}
        row = {
            "id": number,
            "key": key,
            "definition": json.dumps(definition),
            "status": status,
            "done": done,
            "error": error,
            "seconds": 1.5 if status == "finished" else 0.0,
            "created": BEGAN,
            **{name: definition[name] for name in ("task", "schedule", "seed", "epochs")},
            "updates": definition["updates"],
        }
        if begun:
            row |= {"environment": '{"torch": "2.9.0"}', "facts": '{"batches": "b00b"}'}
            row |= {"started": BEGAN, "ended": None if token else ENDED, "heartbeat": ENDED}
            row |= {"token": token, "host": "worker", "pid": 4242, "process_started": "171717"}
            row |= {"boot": "6f1d2c3b", "pid_space": "pid:[4026531836]"}
        insert(connection, "run", row)
        for update in range(done):
            loss = math.nan if (status, update) == ("diverged", 11) else 2.0 / (1 + update)
            values = {"run": number, "number": update, "lr": 0.1 - 0.005 * update, "loss": loss}
            insert(connection, "updates", values)
        for epoch in range(1, done // 10 + 1):
            at = {"run": number, "updates": 10 * epoch}
            insert(connection, "evaluation", {**at, "epoch": epoch})
            for name, value in (("val_loss", 1.0 / epoch), ("val_accuracy", 0.5 * epoch)):
                insert(connection, "metric", {**at, "name": name, "value": value})
        if begun:
            event = {"run": number, "at": BEGAN, "kind": "started", "text": "from the beginning"}
            insert(connection, "event", event)
    comparison = {"id": 1, "key": "eeee", "name": "first", "plan": '{"epochs": 2}'}
    insert(connection, "comparison", {**comparison, "created": BEGAN, "result": '{"ranking": []}'})
    for run in (1, 2, 3, 4):
        insert(connection, "comparison_run", {"comparison": 1, "run": run, "arm": "cosine"})
    insert(connection, "kept", {"kind": "find", "key": "ffff", "value": '{"lr": 0.1}', "at": BEGAN})


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    """One row."""
    marks = ", ".join("?" * len(row))
    names = ", ".join(row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", type=int, choices=range(1, len(MIGRATIONS) + 1))
    version = parser.parse_args().version
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = FOLDER / f"version-{version}.db"
    if target.exists():
        parser.error(f"{target} is there: it is made only once")
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute("PRAGMA page_size = 1024")  # a small file
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN")
    for statements in MIGRATIONS[:version]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    fill(connection)
    connection.execute("COMMIT")
    connection.close()


if __name__ == "__main__":
    main()
