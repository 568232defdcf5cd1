"""The probe of one layer group: its rate climbs, and the batches' own differences are taken out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed, random_state
from stepsize.adapters.torch.batches import Batches, to_device
from stepsize.adapters.torch.fine_tuning.frozen.nested import copied
from stepsize.adapters.torch.fine_tuning.layers.param_groups import set_ratios
from stepsize.adapters.torch.probe import TorchProbe
from stepsize.adapters.torch.update import LossFn, Recipe

#: What a reader of the record is told about the losses.
OBJECTIVE = "training loss, less what the same batches lose without training"
#: Between the seeds of two updates: ranks of a distributed training lie between.
_SEEDS_APART = 100_003


@final
class KeptBatches(Batches):
    """The same batches for every test: kept where the loader left them, moved when used.

    Args:
        stream: where they are drawn from; several may share one.
        device: where they go.
    """

    def __init__(self, stream: Batches, device: torch.device) -> None:
        super().__init__(stream.loader)
        self.stream, self.where = stream, device

    def next(self) -> Any:
        """The next batch, on the model's device; a copy, for a loss may write to it."""
        return to_device(copied(super().next()), self.where)

    def _draw(self) -> Any:
        return self.stream.next()


@final
class GroupProbe(TorchProbe):
    r"""A range test of some layer groups, free of the noise that its batches make.

    One batch is harder than another, and in fine-tuning that hides the small falls there are. So
    every loss is compared with what the very same batch (and dropout) gives ``idle``: without the
    training that is tested::

        shown(t) = loss(w_t, batch_t) - idle(t) + mean(idle)

    Args:
        model: as for :class:`TorchProbe`; so are the others not named here.
        optimizer: one that :func:`regroup` has rewritten.
        loss_fn: ``loss_fn(model, batch)``.
        batches: kept ones, read from the first on.
        frozen: parameters that rest during the test.
        ratios: the rate of each layer group as a multiple of the swept rate.
        fixed: rates of layer groups that do not climb, by index; they override ``ratios``.
        idle: the loss of each update's batches without the tested training.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFn,
        batches: KeptBatches,
        *,
        frozen: Sequence[nn.Parameter] = (),
        ratios: Sequence[float],
        fixed: dict[int, float] | None = None,
        idle: Sequence[torch.Tensor] = (),
        recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
        also: Iterable[object] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(model, optimizer, loss_fn, batches, recipe=recipe, also=also, seed=seed)
        self.frozen, self.ratios, self.fixed = tuple(frozen), tuple(ratios), fixed or {}
        self.idle = idle
        self.mean = torch.stack(list(idle)).mean() if idle else 0.0
        self.made = 0

    def step(self, lr: float) -> torch.Tensor:
        """Make one update at ``lr``; return the loss before it, the batch's own noise removed."""
        ratios = [self.fixed.get(i, lr * ratio) for i, ratio in enumerate(self.ratios)]
        peak = max(ratios)
        set_ratios(self.optimizer, [rate / peak for rate in ratios], peak)
        self._same_draws()
        loss = self.update().detach()
        self.made += 1
        return loss - self.idle[self.made - 1] + self.mean if self.idle else loss

    def idle_losses(self, count: int) -> list[torch.Tensor]:
        """The losses of the first ``count`` updates' batches, nothing trained."""
        losses = []
        for self.made in range(count):
            drawn = distributed.together(self._draw)
            self._same_draws()
            with torch.no_grad():
                each = [self.update.loss(batch).detach() for batch in drawn]
            losses.append(torch.stack(each).mean())
        return losses

    def reached(self) -> set[int]:
        """The ids of the parameters that the loss of the first batch depends on."""
        self._same_draws()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.update.loss(self._draw()[0])
        if not loss.requires_grad:
            return set()
        loss.backward()  # type: ignore[no-untyped-call]
        return {id(p) for p in self.model.parameters() if p.grad is not None}

    def _begin(self) -> None:
        super()._begin()
        self.batches.rewind()
        self.made = 0
        for parameter in self.frozen:
            parameter.requires_grad_(False)

    def _draw(self) -> list[Any]:
        return [self.batches.next() for _ in range(self.update.recipe.accumulate)]

    def _same_draws(self) -> None:
        """Dropout and the like: the same for the same update of every test."""
        random_state.seed(self.seed + _SEEDS_APART * (self.made + 1) + distributed.rank())
