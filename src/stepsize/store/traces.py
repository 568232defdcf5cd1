"""A run's updates out of the store: one by one, or thinned for a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator

from stepsize.errors import require
from stepsize.records import Trace
from stepsize.store.connection import Database

_CHUNK = 10_000


def updates(database: Database, run_id: int, start: int) -> Iterator[tuple[int, float, float]]:
    """Number, rate and loss of each update from ``start`` on, in order.

    They are read in pieces, so that no reader holds up the others.
    """
    while True:
        rows = database.rows(
            "SELECT number, lr, loss FROM updates WHERE run = ? AND number >= ? "
            "ORDER BY number LIMIT ?",
            run_id,
            start,
            _CHUNK,
        )
        for number, lr, loss in rows:
            yield number, _or_nan(lr), _or_nan(loss)
        if len(rows) < _CHUNK:
            return
        start = rows[-1][0] + 1


def trace(database: Database, run_id: int, buckets: int) -> Trace:
    """The updates in at most ``buckets`` buckets of equal width.

    The loss of a bucket that has one which is not finite is ``inf``, but for its lowest where
    that is finite; all of a bucket without any updates is ``inf``.
    """
    require(buckets >= 1, f"A trace needs at least 1 bucket, got {buckets}.")
    ((last,),) = database.rows("SELECT max(number) FROM updates WHERE run = ?", run_id)
    count = 0 if last is None else last + 1
    width = max(1, -(-count // buckets))
    columns = [[math.inf] * -(-count // width) for _ in range(5)]
    for bucket, *values in database.rows(_BUCKETS, width, run_id):
        for column, value in zip(columns, _summary(*values), strict=True):
            column[bucket] = value
    return Trace(width, count, *map(tuple, columns))


_BUCKETS = """
    SELECT number / ? AS bucket, min(lr), max(lr),
        min(loss), total(loss), max(loss), count(loss), count(*)
    FROM updates WHERE run = ? GROUP BY bucket
"""


def _summary(
    lr_low: float | None,
    lr_high: float | None,
    low: float | None,
    total: float,
    high: float | None,
    known: int,
    count: int,
) -> tuple[float, ...]:
    low, high = _finite(low), _finite(high)
    if known < count or math.inf in (low, high):
        total = high = math.inf
    return _finite(lr_low), _finite(lr_high), low, _finite(total / count), high


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.inf


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
