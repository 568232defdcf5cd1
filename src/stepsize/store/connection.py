"""An open database file: one process, one thread, short transactions, errors in words."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final
from weakref import WeakSet

from stepsize.errors import StoreError, require
from stepsize.store.failures import DAMAGED, is_busy, told
from stepsize.store.schema import MIGRATIONS, look, migrate

_POLL_SECONDS = 0.02
_OPEN: WeakSet[Database] = WeakSet()


@final
class Database:
    """A SQLite file in WAL mode, where readers never wait and writers take turns.

    Args:
        path: the file; made when absent, with the folders above it.
        create: whether it may be made.
        wait: seconds to wait while another process writes.

    Raises:
        StoreError: it is absent, locked, damaged, another program's, or of a newer version.
    """

    def __init__(self, path: Path, create: bool, wait: float) -> None:
        require("\0" not in str(path), f"A store's path has no NUL character, got {str(path)!r}.")
        self.path = path
        self._wait = wait
        self._process = os.getpid()
        self._refuse_if_inherited()
        there = os.path.exists(path)
        if there and not os.path.isfile(path):
            raise StoreError(f"{path} is not a regular file, so no store. Choose another place.")
        if not there and not create:
            raise StoreError(
                f"There is no store at {path}. Give its place with --store; a comparison makes one."
            )
        with self.explained("open the store"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=wait, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        _OPEN.add(self)

    def _refuse_if_inherited(self) -> None:
        """SQLite believes that a child has its parent's locks, which it has not: rows get lost."""
        for other in _OPEN:
            if other.inherited and os.path.realpath(other.path) == os.path.realpath(self.path):
                raise StoreError(
                    f"The store {self.path} was open when the process {other._process} forked "
                    f"this one, {os.getpid()}, so it cannot be opened here. Close it before "
                    "forking, or start processes with the method 'spawn'."
                )

    def _prepare(self) -> None:
        """Look before anything is changed; then set up and migrate."""
        connection = self._connection
        found = look(connection)
        if found.foreign:
            raise StoreError(
                f"{self.path} is a database of another program; it was left as it is. Choose "
                "another place with --store."
            )
        if found.version > len(MIGRATIONS):
            raise StoreError(
                f"The store {self.path} was written by a newer stepsize (its version is "
                f"{found.version}, this one knows {len(MIGRATIONS)}); it was left as it is. "
                "Update stepsize, or choose another place with --store."
            )
        if found.lost:
            lost = ", ".join(found.lost)
            raise StoreError(f"The store {self.path} has lost its tables {lost}. {DAMAGED}")
        in_wal = self._enter_wal()
        # In WAL mode a lost power supply can cost the last commits, never the file.
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if in_wal else 'FULL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        if found.version < len(MIGRATIONS):
            with self.writing():
                migrate(connection)

    def _enter_wal(self) -> bool:
        """Switch to WAL mode; False where the file system cannot do it.

        SQLite does not wait for others here, so it is tried again.
        """
        until = time.monotonic() + self._wait
        while True:
            try:
                mode = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > until:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return str(mode) == "wal"

    @property
    def inherited(self) -> bool:
        """Whether this is the copy of a connection in a child of the process that opened it."""
        return os.getpid() != self._process

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Raise what goes wrong inside the block as a :class:`StoreError`."""
        if self.inherited:
            raise StoreError(
                f"Cannot {doing} {self.path}: it was opened by the process {self._process}, and "
                f"this is its child {os.getpid()}. Close it before forking, and open it in each."
            )
        with told(doing, self.path, self._wait):
            yield

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        with self.explained("read the store"):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that alone writes: all of the block lands in the file, or nothing.

        Raises:
            StoreError: the file is locked, damaged, read-only, or the disk is full.
        """
        with self.explained("write to the store"):
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; a child that only inherited the connection leaves it alone."""
        if not self.inherited:
            self._connection.close()
            _OPEN.discard(self)
