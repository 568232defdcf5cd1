"""The folder results go to: checked before the work starts, left as it was if the work fails."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from stepsize.errors import OutputError


def folder_name(text: str) -> str:
    """``text`` as the name of a folder; empty if nothing of it can be.

    >>> folder_name("my task.py:make")
    'my-task.py-make'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")


def task_folder(parent: str, task: str) -> Path:
    """Where a command about a task writes unless told otherwise.

    >>> str(task_folder("stepsize-find", "some/folder/my_task.py:make"))
    'stepsize-find/my_task.py-make'
    """
    return Path(parent) / (folder_name(Path(task).name) or "task")


class OutputFolder:
    """Makes the folder and makes sure it can be written to.

    Unless :meth:`keep` was called, leaving it removes the folders that were made, if they are
    empty: another command may have put its results there meanwhile.

    Raises:
        OutputError: the folder cannot be made or written to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._made: list[Path] = []
        self._kept = False

    def __enter__(self) -> Self:
        try:
            self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            trial = self.path / f".stepsize-{uuid4().hex}.tmp"
            trial.touch()
            trial.unlink()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            why = getattr(error, "strerror", None) or error
            raise OutputError(
                f"Cannot write to the folder {self.path}: {why}. Choose another with --out."
            ) from error
        return self

    def keep(self) -> None:
        """The work is done: everything stays."""
        self._kept = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._kept:
            return
        for folder in self._made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
