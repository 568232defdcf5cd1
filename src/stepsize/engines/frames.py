"""Messages between a process and its workers: their length, then their bytes."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

_LENGTH = struct.Struct("!Q")


def write(file: BinaryIO, *words: Any) -> None:
    """Write one message, and let nothing of it wait.

    >>> import io
    >>> file = io.BytesIO()
    >>> write(file, "interrupt", 3)
    >>> list(messages(io.BytesIO(file.getvalue())))
    [('interrupt', 3)]
    """
    content = pickle.dumps(words, protocol=pickle.HIGHEST_PROTOCOL)
    file.write(_LENGTH.pack(len(content)) + content)
    file.flush()


def messages(file: BinaryIO) -> Iterator[tuple[Any, ...]]:
    """The messages until the other end is closed; one that was cut off is none."""
    while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        content = file.read(length)
        if len(content) < length:
            return
        yield pickle.loads(content)  # noqa: S301 - our own process's
