"""The tables of the store, and how a file of an older version becomes one of this version."""

from __future__ import annotations

import re
import sqlite3
from typing import NamedTuple

#: In the header of every store: "step" in ASCII. Tells it from other programs' databases.
APPLICATION_ID = 0x73746570

_VERSION_1 = (
    """
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        task TEXT NOT NULL,
        schedule TEXT NOT NULL,
        seed INTEGER NOT NULL,
        epochs INTEGER NOT NULL,
        updates INTEGER NOT NULL,               -- the budget
        definition TEXT NOT NULL,               -- JSON: everything that decides the numbers
        status TEXT NOT NULL DEFAULT 'waiting', -- 'running' may mean crashed: see the owner
        done INTEGER NOT NULL DEFAULT 0,        -- updates made
        error TEXT NOT NULL DEFAULT '',
        seconds REAL NOT NULL DEFAULT 0,        -- spent training
        environment TEXT NOT NULL DEFAULT '{}', -- JSON: versions, git commit, machine
        facts TEXT NOT NULL DEFAULT '{}',       -- JSON: digests of initial weights and batches
        created TEXT NOT NULL,                  -- times are UTC, ISO 8601
        started TEXT,
        ended TEXT,
        token TEXT,                             -- the owner's, while it makes the run
        host TEXT,
        pid INTEGER,
        process_started TEXT,
        boot TEXT,
        pid_space TEXT,
        heartbeat TEXT
    )
    """,
    "CREATE INDEX run_by_task ON run (task)",
    """
    CREATE TABLE updates (
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,                -- 0 first
        lr REAL,
        loss REAL,                              -- NULL stands for NaN
        PRIMARY KEY (run, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE evaluation (
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        updates INTEGER NOT NULL,               -- made before it
        epoch INTEGER NOT NULL,
        PRIMARY KEY (run, updates)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE metric (
        run INTEGER NOT NULL,
        updates INTEGER NOT NULL,
        name TEXT NOT NULL,
        value REAL,
        UNIQUE (run, updates, name),
        FOREIGN KEY (run, updates) REFERENCES evaluation (run, updates) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL
    )
    """,
    "CREATE INDEX event_by_run ON event (run)",
    """
    CREATE TABLE comparison (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        plan TEXT NOT NULL,                     -- JSON
        created TEXT NOT NULL,
        result TEXT                             -- JSON, once it is there
    )
    """,
    """
    CREATE TABLE comparison_run (
        comparison INTEGER NOT NULL REFERENCES comparison (id) ON DELETE CASCADE,
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        arm TEXT NOT NULL,
        UNIQUE (comparison, run, arm)
    )
    """,
    "CREATE INDEX comparison_run_by_run ON comparison_run (run)",
    """
    CREATE TABLE kept (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,                    -- JSON
        at TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID
    """,
)
_VERSION_2 = (
    """
    CREATE TABLE exported (
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        tracker TEXT NOT NULL,
        updates INTEGER NOT NULL,               -- sent so far
        PRIMARY KEY (run, tracker)
    ) WITHOUT ROWID
    """,
)

#: The statements that lead to version 1 (from nothing), to version 2, and so on. Only ever added
#: to: a released step is never edited, for there are files that have taken it.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)


class Header(NamedTuple):
    """What can be told of a file at a glance.

    Attributes:
        application: whose database it is; 0 where nobody said.
        version: of its tables; 0 for a file with nothing in it.
        tables: their names.
    """

    application: int
    version: int
    tables: frozenset[str]

    @property
    def foreign(self) -> bool:
        """Whether it belongs to another program."""
        return self.application != APPLICATION_ID and bool(self.tables)

    @property
    def lost(self) -> list[str]:
        """The tables that its version has and it has not."""
        statements = "".join(sum(MIGRATIONS[: self.version], ()))
        return sorted(set(re.findall(r"CREATE TABLE (\w+)", statements)) - self.tables)


def look(connection: sqlite3.Connection) -> Header:
    """What an open file is, at one moment; nothing is changed."""
    connection.execute("BEGIN")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return Header(application, version, frozenset(name for (name,) in tables))
    finally:
        connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an open file to this version, inside a transaction that the caller holds.

    Of several processes that open an old file at once, the first migrates and the others find it
    done, so what is missing is read within the transaction.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
