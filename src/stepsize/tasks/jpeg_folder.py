"""Photographs in a folder for each class, read as one array of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import DataError, MissingDependencyError
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch


@final
@dataclass(frozen=True, eq=False)
class Photographs:
    """Pictures of one size with their classes.

    Attributes:
        pixels: bytes of shape (pictures, size, size, 3): rows, columns, then red, green, blue.
        labels: the number of each picture's class, as 64-bit integers.
        classes: the names of the folders, in the order of their numbers.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]


def read_photographs(folder: Path, size: int) -> Photographs:
    """Every ``<class>/<picture>.jpg`` below ``folder``, cut to its middle square, at ``size``.

    Each new pixel is the mean of the old pixels it covers (Pillow's ``BOX``). Classes and pictures
    are in the order of their names.

    Args:
        folder: holds one folder for each class.
        size: of a side, in pixels.

    Raises:
        MissingDependencyError: PyTorch or Pillow is not installed.
        DataError: there is no picture, or one that cannot be read.
    """
    torch = need_torch()
    image_module = _need_pillow()
    files = photograph_files(folder)
    classes = tuple(sorted({file.parent.name for file in files}))
    pixels = torch.empty((len(files), size, size, 3), dtype=torch.uint8, device="cpu")
    for place, file in enumerate(files):
        data = _read(image_module, file, size)
        pixels[place] = torch.frombuffer(data, dtype=torch.uint8).reshape(size, size, 3)
    numbers = [classes.index(file.parent.name) for file in files]
    labels = torch.tensor(numbers, dtype=torch.int64, device="cpu")
    return Photographs(pixels, labels, classes)


def photograph_files(folder: Path) -> list[Path]:
    """The pictures below ``folder``, in the order of their names.

    Raises:
        DataError: there are none.
    """
    found = sorted(
        (path for path in folder.glob("*/*") if path.suffix.lower() in {".jpg", ".jpeg"}),
        key=lambda path: (path.parent.name, path.name),
    )
    if not found:
        raise DataError(f"There are no photographs as {folder / '<class>' / '<picture>.jpg'}.")
    return found


def _read(image_module: Any, file: Path, size: int) -> bytearray:
    try:
        with image_module.open(file) as image:
            whole = image.convert("RGB")
    except (OSError, SyntaxError) as error:  # Pillow raises the latter for some damaged files
        raise DataError(f"The photograph {file} cannot be read: {error}.") from error
    side = min(whole.size)
    left, top = ((length - side) // 2 for length in whole.size)
    box = (left, top, left + side, top + side)
    small = whole.resize((size, size), image_module.Resampling.BOX, box=box)
    return bytearray(small.tobytes())


def _need_pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            "Photographs are read with Pillow, which is not installed: "
            "pip install 'stepsize[pictures]'."
        ) from error
    return Image


def names_below(folder: Path, parts: Iterable[str]) -> list[str]:
    """``<part>/<class>/<picture>`` of every picture of the parts, with ``/`` between, sorted.

    The names alone, without their endings: what a data set consists of, at any size.

    Raises:
        DataError: a part has no pictures.
    """
    return sorted(
        f"{part}/{file.parent.name}/{file.stem}"
        for part in parts
        for file in photograph_files(folder / part)
    )
