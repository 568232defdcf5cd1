"""The torch probe: lets a range test drive a model, an optimizer and a loader."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed, random_state
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.memento import Memento
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.update import LossFn, Recipe, Update, device_of
from stepsize.errors import InputError, require


class TorchProbe:
    """One range test's view of an ordinary PyTorch training: update, read, restart, measure.

    Entering it remembers everything and seeds the random generators; leaving it gives everything
    back. Losses stay on their device and are read in blocks, so that a GPU is never waited for
    after each update.

    Args:
        model: the module that ``loss_fn`` trains.
        optimizer: the optimizer whose rates are swept; ratios between its groups are kept.
        loss_fn: ``loss_fn(model, batch)`` gives the mean loss of a batch.
        batches: where batches come from; several probes may share one stream.
        recipe: accumulation, precision, clipping.
        also: further things an update changes: a second model and its optimizer, an EMA, ...
        held_out: fixed batches for the held-out loss.
        seed: seeds dropout, shuffling and the rest during the test.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFn,
        batches: Batches,
        *,
        recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
        also: Iterable[object] = (),
        held_out: Sequence[Any] = (),
        seed: int = 0,
    ) -> None:
        check_model_and_optimizer(model, optimizer)
        self.model, self.optimizer = model, optimizer
        self.update = Update(model, optimizer, loss_fn, batches, recipe)
        self.batches, self.held_out, self.seed = batches, held_out, seed
        self.rates = GroupRates(optimizer)
        self.block = 1 if device_of(model).type == "cpu" and not distributed.active() else 16
        self.transaction = Transaction(
            model, optimizer, recipe.scaler, loss_fn, *also, loader=batches.loader
        )

    def __enter__(self) -> Self:
        self.transaction.__enter__()
        try:
            self._begin()
            self._grad = contextlib.ExitStack()
            self._grad.enter_context(torch.inference_mode(mode=False))
            self._grad.enter_context(torch.enable_grad())
        except BaseException:
            self.transaction.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._grad.__exit__(kind, error, traceback)
        finally:
            self.transaction.__exit__(kind, error, traceback)

    def step(self, lr: float) -> torch.Tensor:
        """Make one update at ``lr``; return the loss before it, unread."""
        self.rates.set(lr)
        return self.update()

    def read(self, losses: Sequence[torch.Tensor]) -> list[float]:
        """The values of ``losses``, the mean over all ranks, with one wait for the device."""
        if not losses:
            return []
        if len(losses) == 1:
            return distributed.mean([losses[0].item()])
        return distributed.mean(torch.stack([loss.detach() for loss in losses]).tolist())

    def restart(self) -> None:
        """Back to the start: weights, optimizer, random states and batches."""
        self.transaction.restore()
        self._begin()
        self.batches.rewind()

    def _begin(self) -> None:
        random_state.seed(self.seed + distributed.rank())
        if not self.model.training:  # a model in training keeps its frozen layers' eval mode
            self.model.train()

    def held_out_loss(self) -> torch.Tensor:
        """The mean loss of the held-out batches, in eval mode, leaving no trace."""
        require(bool(self.held_out), "There are no held-out batches to measure.")
        before = Memento(leave=self.model.parameters())  # evaluating does not write to those
        before.add(self.model)
        before.add(self.update.loss_fn)
        back = random_state.remember()
        self.model.eval()
        try:
            with torch.no_grad():
                losses = distributed.together(
                    lambda: [self.update.loss(batch).detach() for batch in self.held_out]
                )
        finally:
            before.restore()
            back()
        return torch.stack(losses).mean()


def check_model_and_optimizer(model: object, optimizer: object) -> None:
    """Refuse what cannot be range-tested, by name.

    Raises:
        InputError: not a module, not an optimizer, or layers that have no shape yet.
    """
    require(
        isinstance(model, nn.Module),
        f"The model must be a torch.nn.Module, got {type(model).__name__}.",
    )
    require(
        isinstance(optimizer, Optimizer),
        f"The optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}.",
    )
    assert isinstance(model, nn.Module)
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise InputError(
            "The model has lazy layers whose shapes are not known yet. Run one batch through it "
            "and make the optimizer afterwards."
        )
