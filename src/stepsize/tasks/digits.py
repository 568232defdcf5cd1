"""The ``digits`` task: 8x8 handwritten digits that come with the package."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field
from functools import cache
from typing import final

from stepsize.errors import DataError
from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.classification import PLACEHOLDER_LR, accuracy, cross_entropy, mlp
from stepsize.tasks.split import fixed_order
from stepsize.tasks.task import Task
from stepsize.tasks.torch_import import need_torch

#: SHA-256 of data/digits.csv.gz; see data/README.md for where it comes from.
SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
SPLIT_SEED = 0
TRAIN_EXAMPLES = 1437  # the other 360 of 1,797 validate
BATCH_SIZE = 32


@final
@dataclass(frozen=True, slots=True)
class Digits:
    """The data set: ``pixels`` in 0..16, 64 to an image row by row, and one label per image."""

    pixels: bytes = field(repr=False)
    labels: bytes = field(repr=False)


@cache
def read_digits() -> Digits:
    """The 1,797 images in the order of the source.

    Raises:
        DataError: the file in the package is missing or damaged.

    >>> digits = read_digits()
    >>> len(digits.labels), list(digits.labels[:5]), max(digits.pixels)
    (1797, [0, 1, 2, 3, 4], 16)
    """
    from importlib.resources import files

    try:
        packed = (files("stepsize.tasks") / "data" / "digits.csv.gz").read_bytes()
    except OSError as error:
        raise DataError(f"The digits are missing from the package ({error}): reinstall it.") from (
            error
        )
    if hashlib.sha256(packed).hexdigest() != SHA256:
        raise DataError("The digits in the package are damaged: reinstall stepsize.")
    rows = [bytes(map(int, row.split(b","))) for row in gzip.decompress(packed).splitlines()]
    return Digits(b"".join(row[:64] for row in rows), bytes(row[64] for row in rows))


def make_digits(seed: int) -> Task:
    """An MLP 64-64-10 on the digits, SGD with momentum 0.9, batches of 32.

    ``seed`` decides the initial weights and the order of the batches; the split is always the
    same.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        DataError: as for :func:`read_digits`.
    """
    torch = need_torch()
    digits = read_digits()
    # bytearray: torch warns about buffers that it may not write to.
    pixels = torch.frombuffer(bytearray(digits.pixels), dtype=torch.uint8).reshape(-1, 64)
    inputs = pixels.to(torch.float32) / 16
    classes = torch.frombuffer(bytearray(digits.labels), dtype=torch.uint8).to(torch.int64)
    order = torch.tensor(fixed_order(len(classes), SPLIT_SEED), device="cpu")
    train, val = order[:TRAIN_EXAMPLES], order[TRAIN_EXAMPLES:]
    model = mlp((64, 64, 10), seed)
    return Task(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=PLACEHOLDER_LR, momentum=0.9),
        loss=cross_entropy,
        train=TensorBatches(inputs[train], classes[train], BATCH_SIZE, shuffle=True, seed=seed),
        val=TensorBatches(inputs[val], classes[val], len(val), shuffle=False),
        metrics={"accuracy": accuracy},
    )
