"""Reader of IDX files, the format of MNIST and its kin.

An IDX file is two zero bytes, one byte for the type, one for the number of dimensions, a 32-bit
big-endian size per dimension, then the numbers, big-endian too (Y. LeCun, "The MNIST database").
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import sys
import zlib
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import DataError
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import numpy as np
    import torch

_GZIP_MAGIC = b"\x1f\x8b"

#: Type byte -> (name in NumPy and PyTorch, type code of the array module, bytes).
_KINDS = {
    0x08: ("uint8", "B", 1),
    0x09: ("int8", "b", 1),
    0x0B: ("int16", "h", 2),
    0x0C: ("int32", "i", 4),
    0x0D: ("float32", "f", 4),
    0x0E: ("float64", "d", 8),
}


@final
@dataclass(frozen=True, slots=True)
class IdxArray:
    """The content of an IDX file: a type, a shape and the numbers as native bytes.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    IdxArray(uint8, shape=(3,))
    """

    kind: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"IdxArray({self.kind}, shape={self.shape})"

    def torch(self) -> torch.Tensor:
        """The numbers as a new tensor.

        Raises:
            MissingDependencyError: PyTorch is not installed.
        """
        torch = need_torch()
        if not self.data:  # frombuffer refuses an empty buffer
            return torch.empty(self.shape, dtype=getattr(torch, self.kind), device="cpu")  # type: ignore[no-any-return]
        buffer = bytearray(self.data)  # a copy, because a tensor must be able to change its own
        flat = torch.frombuffer(buffer, dtype=getattr(torch, self.kind))
        return flat.reshape(self.shape)  # type: ignore[no-any-return]

    def numpy(self) -> np.ndarray[Any, Any]:
        """The numbers as a new NumPy array. Raises ImportError when NumPy is not installed."""
        import numpy as np

        return np.frombuffer(bytearray(self.data), dtype=self.kind).reshape(self.shape)


def parse_idx(content: bytes, name: str = "this data") -> IdxArray:
    """Read ``content``, which must be exactly one IDX file.

    Args:
        content: the bytes, not compressed.
        name: what the messages call it.

    Raises:
        DataError: a wrong magic number, an unknown type, or fewer or more bytes than announced.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _KINDS or not content[3]:
        raise DataError(
            f"{name} is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}; "
            "expected 00 00, a type (08, 09, 0b to 0e) and a number of dimensions."
        )
    kind, code, width = _KINDS[content[2]]
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{name} is cut off in its header, after {len(content)} bytes.")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    expected = start + width * math.prod(shape)
    if len(content) != expected:
        state = "cut off" if len(content) < expected else "followed by something else"
        raise DataError(
            f"{name} is {state}: {kind} numbers of shape {shape} take {expected} bytes, "
            f"got {len(content)}."
        )
    return IdxArray(kind, shape, _native(content[start:], code))


def _native(data: bytes, code: str) -> bytes:
    if sys.byteorder == "big" or code in "Bb":
        return data
    numbers = array(code, data)
    numbers.byteswap()
    return numbers.tobytes()


def read_idx(path: Path, sha256: str | None = None) -> IdxArray:
    """Read the IDX file at ``path``, compressed by gzip or not.

    Args:
        path: the file.
        sha256: the SHA-256 of the content *after* decompression, checked when given. (Two tools
            compress the same content into different bytes.)

    Raises:
        DataError: a file that cannot be read, is cut off or damaged, or is another one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is damaged or cut off: {error}.") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{path} is not the expected file: the SHA-256 of its decompressed content is "
            f"{hashlib.sha256(content).hexdigest()}, expected {sha256}."
        )
    return parse_idx(content, str(path))
