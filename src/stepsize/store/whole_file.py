"""Checkpoints and weights: files that a reader finds whole, the old one or the new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block has ended well.

    Raises:
        OSError: it cannot be written; nothing is left behind.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "run.weights") as file:
    ...         _ = file.write(b"weights")
    ...     (Path(folder) / "run.weights").read_bytes()
    b'weights'
    """
    temporary = path.with_name(f".{path.name}-{uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
