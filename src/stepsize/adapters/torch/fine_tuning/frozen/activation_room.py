"""Room for activations on disk: those that were used least recently go when there are too many."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

#: The files of one store take at most so much, except the one that was written last.
MOST_BYTES = 8 * 1024**3
_FILES = "*.safetensors"


def used(path: Path) -> None:
    """Note that a file has been used now."""
    with contextlib.suppress(OSError):  # a folder that may only be read
        os.utime(path)


def make_room(folder: Path, newest: str, most_bytes: int = MOST_BYTES) -> None:
    """Remove the files used least recently until those that are left take at most ``most_bytes``.

    What is removed is computed again when it is needed; a process that has it mapped keeps it.

    Args:
        folder: of the activations.
        newest: the name of a file that stays.
        most_bytes: what all files may take.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     for number in range(3):
    ...         path = folder / f"{number}.safetensors"
    ...         _ = path.write_bytes(bytes(10))
    ...         os.utime(path, (number, number))
    ...     make_room(folder, "0.safetensors", most_bytes=20)
    ...     sorted(path.name for path in folder.iterdir())
    ['0.safetensors', '2.safetensors']
    """
    found = []
    for path in folder.glob(_FILES):
        with contextlib.suppress(OSError):  # another process has removed it
            state = path.stat()
            found.append((state.st_mtime, state.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most_bytes:
            return
        if path.name != newest:
            with contextlib.suppress(OSError):  # on Windows, a file that is in use
                path.unlink()
                total -= size
