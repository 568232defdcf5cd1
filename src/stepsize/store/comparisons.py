"""A comparison as the store knows it: its plan, its runs and its result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from stepsize.errors import StoreError
from stepsize.store.connection import Database
from stepsize.store.runs import now, writable


@final
@dataclass(frozen=True, slots=True)
class StoredComparison:
    """A comparison as the store knows it.

    Attributes:
        id: its number in this store.
        key: its name, the same in every store.
        name: a title, or empty.
        plan: what was asked, as JSON data.
        runs: pairs of a run's number and the arm it belongs to, in the order they were given.
        created: UTC, ISO 8601.
        result: the content of ``compare.json``; None until it is there.
    """

    id: int
    key: str
    name: str
    plan: Mapping[str, Any]
    runs: tuple[tuple[int, str], ...]
    created: str
    result: Mapping[str, Any] | None = None


def add(
    database: Database,
    key: str,
    name: str,
    plan: Mapping[str, Any],
    runs: Sequence[tuple[int, str]],
) -> int:
    """The comparison of that key, entered unless it is there, with ``runs`` added to its own."""
    with database.writing() as connection:
        connection.execute(
            "INSERT INTO comparison (key, name, plan, created) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (key) DO NOTHING",
            (key, writable(name), json.dumps(plan), now()),
        )
        sql = "SELECT id FROM comparison WHERE key = ?"
        number = int(connection.execute(sql, (key,)).fetchone()[0])
        connection.executemany(
            "INSERT OR IGNORE INTO comparison_run (comparison, run, arm) VALUES (?, ?, ?)",
            [(number, run, writable(arm)) for run, arm in runs],
        )
    return number


def finish(database: Database, number: int, result: Mapping[str, Any]) -> None:
    """Note the result; one that was there is replaced."""
    with database.writing() as connection:
        found = connection.execute(
            "UPDATE comparison SET result = ? WHERE id = ?", (json.dumps(result), number)
        )
        if found.rowcount != 1:
            raise StoreError(f"The store {database.path} has no comparison {number}.")


def listed(database: Database, number: int | None = None) -> list[StoredComparison]:
    """All comparisons in the order they were entered, or the one of that number."""
    runs: dict[int, list[tuple[int, str]]] = {}
    for comparison, run, arm in database.rows(
        "SELECT comparison, run, arm FROM comparison_run "
        "WHERE comparison = coalesce(?, comparison) ORDER BY rowid",
        number,
    ):
        runs.setdefault(comparison, []).append((run, arm))
    return [
        StoredComparison(
            id=comparison,
            key=key,
            name=name,
            plan=json.loads(plan),
            runs=tuple(runs.get(comparison, ())),
            created=created,
            result=None if result is None else json.loads(result),
        )
        for comparison, key, name, plan, created, result in database.rows(
            "SELECT id, key, name, plan, created, result FROM comparison "
            "WHERE id = coalesce(?, id) ORDER BY id",
            number,
        )
    ]


def chosen(database: Database, which: int | str | None) -> StoredComparison:
    """The comparison of that number, key or name (the latest of several), or the latest of all."""
    known = database.rows("SELECT id, key, name FROM comparison ORDER BY id DESC")
    wanted = known[:1] if which is None else []
    for column in range(3):
        wanted += [row for row in known if str(which) == str(row[column])]
    if wanted:
        return listed(database, wanted[0][0])[0]
    there = ", ".join(f"{number} ({name or key})" for number, key, name in known) or "none"
    asked = "comparisons" if which is None else f"comparison {which!r}"
    raise StoreError(f"The store {database.path} has no {asked}. It holds: {there}.")
