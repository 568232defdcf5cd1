"""An endless stream of batches out of whatever the user calls a loader."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from stepsize.errors import InputError, RangeTestError


class Batches:
    """Batch after batch, starting the loader again whenever it ends.

    An iterator is taken for a generator, whose batches cannot be given back, unless it has
    ``reset``. One that begins anew when ``iter`` is called on it is started again all the same.

    Args:
        loader: any iterable of batches, with or without ``len``. A generator is used up: it cannot
            be started again.
        device: where tensors inside the batches go; None leaves them where they are.

    Raises:
        InputError: ``loader`` is not iterable.
        RangeTestError: on :meth:`next`, an empty loader, or a generator that ran dry.

    >>> batches = Batches([1, 2])
    >>> [batches.next() for _ in range(5)]
    [1, 2, 1, 2, 1]
    """

    def __init__(self, loader: Iterable[Any], device: torch.device | None = None) -> None:
        given: Any = loader
        if not isinstance(given, Iterable) or isinstance(given, (str, bytes, Mapping)):
            raise InputError(
                f"The loader must be an iterable of batches, got {type(loader).__name__}. "
                "A list of batches will do."
            )
        self.loader = loader
        self.device = device
        self.order: Iterable[Any] = loader
        self.drawn = 0
        self._iterator: Iterator[Any] | None = None
        self._kept: list[Any] | None = None
        self._position = 0

    def next(self) -> Any:
        """The next batch."""
        if self._kept is None:
            return self._draw()
        if self._position == len(self._kept):
            self._kept.append(self._draw())
        self._position += 1
        return self._kept[self._position - 1]

    def rewind(self) -> None:
        """From the first call on, keep what is drawn; from then on, begin again at the first."""
        self._kept = self._kept or []
        self._position = 0

    def reorder(self, seed: int) -> None:
        """Other batches first: a list is shuffled, any other loader goes on where it stands."""
        self._kept = None
        if isinstance(self.loader, Sequence):
            self.order = random.Random(seed).sample(self.loader, len(self.loader))
            self._iterator = None

    def close(self) -> None:
        """Let go of the loader's iterator, and with it of its worker processes."""
        self._iterator = self._kept = None

    def _draw(self) -> Any:
        for _ in range(2):
            if self._iterator is None:
                self._iterator = iter(self.order)
            for batch in self._iterator:
                self.drawn += 1
                return batch if self.device is None else to_device(batch, self.device)
            self._iterator = None
        raise RangeTestError(self._why_dry())

    def _why_dry(self) -> str:
        if not self.drawn:
            return f"The loader ({type(self.loader).__name__}) is empty: it gave no batch at all."
        return (
            f"The loader ran dry after {self.drawn} batches and, being a generator, cannot be "
            "started again. Give a loader that can be iterated twice (a DataLoader or a list), or "
            "ask for fewer updates."
        )


def to_device(batch: Any, device: torch.device) -> Any:
    """Move every tensor of a nested batch to ``device``."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        moved = {key: to_device(value, device) for key, value in batch.items()}
        try:
            return type(batch)(moved)  # type: ignore[call-arg]
        except TypeError:
            return moved
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_device(value, device) for value in batch)
    return batch
