"""The right of one process to make a run, and to write down what happens in it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final
from uuid import uuid4

from stepsize.errors import LeaseLostError, StoreError, require
from stepsize.records import Evaluation
from stepsize.store.connection import Database
from stepsize.store.liveness import here
from stepsize.store.runs import LEASES, claimable, now, true_status, unknown, writable

#: Updates are committed together, about this often: as much as a sudden end can cost.
COMMIT_SECONDS = 0.1
#: How a lease can end.
ENDS = ("finished", "diverged", "failed", "interrupted")


@final
class Lease:
    """The right of this process to make a run: everything that happens is written through it.

    Use it as a context manager; leaving it without :meth:`finish` marks the run as interrupted.
    Updates wait in memory for a tenth of a second, then land in the file together.

    Every method that writes raises :class:`~stepsize.errors.LeaseLostError` when another process
    has taken the run over, and :class:`~stepsize.errors.StoreError` when the file cannot be
    written; what waits then goes on waiting, and the next write tries again.

    >>> from tempfile import TemporaryDirectory
    >>> from stepsize.store import Store
    >>> definition = {"task": "t", "schedule": "constant(1)", "seed": 0, "epochs": 1, "updates": 2}
    >>> with TemporaryDirectory() as folder, Store(folder) as store:
    ...     with store.claim(store.add_run("abc", definition), {}) as lease:
    ...         lease.log(0, 1.0, 2.5)
    ...         lease.log(1, 1.0, 2.25)
    ...         lease.finish("finished")
    ...     list(store.updates(lease.run_id))
    [(0, 1.0, 2.5), (1, 1.0, 2.25)]
    """

    def __init__(self, database: Database, run_id: int, token: str, files: Path) -> None:
        self.run_id = run_id
        self._database = database
        self._token = token
        self._files = files
        self._over = False
        self._waiting: list[tuple[int, float, float]] = []
        self._due = 0.0  # when they are to be committed, on the monotonic clock
        LEASES[token] = self

    def __repr__(self) -> str:
        return f"Lease(run {self.run_id} of {self._database.path})"

    def log(self, update: int, lr: float, loss: float) -> None:
        """Note the rate that an update used and the training loss of its batch.

        Args:
            update: its number, 0 first; one that was logged before is replaced.
            lr: the rate.
            loss: may be NaN or infinite.
        """
        self._waiting.append((int(update), float(lr), float(loss)))
        if time.monotonic() >= self._due:
            self.flush()

    def log_all(self, first: int, lrs: Sequence[float], losses: Sequence[float]) -> None:
        """Note consecutive updates, of which ``first`` is the number of the first; as :meth:`log`.

        A rate belongs to each loss.
        """
        numbers = range(first, first + len(losses))
        self._waiting += zip(numbers, lrs, losses, strict=True)
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Commit what waits, at once."""
        self._write(lambda connection: None)

    def evaluate(self, evaluation: Evaluation) -> None:
        """Note the values of an evaluation, and commit at once."""

        def write(connection: sqlite3.Connection) -> None:
            at = (self.run_id, evaluation.updates)
            connection.execute("DELETE FROM evaluation WHERE run = ? AND updates = ?", at)
            connection.execute(
                "INSERT INTO evaluation (run, updates, epoch) VALUES (?, ?, ?)",
                (*at, evaluation.epoch),
            )
            connection.executemany(
                "INSERT INTO metric (run, updates, name, value) VALUES (?, ?, ?, ?)",
                [(*at, name, float(value)) for name, value in evaluation.values.items()],
            )

        self._write(write, done=evaluation.updates)

    def rewind(self, updates: int) -> None:
        """Forget the updates from number ``updates`` on, and the evaluations made after them."""

        def write(connection: sqlite3.Connection) -> None:
            at = (self.run_id, updates)
            connection.execute("DELETE FROM updates WHERE run = ? AND number >= ?", at)
            connection.execute("DELETE FROM evaluation WHERE run = ? AND updates > ?", at)
            connection.execute("UPDATE run SET done = min(done, ?) WHERE id = ?", at[::-1])

        self._write(write)

    def facts(self, **facts: Any) -> None:
        """Add JSON facts to the run's; a fact of the same name is replaced."""

        def write(connection: sqlite3.Connection) -> None:
            sql = "SELECT facts FROM run WHERE id = ?"
            (known,) = connection.execute(sql, (self.run_id,)).fetchone()
            merged = json.dumps({**json.loads(known), **facts})
            connection.execute("UPDATE run SET facts = ? WHERE id = ?", (merged, self.run_id))

        self._write(write)

    def event(self, kind: str, text: str) -> None:
        """Add a dated line to the run's history, such as ``("resumed", "at update 500")``."""
        self._write(lambda connection: note(connection, self.run_id, kind, text))

    @property
    def done(self) -> int:
        """How many updates the file holds, from number 0 on.

        A checkpoint made after more updates than that (the computer lost its power) must not be
        resumed from: rows would be missing for ever.
        """
        sql = "SELECT done FROM run WHERE id = ?"
        return int(self._database.rows(sql, self.run_id)[0][0])

    @property
    def checkpoint(self) -> Path:
        """Where this run's checkpoint belongs; the folder is there, the file may not be."""
        return self._file("checkpoint")

    @property
    def weights(self) -> Path:
        """Where this run's final weights belong; the folder is there, the file may not be."""
        return self._file("weights")

    def finish(self, status: str, error: str = "", seconds: float = 0.0) -> None:
        """Commit everything and give the run back.

        Args:
            status: ``finished`` and ``diverged`` are results; a run that is ``failed`` or
                ``interrupted`` can be claimed again.
            error: what went wrong, in one line.
            seconds: spent training under this lease; they add up over the leases of a run.

        Raises:
            InputError: another status.
        """
        require(status in ENDS, f"A lease ends {', '.join(ENDS)}; got {status!r}.")

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE run SET status = ?, error = ?, seconds = seconds + ?, ended = ?, "
                "token = NULL WHERE id = ?",
                (status, writable(error), seconds, now(), self.run_id),
            )

        self._write(write)
        self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._over or self._database.inherited:
            return
        try:
            self.finish("interrupted", "" if error is None else f"{type(error).__name__} {error}")
        except StoreError as failure:
            if error is None:
                raise
            error.add_note(f"The run could not be marked as interrupted: {failure}")
        finally:
            self._give_back()

    def _give_back(self) -> None:
        self._over = True
        self._due = 0.0
        LEASES.pop(self._token, None)

    def _file(self, name: str) -> Path:
        path = self._files.with_name(f"{self._files.name}.{name}")
        with self._database.explained(f"make the folder {path.parent} of the store"):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write(self, write: Callable[[sqlite3.Connection], None], done: int = 0) -> None:
        """Commit what waits, a heartbeat and ``write`` in one transaction, if the run is ours."""
        if self._over:
            raise StoreError(
                f"The run {self.run_id} of the store {self._database.path} was given back. "
                "Claim it again to write to it."
            )
        waiting = self._waiting
        done = max(done, waiting[-1][0] + 1 if waiting else 0)
        self._due = time.monotonic() + COMMIT_SECONDS  # also of the next attempt, if this one fails
        with self._database.writing() as connection:
            beat = connection.execute(
                "UPDATE run SET heartbeat = ?, done = max(done, ?) WHERE id = ? AND token = ?",
                (now(), done, self.run_id, self._token),
            )
            if beat.rowcount != 1:
                raise self._lost(connection)
            connection.executemany(
                f"INSERT OR REPLACE INTO updates VALUES ({int(self.run_id)}, ?, ?, ?)", waiting
            )
            write(connection)
        waiting.clear()

    def _lost(self, connection: sqlite3.Connection) -> LeaseLostError:
        sql = "SELECT host, pid FROM run WHERE id = ?"
        host, pid = connection.execute(sql, (self.run_id,)).fetchone() or ("?", "?")
        return LeaseLostError(
            f"The process {pid} on {host} has taken over the run {self.run_id} of the store "
            f"{self._database.path}; nothing more is written to it from here."
        )


def note(connection: sqlite3.Connection, run_id: int, kind: str, text: str) -> None:
    """Add an event, inside a transaction."""
    connection.execute(
        "INSERT INTO event (run, at, kind, text) VALUES (?, ?, ?, ?)",
        (run_id, now(), kind, writable(text)),
    )


def claim(
    database: Database, run_id: int, environment: Mapping[str, Any], files: Path
) -> Lease | None:
    """Take a run to make it; None when it is over or a living process has it.

    Of several processes that try at once, exactly one gets it.
    """
    token, own = uuid4().hex, here()
    with database.writing() as connection:
        row = connection.execute(
            "SELECT status, environment, heartbeat, token, key, "
            "host, pid, process_started, boot, pid_space FROM run WHERE id = ?",
            (run_id,),
        ).fetchone()
        if row is None:
            raise unknown(database, run_id)
        status, known, heartbeat, held, key, *owner = row
        status = true_status(status, owner, heartbeat, held)
        if not claimable(status):
            return None
        if status == "crashed":
            note(connection, run_id, status, f"process {owner[1]} on {owner[0]}, {heartbeat}")
        text = json.dumps(environment)
        if known not in ("{}", text):
            note(connection, run_id, "environment", f"until now: {known}")
        connection.execute(
            "UPDATE run SET status = 'running', error = '', ended = NULL, token = ?, "
            "environment = ?, heartbeat = ?, started = coalesce(started, ?), "
            "host = ?, pid = ?, process_started = ?, boot = ?, pid_space = ? WHERE id = ?",
            (token, text, now(), now(), *astuple(own), run_id),
        )
    return Lease(database, run_id, token, files / key)
