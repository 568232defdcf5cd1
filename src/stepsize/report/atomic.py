"""Writing a file so that a reader sees the old one or the whole new one, never a half."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from stepsize.errors import OutputError


def write_atomically(path: str | Path, data: bytes) -> Path:
    """Write ``data`` to ``path`` and return the path; on failure nothing is left behind.

    The bytes go to a temporary file in the same folder (a rename across file systems is not
    atomic), which then takes the place of ``path``. Symbolic links are followed.

    Raises:
        OutputError: the folder is missing, ``path`` is not a regular file, or it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "find.json", b"{}").read_bytes()
    b'{}'
    """
    path = Path(path)
    write_all({path: data})
    return path


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files that belong together: all are written before the first takes its place.

    Raises:
        OutputError: as for :func:`write_atomically`; after a failed write, whatever was there
            before is still there, all of it.
    """
    waiting: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in files.items():
            target = _target(path)
            # Not tempfile.mkstemp: its files are private (0600), ours shall follow the umask.
            waiting.append((target.with_name(f".stepsize-{uuid4().hex}.tmp"), target))
            _fill(*waiting[-1], data)
        while waiting:
            temporary, path = waiting[0]
            os.replace(temporary, path)
            waiting.pop(0)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or error
        raise OutputError(f"Cannot write {path}: {why}. Choose another place.") from error
    finally:  # also Ctrl-C: whatever happens, leave no litter
        for temporary, _ in waiting:
            temporary.unlink(missing_ok=True)


def _target(path: Path) -> Path:
    """Where ``path`` really is, if a file can be there."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise OutputError(
            f"Cannot write {path}: the folder {target.parent} does not exist. Create it first."
        )
    if target.exists() and not target.is_file():
        raise OutputError(f"Cannot write {path}: it exists and is not a regular file.")
    return target


def _fill(temporary: Path, target: Path, data: bytes) -> None:
    """Write what will become ``target``, with the mode that it has."""
    with open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        os.chmod(temporary, target.stat().st_mode & 0o777)
