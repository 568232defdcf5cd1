"""Mini-batches of tensors that are already in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, final

from stepsize.errors import require
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch


@final
class TensorBatches:
    """Batches ``(x, y)`` of two tensors, again and again, in an order of its own.

    With ``shuffle`` (training) each pass draws a new order and leaves the last, smaller batch out,
    so that all updates weigh the same. Without it (validation) the order is that of the data and
    every example is seen.

    Attributes:
        generator: the ``torch.Generator`` of the orders. It advances when a pass begins and
            nowhere else; saving and restoring its state replays the same batches. Torch's global
            generator is never touched.

    Raises:
        InputError: lengths that differ, or a batch size that gives no batch.
        MissingDependencyError: PyTorch is not installed.

    >>> import torch
    >>> batches = TensorBatches(torch.arange(5), torch.arange(5), 2, shuffle=False)
    >>> len(batches), [x.tolist() for x, _ in batches]
    (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
    ) -> None:
        require(
            len(inputs) == len(targets),
            f"Each input needs a target, got {len(inputs)} inputs and {len(targets)} targets.",
        )
        most = len(inputs) if shuffle else max(len(inputs), batch_size)
        require(
            1 <= batch_size <= most,
            f"A batch of {batch_size} cannot be drawn from {len(inputs)} examples.",
        )
        self._torch = need_torch()
        self.inputs = inputs
        self.targets = targets
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.generator: torch.Generator = self._torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.inputs), self.batch_size)
        return whole if self.shuffle or not rest else whole + 1

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        # Drawn here and not at the first batch: one pass, one advance, also when it is cut short.
        return self._walk(self._order())

    def __repr__(self) -> str:
        kind = "shuffled" if self.shuffle else "in order"
        return f"TensorBatches({len(self)} of {self.batch_size}, {kind})"

    def _order(self) -> torch.Tensor:
        count = len(self.inputs)
        if self.shuffle:
            # The device is named because the caller may have set another default.
            return self._torch.randperm(count, generator=self.generator, device="cpu")  # type: ignore[no-any-return]
        return self._torch.arange(count, device="cpu")  # type: ignore[no-any-return]

    def _walk(self, order: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in range(len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield self.inputs[rows], self.targets[rows]
