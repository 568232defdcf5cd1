"""The ``clothing-transfer`` task: a network from CIFAR-10, fine-tuned on photographs of clothes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, final

from stepsize.errors import DataError
from stepsize.tasks.augmented import AugmentedPictures, standardised
from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.classification import PLACEHOLDER_LR, accuracy, cross_entropy
from stepsize.tasks.jpeg_folder import Photographs, names_below, read_photographs
from stepsize.tasks.places import data_dir, given_root
from stepsize.tasks.task import Task
from stepsize.tasks.torch_import import need_torch

#: The name of the folder in :func:`stepsize.tasks.places.data_dir`.
NAME = "clothing-small-64"
#: Where the photographs are published, in their full size (CC0).
REPOSITORY = "https://github.com/alexeygrigorev/clothing-dataset-small"
PARTS = ("train", "validation", "test")
#: SHA-256 of the 3,781 names ``<part>/<class>/<picture>``, one to a line.
NAMES_SHA256 = "1e3ad8a074ffc096cc9ae9ab3d2bd9a6b819d4ca4917f772be6b72982c4b58b9"

SIZE = 32  # pixels; what the network was trained on
SHIFT = 4
BATCH_SIZE = 32  # 95 updates an epoch


def find_folder() -> Path:
    """The folder with the photographs of all three parts.

    The photographs are looked for in ``$STEPSIZE_DATA/data``, else in the cache. They are not
    downloaded: their repository has no release to hold a checksum against.

    Raises:
        DataError: they are not there, or they are not those of the data set.
    """
    folder = data_dir(NAME)
    if not folder.is_dir():
        root = "STEPSIZE_DATA is set, but there is" if given_root() else "There is"
        raise DataError(
            f"{root} no folder {folder}. Get the photographs with\n"
            f"  git clone --depth 1 {REPOSITORY} {folder}\n"
            "Any size of photograph will do."
        )
    names = "\n".join(names_below(folder, PARTS))
    if hashlib.sha256(names.encode()).hexdigest() != NAMES_SHA256:
        raise DataError(
            f"The photographs in {folder} are not those of {REPOSITORY}: some are missing, or "
            "there are others."
        )
    return folder


def make_clothing_transfer(seed: int) -> Task:
    """ResNet-20 from CIFAR-10 with a new last layer, on photographs of clothes of ten classes.

    3,068 photographs train, 341 validate, 372 test, at 32 pixels; those that train are mirrored
    and shifted by up to 4 pixels. SGD with momentum 0.9 and weight decay 0.0001, as the weights
    were made with; batches of 32. ``seed`` decides the weights of the last layer and the order;
    the test photographs are read when they are first asked for.

    Raises:
        MissingDependencyError: PyTorch, Pillow or safetensors is not installed.
        DataError: photographs or weights cannot be found, fetched or read.
    """
    torch = need_torch()
    from stepsize.tasks.resnet20 import STANDARD, pretrained_resnet20

    folder = find_folder()
    train, val = _part(folder, "train"), _part(folder, "validation")
    model: Any = pretrained_resnet20(len(train.classes), seed)
    model.to(memory_format=torch.channels_last)
    return Task(
        model=model,
        optimizer=torch.optim.SGD(
            model.parameters(), lr=PLACEHOLDER_LR, momentum=0.9, weight_decay=1e-4
        ),
        loss=cross_entropy,
        train=AugmentedPictures(
            train.pixels.clone(),
            train.labels.clone(),
            BATCH_SIZE,
            standard=STANDARD,
            shift=SHIFT,
            seed=seed,
        ),
        val=_batches(val),
        metrics={"accuracy": accuracy},
        test=_TestBatches(folder),
    )


def _batches(part: Photographs) -> TensorBatches:
    from stepsize.tasks.resnet20 import STANDARD

    return TensorBatches(
        standardised(part.pixels, STANDARD), part.labels.clone(), 128, shuffle=False
    )


@final
class _TestBatches:
    """The test set, read when it is walked through and not before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[Any]:
        return iter(_batches(_part(self._folder, "test")))


@lru_cache(maxsize=3)  # a comparison makes the task once per seed; decoding takes a second
def _part(folder: Path, part: str) -> Photographs:
    """A part as bytes; callers copy them before they change anything."""
    return read_photographs(folder / part, SIZE)
