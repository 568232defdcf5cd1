"""Where in the user's code something went wrong, for messages without a traceback."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Collection
from types import CodeType


def blame(error: BaseException, files: Collection[str]) -> str:
    """``error`` in one line, with the innermost place in one of the user's ``files``.

    >>> blame(ValueError("no such class"), ())
    'ValueError: no such class'
    >>> blame(SyntaxError("invalid syntax", ("/a/task.py", 3, 1, "")), ())
    'SyntaxError: invalid syntax (/a/task.py, line 3)'
    """
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{kind}: {error.msg} ({shown(error.filename)}, line {error.lineno})"
    said = f"{kind}: {error}" if str(error) else kind
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files:
            inside = "" if frame.name.startswith("<") else f", in {frame.name}"
            return f"{said} ({shown(frame.filename)}, line {frame.lineno}{inside})"
    return said


def files_of(*things: object) -> frozenset[str]:
    """The files in which modules and functions are written, as tracebacks name them."""
    found = (getattr(thing, "__file__", None) or _code(thing) for thing in things)
    names = (getattr(item, "co_filename", item) for item in found)
    return frozenset(name for name in names if isinstance(name, str))


def defined_at(function: object) -> str:
    """`` (file, line N)`` of a function's definition, or nothing where that cannot be told."""
    code = _code(function)
    return f" ({shown(code.co_filename)}, line {code.co_firstlineno})" if code else ""


def _code(function: object) -> CodeType | None:
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return code if isinstance(code, CodeType) else None


def shown(path: str) -> str:
    """``path`` as short as it stays clear: relative when it lies under the current folder."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # another drive, or a current folder that was deleted
        return path
    return path if relative.startswith(os.pardir) else relative
