"""A run as the store knows it, and how runs get in and out."""

from __future__ import annotations

import json
import math
import re
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, final

from stepsize.errors import StoreError, require
from stepsize.records import OVER, Evaluation, Run
from stepsize.store.connection import Database
from stepsize.store.liveness import Owner, here

_NEEDED = ("task", "schedule", "seed", "epochs", "updates")
_COLUMNS = """
    run.id, run.key, run.definition, run.status, run.done, run.error, run.seconds,
    run.environment, run.facts, run.started, run.ended,
    run.host, run.pid, run.process_started, run.boot, run.pid_space, run.heartbeat, run.token
"""
#: The leases of this process, by token.
LEASES: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


class Event(NamedTuple):
    """A dated line of a run's history.

    Attributes:
        at: the time, UTC, ISO 8601.
        kind: ``started``, ``resumed``, ``checkpoint``, ``crashed``, ...
        text: the rest, in words.
    """

    at: str
    kind: str
    text: str


@final
@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the store knows it.

    Attributes:
        id: its number in this store.
        key: its name, the same in every store.
        definition: everything that decides its numbers, as JSON data.
        status: one of :data:`stepsize.records.STATUSES`.
        done: updates made.
        history: the evaluations in order; left empty where many runs are listed.
        error: what went wrong, in one line, or empty.
        seconds: time spent training, over all its resumptions.
        environment: versions, git commit, machine, of the process that had it last.
        facts: JSON facts, such as digests of the initial weights and of the batches.
        started, ended: UTC, ISO 8601; None while it has not.
        owner: host and process number of the process that has it or had it last.
        events: the dated lines of its history; left empty where many runs are listed.
    """

    id: int
    key: str
    definition: Mapping[str, Any]
    status: str
    done: int = 0
    history: tuple[Evaluation, ...] = ()
    error: str = ""
    seconds: float = 0.0
    environment: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    started: str | None = None
    ended: str | None = None
    owner: tuple[str, int] | None = None
    events: tuple[Event, ...] = ()

    def as_run(self, arm: str) -> Run:
        """The run as a comparison sees it, under the arm's name."""
        return Run(
            arm=arm,
            schedule=self.definition["schedule"],
            seed=self.definition["seed"],
            status=self.status,
            updates=self.definition["updates"],
            done=self.done,
            history=self.history,
            key=self.key,
            error=self.error,
            seconds=self.seconds,
        )


def now() -> str:
    """The time, as the store writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def writable(text: str) -> str:
    """``text`` without halves of characters, which SQLite refuses: they are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def add(database: Database, key: str, definition: Mapping[str, Any]) -> int:
    """The run of that key, entered unless it is there."""
    require(
        re.fullmatch(r"\w[\w.-]*", key, re.ASCII) is not None,
        f"A run's key is made of letters, digits, '.', '_' and '-', got {key!r}.",
    )
    missing = [name for name in _NEEDED if name not in definition]
    require(not missing, f"The definition of the run {key} needs {', '.join(missing)}.")
    find = "SELECT id FROM run WHERE key = ?"
    for (known,) in database.rows(find, key):
        return int(known)
    task, schedule, *numbers = (definition[name] for name in _NEEDED)
    with database.writing() as connection:
        connection.execute(
            "INSERT INTO run (key, task, schedule, seed, epochs, updates, definition, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (key, writable(task), writable(schedule), *numbers, json.dumps(definition), now()),
        )
        return int(connection.execute(find, (key,)).fetchone()[0])


def listed(
    database: Database,
    task: str | None = None,
    comparison: int | None = None,
    run_id: int | None = None,
) -> list[StoredRun]:
    """The runs in the order they were entered, without their histories."""
    conditions = {
        "run.task = ?": None if task is None else writable(task),
        "run.id IN (SELECT run FROM comparison_run WHERE comparison = ?)": comparison,
        "run.id = ?": run_id,
    }
    asked = {text: value for text, value in conditions.items() if value is not None}
    where = f"WHERE {' AND '.join(asked)}" if asked else ""
    sql = f"SELECT {_COLUMNS} FROM run {where} ORDER BY run.id"
    return [_stored(row) for row in database.rows(sql, *asked.values())]


def whole(database: Database, run_id: int) -> StoredRun:
    """One run with its history and events."""
    found = listed(database, run_id=run_id)
    if not found:
        raise unknown(database, run_id)
    values: dict[tuple[int, int], dict[str, float]] = {}
    for epoch, updates, name, value in database.rows(
        "SELECT epoch, updates, name, value FROM evaluation LEFT JOIN metric USING (run, updates) "
        "WHERE run = ? ORDER BY updates, metric.rowid",
        run_id,
    ):
        metrics = values.setdefault((epoch, updates), {})
        if name is not None:
            metrics[name] = math.inf if value is None else value
    events = database.rows("SELECT at, kind, text FROM event WHERE run = ? ORDER BY id", run_id)
    return replace(
        found[0],
        history=tuple(Evaluation(*at, metrics) for at, metrics in values.items()),
        events=tuple(Event(*row) for row in events),
    )


def unknown(database: Database, run_id: int) -> StoreError:
    """What to raise when a run is asked for that is not there."""
    ((count,),) = database.rows("SELECT count(*) FROM run")
    return StoreError(f"The store {database.path} has no run {run_id}. It holds {count}.")


def true_status(status: str, owner: Iterable[Any], heartbeat: str | None, token: str) -> str:
    """The status of a row, where one that is said to run may have crashed."""
    if status != "running":
        return status
    process = Owner(*owner)
    if process == here():
        return "running" if token in LEASES else "crashed"
    return "crashed" if process.gone(heartbeat or "") else "running"


def claimable(status: str) -> bool:
    """Whether a run of that status waits for somebody to make it."""
    return status not in OVER and status != "running"


def _stored(row: tuple[Any, ...]) -> StoredRun:
    (number, key, definition, status, done, error, seconds, environment, facts) = row[:9]
    started, ended, *owner, heartbeat, token = row[9:]
    return StoredRun(
        id=number,
        key=key,
        definition=json.loads(definition),
        status=true_status(status, owner, heartbeat, token),
        done=done,
        error=error,
        seconds=seconds,
        environment=json.loads(environment),
        facts=json.loads(facts),
        started=started,
        ended=ended,
        owner=None if owner[0] is None else (owner[0], owner[1]),
    )
