"""The runs database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from stepsize.errors import StoreError
from stepsize.records import Trace
from stepsize.store import comparisons, lease, runs, traces
from stepsize.store.comparisons import StoredComparison
from stepsize.store.connection import Database
from stepsize.store.failures import DAMAGED
from stepsize.store.lease import Lease
from stepsize.store.runs import StoredRun

#: The file's name where a folder is given.
FILE_NAME = "stepsize.db"


@final
class Store:
    """The runs database: one SQLite file that several processes may read and write at once.

    Each update's rate and loss is a row, and so is each value of an evaluation, so any tool that
    speaks SQL can ask for them. Checkpoints and weights are files in a folder beside it. A store
    is used by the process and the thread that opened it.

    Args:
        path: the file; made when absent, with the folders above it. A folder stands for the file
            ``stepsize.db`` in it.
        create: whether it may be made.
        wait: seconds to wait while another process writes.

    Raises:
        StoreError: the file is absent, locked, damaged, read-only, another program's, or written
            by a newer version. It is left as it is.

    >>> from tempfile import TemporaryDirectory
    >>> definition = {"task": "t", "schedule": "constant(1)", "seed": 0, "epochs": 1, "updates": 2}
    >>> with TemporaryDirectory() as folder, Store(folder) as store:
    ...     run = store.add_run("abc", definition)
    ...     store.status(run)
    'waiting'
    """

    def __init__(self, path: str | Path, *, create: bool = True, wait: float = 30.0) -> None:
        place = Path(os.path.abspath(path))
        self.path = place / FILE_NAME if os.path.isdir(place) else place
        self._database = Database(self.path, create, wait)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Leases that are still held can write no more."""
        self._database.close()

    @property
    def files(self) -> Path:
        """The folder of checkpoints and weights, beside the file."""
        return self.path.with_name(f"{self.path.name}-files")

    def check(self) -> None:
        """Read the whole file and make sure that it is sound; slow for a large one.

        Raises:
            StoreError: it is damaged.
        """
        found = [text for (text,) in self._database.rows("PRAGMA integrity_check")]
        lost = self._database.rows("PRAGMA foreign_key_check")
        found = [text for text in found if text != "ok"] + [f"lost row: {row}" for row in lost]
        if found:
            raise StoreError(f"The store {self.path} is damaged: {'; '.join(found[:5])}. {DAMAGED}")

    def add_run(self, key: str, definition: Mapping[str, Any]) -> int:
        """Enter a run, unless one of that key is there; return its number.

        Args:
            key: names it, a digest of the definition.
            definition: JSON data with at least ``task``, ``schedule`` (text), ``seed``, ``epochs``
                and ``updates``.

        Raises:
            InputError: something is missing, or the key cannot name a file.
        """
        return runs.add(self._database, key, definition)

    def run_id(self, key: str) -> int | None:
        """The number of the run of that key; None when there is none."""
        for (number,) in self._database.rows(
            "SELECT id FROM run WHERE key = ?", runs.writable(key)
        ):
            return int(number)
        return None

    def claim(self, run_id: int, environment: Mapping[str, Any]) -> Lease | None:
        """Take a run to make it; None when it is over or a living process has it.

        Runs that wait, failed, were interrupted or crashed can be taken. Of several processes
        that try at once, exactly one gets it.

        Args:
            run_id: which run.
            environment: versions, git commit and machine, as JSON data.
        """
        return lease.claim(self._database, run_id, environment, self.files)

    def status(self, run_id: int) -> str:
        """One of :data:`stepsize.records.STATUSES`; ``crashed`` when the owner is gone."""
        for each in runs.listed(self._database, run_id=run_id):
            return each.status
        raise runs.unknown(self._database, run_id)

    def read(self, run_id: int) -> StoredRun:
        """One run with its history and events."""
        return runs.whole(self._database, run_id)

    def runs(
        self, task: str | None = None, status: str | None = None, comparison: int | None = None
    ) -> list[StoredRun]:
        """The runs, newest last, without their histories and events.

        Args:
            task: only those of the task of that name.
            status: only those of that status.
            comparison: only those of the comparison of that number.
        """
        found = runs.listed(self._database, task, comparison)
        return [each for each in found if status in (None, each.status)]

    def updates(self, run_id: int, start: int = 0) -> Iterator[tuple[int, float, float]]:
        """Number, rate and training loss of each update from ``start`` on, in order."""
        return traces.updates(self._database, run_id, start)

    def trace(self, run_id: int, buckets: int = 1000) -> Trace:
        """The run's updates in at most ``buckets`` buckets, for a picture."""
        return traces.trace(self._database, run_id, buckets)

    def checkpoint(self, run_id: int) -> Path:
        """Where the run's checkpoint is, if it has one."""
        return self._file(run_id, "checkpoint")

    def weights(self, run_id: int) -> Path:
        """Where the run's final weights are, if it has any."""
        return self._file(run_id, "weights")

    def _file(self, run_id: int, name: str) -> Path:
        for (key,) in self._database.rows("SELECT key FROM run WHERE id = ?", run_id):
            return self.files / f"{key}.{name}"
        raise runs.unknown(self._database, run_id)

    def add_comparison(
        self, key: str, name: str, plan: Mapping[str, Any], runs: Sequence[tuple[int, str]]
    ) -> int:
        """Enter a comparison, unless one of that key is there; return its number.

        Args:
            key: names it, a digest of the plan.
            name: a title, or empty.
            plan: what was asked, as JSON data.
            runs: pairs of a run's number and its arm's name; new ones are added to those there.
        """
        return comparisons.add(self._database, key, name, plan, runs)

    def finish_comparison(self, comparison_id: int, result: Mapping[str, Any]) -> None:
        """Keep a comparison's result, the content of ``compare.json``."""
        comparisons.finish(self._database, comparison_id, result)

    def comparisons(self) -> list[StoredComparison]:
        """All comparisons, newest last."""
        return comparisons.listed(self._database)

    def comparison(self, which: int | str | None = None) -> StoredComparison:
        """The comparison of that number, key or name; the latest when None.

        Raises:
            StoreError: there is none; the message lists those that are there.
        """
        return comparisons.chosen(self._database, which)

    def keep(self, kind: str, key: str, value: Any) -> None:
        """Keep a small JSON fact under a kind and a key; one that is there is replaced."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO kept (kind, key, value, at) VALUES (?, ?, ?, ?)",
                (kind, key, json.dumps(value), runs.now()),
            )

    def kept(self, kind: str, key: str) -> Any:
        """The fact kept under a kind and a key; None when there is none."""
        sql = "SELECT value FROM kept WHERE kind = ? AND key = ?"
        for (value,) in self._database.rows(sql, kind, key):
            return json.loads(value)
        return None

    def exported(self, run_id: int, tracker: str) -> int:
        """How many of the run's updates a tracker was sent."""
        sql = "SELECT updates FROM exported WHERE run = ? AND tracker = ?"
        for (updates,) in self._database.rows(sql, run_id, tracker):
            return int(updates)
        return 0

    def set_exported(self, run_id: int, tracker: str, updates: int) -> None:
        """Note how many of the run's updates a tracker was sent."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO exported (run, tracker, updates) VALUES (?, ?, ?)",
                (run_id, tracker, updates),
            )
