"""Batches of pictures that look a little different each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import require
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch


@final
class AugmentedPictures:
    """Batches ``(x, y)`` of pictures, flipped and shifted at random, in an order of their own.

    Each pass draws a new order, which pictures are mirrored (half of them, left to right), and by
    how many pixels each is shifted (``-shift ... shift``, both ways; what moves in from outside is
    the picture's own edge, mirrored). The last, smaller batch is left out. ``x`` is standardised
    and lies in memory as ``channels_last``, which convolutions on a CPU like best.

    Attributes:
        generator: the ``torch.Generator`` of all draws. It advances when a pass begins and nowhere
            else; saving and restoring its state replays the same batches. Torch's global generator
            is never touched.

    Args:
        pixels: bytes (pictures, height, width, channels).
        targets: one for each picture.
        batch_size: pictures in a batch.
        standard: mean and deviation of each channel, of values in 0..1.
        shift: the most pixels that a picture is moved.
        seed: of the generator.

    Raises:
        InputError: lengths that differ, a batch size that gives no batch, a shift as large as a
            picture.
        MissingDependencyError: PyTorch is not installed.
    """

    def __init__(
        self,
        pixels: torch.Tensor,
        targets: torch.Tensor,
        batch_size: int,
        *,
        standard: tuple[Sequence[float], Sequence[float]],
        shift: int,
        seed: int,
    ) -> None:
        require(
            len(pixels) == len(targets),
            f"Each picture needs a target, got {len(pixels)} pictures and {len(targets)} targets.",
        )
        require(
            1 <= batch_size <= len(pixels),
            f"A batch of {batch_size} cannot be drawn from {len(pixels)} pictures.",
        )
        require(
            0 <= shift < min(pixels.shape[1:3]),
            f"Pictures of {tuple(pixels.shape[1:3])} pixels can be shifted by less than their "
            f"side, got {shift}.",
        )
        self._torch = need_torch()
        self.pixels, self.targets = pixels, targets
        self.batch_size, self.shift, self.standard = batch_size, shift, standard
        self.generator: torch.Generator = self._torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.pixels) // self.batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        # Drawn here and not at the first batch: one pass, one advance, also when it is cut short.
        count = len(self.pixels)
        order = self._torch.randperm(count, generator=self.generator, device="cpu")
        mirrored = self._drawn(2, (count,)).bool()
        moved = self._drawn(2 * self.shift + 1, (2, count)) - self.shift
        return self._walk(order, mirrored, moved)

    def __repr__(self) -> str:
        return f"AugmentedPictures({len(self)} of {self.batch_size}, shifted by {self.shift})"

    def _drawn(self, below: int, shape: tuple[int, ...]) -> Any:
        return self._torch.randint(below, shape, generator=self.generator, device="cpu")

    def _walk(self, order: Any, mirrored: Any, moved: Any) -> Iterator[Any]:
        for batch in range(len(self)):
            span = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            chosen = order[span]
            rows = self._places(self.pixels.shape[1], moved[0, span])
            columns = self._places(self.pixels.shape[2], moved[1, span])
            columns = self._torch.where(mirrored[span, None], columns.flip(1), columns)
            seen = self.pixels[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
            yield standardised(seen, self.standard), self.targets[chosen]

    def _places(self, side: int, moved: Any) -> Any:
        """Which old place is seen at each new one; beyond an edge, the mirror image of what lies
        before it.
        """
        places = (self._torch.arange(side, device="cpu") + moved[:, None]).abs()
        return self._torch.where(places < side, places, 2 * (side - 1) - places)


def standardised(
    pixels: torch.Tensor, standard: tuple[Sequence[float], Sequence[float]]
) -> torch.Tensor:
    """Pictures as a network takes them: ``(value / 255 - mean) / deviation``, channel by channel.

    Args:
        pixels: bytes (pictures, height, width, channels).
        standard: mean and deviation of each channel.

    Returns:
        (pictures, channels, height, width), in memory as ``channels_last``.

    >>> import torch
    >>> pixel = torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
    >>> standardised(pixel, ([0.5], [0.25])).item()
    2.0
    """
    torch = need_torch()
    mean, deviation = (
        torch.tensor(values, dtype=torch.float32, device="cpu") for values in standard
    )
    values = (pixels.to(torch.float32) / 255 - mean) / deviation
    return values.permute(0, 3, 1, 2)  # type: ignore[no-any-return]
