"""The files in which a task's own code is written, and their text."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stepsize.tasks.load import LoadedTask


def code_of(loaded: LoadedTask) -> tuple[str, ...]:
    """The files whose text tells a task from one that was edited, sorted.

    They are the user's files and what was imported from beside them so far; of a callable, the
    file that it is written in. A task that came with the package has none.

    >>> from stepsize.tasks import load
    >>> code_of(load("digits"))
    ()
    """
    if loaded.is_builtin:
        return ()
    if loaded.code is not None:
        return loaded.code
    files = set(loaded.files)
    files |= _written_in(loaded.make) if loaded.imports is None else loaded.imports.files()
    return tuple(sorted(files))


def content_of(file: str) -> bytes:
    """The content of a file of code, or of a notebook's cell; empty where there is none."""
    if Path(file).is_file():
        return Path(file).read_bytes()
    return "".join(linecache.getlines(file)).encode("utf-8", "surrogatepass")


def _written_in(make: Callable[..., Any]) -> set[str]:
    """The file of a function, or of an object's class."""
    for thing in (inspect.unwrap(make), type(make)):
        try:
            found = inspect.getsourcefile(thing)
        except (OSError, TypeError):
            continue
        return {found} if found else set()
    return set()
