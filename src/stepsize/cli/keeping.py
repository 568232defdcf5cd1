"""Answers kept in the runs database, for the commands that do so only when asked."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def add_kept(parser: argparse.ArgumentParser) -> None:
    """``--store`` of a command that keeps its answer only if a store is named."""
    parser.add_argument("--store", metavar="PATH", help="also keep it in this runs database")


@contextmanager
def keeping(path: str | None) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    """What keeps an answer of a kind in the store, opened before the work; nothing without one."""
    if path is None:
        yield lambda kind, answer: None
        return
    from datetime import UTC, datetime

    from stepsize.store import Store

    with Store(path) as store:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        yield lambda kind, answer: store.keep(kind, f"{answer['task']} at {now}", dict(answer))
