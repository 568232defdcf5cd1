"""Where batches are tried in full and from what is remembered, and everything is put back."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fine_tuning.frozen.activation_script import recorded
from stepsize.adapters.torch.fine_tuning.frozen.activations import (
    FromActivations,
    Remembered,
    Replay,
)
from stepsize.adapters.torch.fine_tuning.frozen.frozen_parts import Refused
from stepsize.adapters.torch.fine_tuning.frozen.nested import copied
from stepsize.adapters.torch.fused.streams import RandomStates
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials import random_record
from stepsize.adapters.torch.trials.object_parts import parts_of, slots_of
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.tasks import Task

#: The part by which losses and gradients of the same batch may differ, by the type of the loss.
_NEAR = {torch.float64: 1e-9, torch.float32: 1e-5}
_COARSE = 3e-2
#: Convolutions and products on CUDA have 10 bits of precision by default (TF32).
_CUDA = 3e-3
#: What is added to the spread of weights that are drawn, for those that begin at zero.
_SPREAD = 0.01


class Outcome(NamedTuple):
    """What a batch has given: loss and metrics, gradients, and statistics as they are then."""

    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    statistics: list[torch.Tensor]


@final
class Bench:
    """Where batches are tried, and everything is put back.

    Args:
        task: its model, losses and metrics.
        recipe: its precision is used.
        training: whether batches are trained on: the loss with its gradients; else the loss and the
            metrics.
        moving: tensors beside the weights that a training changes, such as statistics.

    Attributes:
        trained: the parameters that a training changes.
    """

    def __init__(
        self, task: Task, recipe: Recipe, training: bool, moving: Sequence[torch.Tensor] = ()
    ) -> None:
        self.task, self.training, self.moving = task, training, moving
        self._recipe = recipe
        self.functions = [task.loss, *([] if training else task.metrics.values())]
        groups = task.optimizer.param_groups
        given = [*task.model.parameters(), *(p for group in groups for p in group["params"])]
        self.trained = list({id(p): p for p in given if p.requires_grad}.values())
        self._parts = parts_of((task.model, *self.functions))
        self._go_back: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """In the block batches can be tried; all comes back after it."""
        things = (self.task.model, *self.functions)
        objects = ObjectState(*things)
        before = objects.take()
        with Transaction(self.task.optimizer, *things) as transaction:

            def go_back() -> None:
                objects.put(before)
                transaction.restore()

            self._go_back = go_back
            try:
                yield
            finally:
                objects.put(before)

    def loss(self, batch: Any) -> torch.Tensor:
        """The loss of a batch as the training or the evaluation computes it."""
        with self.precision():
            loss: torch.Tensor = self._said(self.task.loss, batch)
        return loss

    def _said(self, function: Any, batch: Any) -> Any:
        given = batch if isinstance(batch, Remembered) else copied(batch)
        return FromActivations(function)(self.task.model, given)

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Mixed precision, if the recipe says so."""
        if self._recipe.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(device_of(self.task.model).type, dtype=self._recipe.autocast)

    def outcome(self, batch: Any, replay: Replay | None = None) -> tuple[Outcome, list[list[Any]]]:
        """What a batch, or a remembered one, gives, from where everything was, at drawn weights.

        With ``replay``, the outputs of the frozen calls too.
        """
        self.begin()
        self.draw()
        loss, outputs = self.recorded(replay, batch) if replay else (self.loss(batch), [])
        if self.training:
            found = torch.autograd.grad(loss.sum(), self.trained, allow_unused=True)
            given: list[torch.Tensor | None] = list(found)
            pairs = zip(self.trained, given, strict=True)
            gradients = [torch.zeros_like(p) if g is None else g.clone() for p, g in pairs]
            statistics = [tensor.clone() for tensor in self.moving]
            return Outcome([loss.detach().double().cpu()], gradients, statistics), outputs
        metrics = self.task.metrics.values()
        with self.precision(), torch.no_grad():
            told = [loss, *(self._said(f, batch) for f in metrics)]
        values = [torch.as_tensor(one, dtype=torch.float64, device="cpu") for one in told]
        return Outcome([value.detach().reshape(()) for value in values], [], []), outputs

    def recorded(self, replay: Replay, batch: Any) -> tuple[torch.Tensor, list[list[Any]]]:
        """The loss, and the outputs of the frozen calls.

        Raises:
            Refused: other calls are made than ``replay`` knows.
        """
        return recorded(replay, lambda: self.loss(batch))

    def tried(self, batch: Any) -> torch.Tensor:
        """The loss with what its gradient needs; :meth:`begin` comes before it."""
        with torch.enable_grad():
            return self.loss(batch)

    def settled(self, batch: Any) -> torch.Tensor:
        """The loss without dropout or batch statistics, at drawn weights."""
        self.begin()
        self.draw()
        self.task.model.eval()
        with torch.no_grad():
            return self.loss(batch).detach().double().cpu()

    def note_moving(self, batch: Any, frozen: list[torch.Tensor]) -> None:
        """Compute the loss once more, and note in :attr:`moving` the statistics that it writes to.

        Raises:
            Refused: it writes to frozen weights.
        """
        looked_at = (*frozen, *self.task.model.buffers())
        before = [tensor.detach().clone() for tensor in looked_at]  # not all writing is counted
        self.loss(batch)
        moved = [not torch.equal(t, b) for t, b in zip(looked_at, before, strict=True)]
        if any(moved[: len(frozen)]):
            raise Refused("Computing the loss writes to frozen weights.")
        self.moving = list(itertools.compress(looked_at, moved))

    def generators(self) -> list[object]:
        """The states of the global generators, and of those that the model and the loss hold."""
        held = [value for part in self._parts for value in slots_of(part).values()]
        states = [random_record.take_generator(g) for g in held if random_record.is_generator(g)]
        plain = [s.tolist() if isinstance(s, torch.Tensor) else s for s in states]
        return [RandomStates(), *plain]

    @torch.no_grad()
    def draw(self, seed: int = 0) -> None:
        """Draw the trained weights and what else moves anew around where they are.

        What holds there too does not hold because a head begins at zero, or for the outputs that
        its first weights happen to give.
        """
        generator = torch.Generator().manual_seed(seed)

        def noise(like: torch.Tensor) -> torch.Tensor:
            drawn = torch.randn(like.shape, generator=generator, device="cpu")
            return drawn.to(device=like.device, dtype=like.dtype)

        for weights in self.trained:
            weights.add_(noise(weights) * (weights.abs().square().mean().sqrt() + _SPREAD))
        for tensor in self.moving:
            if tensor.is_floating_point():
                tensor.mul_(1 + noise(tensor).abs()).add_(_SPREAD * noise(tensor).abs())

    def near(self) -> float:
        """The part by which outcomes may differ."""
        dtype = next(iter(self.trained)).dtype
        if self._recipe.autocast is not None or dtype not in _NEAR:
            return _COARSE
        cuda = device_of(self.task.model).type == "cuda" and dtype != torch.float64
        return _CUDA if cuda else _NEAR[dtype]

    def begin(self, seed: int = 0) -> None:
        """Everything as it was, and random numbers from a seed."""
        self._go_back()
        random_state.seed(seed)
