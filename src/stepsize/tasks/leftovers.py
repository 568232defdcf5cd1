"""Temporary folders by the process that made them, so that its parent can remove them after it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def folder_prefix(process: int | None = None) -> str:
    """How the names of a process's temporary folders begin; this one's if none is given.

    >>> folder_prefix(12)
    'stepsize-12-'
    """
    return f"stepsize-{os.getpid() if process is None else process}-"


def remove_leftovers(process: int) -> None:
    """Remove the temporary folders of a process that has ended; one that was killed leaves some."""
    for folder in Path(tempfile.gettempdir()).glob(f"{folder_prefix(process)}*"):
        shutil.rmtree(folder, ignore_errors=True)
