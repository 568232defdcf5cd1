"""What goes wrong with a database file, said so that a user knows what to do."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepsize.errors import StoreError

#: The way out of a damaged file.
DAMAGED = (
    "Nothing was changed. Set it aside, with the files beside it whose names begin with its name "
    "(it may be mended with `sqlite3 FILE .recover`), or choose another place with --store."
)
_PLACE = "Allow reading and writing of the file and its folder, or choose another place."
_ROOM = "Make room and run the same again: everything committed before is kept."
_LOCKED = (
    "another process has kept it locked for {wait:g} s",
    "Try again when that process is done, or choose another place.",
)
_FULL = ("the disk is full", _ROOM)
_EXPLAINED = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_NOTADB: (
        "it is not a database",
        "Nothing was changed. Choose another place, or set it aside if it should be a store.",
    ),
    sqlite3.SQLITE_CORRUPT: ("it is damaged ({error})", DAMAGED),
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: (
        "the disk refused ({error}, {name})",
        f"Is it full, at its quota, or gone? {_ROOM}",
    ),
    sqlite3.SQLITE_READONLY: ("it may not be written", _PLACE),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", _PLACE),
    sqlite3.SQLITE_PERM: ("it cannot be opened", _PLACE),
    sqlite3.SQLITE_CONSTRAINT: (
        "something it refers to is not there ({error})",
        "Enter the runs first.",
    ),
}
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LITTLE_BYTES = 1 << 16  # a disk with less is as good as full


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process is in the way."""
    return _code(error) == sqlite3.SQLITE_BUSY


@contextmanager
def told(doing: str, path: Path, wait: float) -> Iterator[None]:
    """Turn what SQLite and the system raise inside the block into a :class:`StoreError`.

    Args:
        doing: what was asked, to go on from "Cannot", such as ``"open the store"``.
        path: the database file.
        wait: the seconds for which it waited where it was locked.
    """
    try:
        yield
    except sqlite3.Error as error:
        why, way_out = _explain(error, path)
        name = getattr(error, "sqlite_errorname", "")
        why = why.format(wait=wait, error=str(error).rstrip("."), name=name)
        raise StoreError(f"Cannot {doing} {path}: {why}. {way_out}") from error
    except OSError as error:
        way_out = _ROOM if error.errno in _NO_ROOM else _PLACE
        why = f"{error.strerror or error} ({error.filename or path})"
        raise StoreError(f"Cannot {doing} {path}: {why}. {way_out}") from error


def _explain(error: sqlite3.Error, path: Path) -> tuple[str, str]:
    code = _code(error)
    if code is None:  # Python itself refuses
        return "{error}", "A store is used by the thread that opened it, until it is closed."
    if code == sqlite3.SQLITE_IOERR and _is_full(path):
        return _FULL
    return _EXPLAINED.get(code, ("{error} ({name})", "Is it a store of stepsize's own?"))


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's primary code, the lowest byte of what it says; None where it said nothing."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_BYTES
    except OSError:
        return False
