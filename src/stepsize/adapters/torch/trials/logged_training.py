"""A training that is logged, evaluated, and able to go on after any end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.trials import checkpoint
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.training import Loss, Training
from stepsize.adapters.torch.trials.trial_facts import facts
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison.trial import AnyTrial, Trial
from stepsize.records import Evaluation
from stepsize.tasks import Task

if TYPE_CHECKING:
    from stepsize.store import Lease

#: Checkpoints cost at most one part in this many of the time.
CHECKPOINT_SHARE = 50.0

Watch = Callable[[Evaluation], None]


class Diverged(Exception):
    """A loss that is not finite; says where."""


@dataclass(frozen=True)
class Part:
    """What is trained, and where it stands in its run.

    Attributes:
        training: the whole run's, or that of one of its phases.
        epochs: its length.
        before: epochs of the run that were trained before it.
        context: what a checkpoint has to hold besides the training's content.
        at_epoch: told how many of its epochs are done whenever one is, before anything can stop
            the run.
        batches: the fact that names the batches it has seen.
    """

    training: Training
    epochs: int
    before: int = 0
    context: Callable[[], dict[str, Any]] = dict
    at_epoch: Callable[[int], object] = lambda epoch: None
    batches: str = "batches"


class LoggedTraining:
    """The training of a run, or a part of it, written down through a lease.

    Args:
        trial: what decides its numbers.
        task: what is trained and evaluated.
        part: the training of it.
        lease: where everything is written.
        recipe: how an update is made.
        checkpoint_seconds: at least this long between two checkpoints; 0 saves after every update.
    """

    def __init__(
        self,
        trial: AnyTrial,
        task: Task,
        part: Part,
        lease: Lease,
        recipe: Recipe,
        checkpoint_seconds: float,
    ) -> None:
        self.trial, self.task, self.lease, self.recipe = trial, task, lease, recipe
        self.checkpoint_seconds = checkpoint_seconds
        self._part, self._training = part, part.training
        self._before = part.before * trial.updates_per_epoch
        self._losses: list[float] = []  # of the epoch so far
        self._settled = True  # between two updates
        self._told = False  # that a checkpoint could not be written
        self._next_checkpoint = time.monotonic() + checkpoint_seconds

    @classmethod
    def of(
        cls, trial: Trial, task: Task, lease: Lease, recipe: Recipe, checkpoint_seconds: float
    ) -> Self:
        """The whole training of a freshly made task."""
        training = Training(
            task,
            trial.schedule,
            seed=trial.seed,
            steps=trial.updates,
            updates_per_epoch=trial.updates_per_epoch,
            recipe=recipe,
        )
        return cls(trial, task, Part(training, trial.epochs), lease, recipe, checkpoint_seconds)

    @property
    def updates(self) -> int:
        """Updates done since the beginning of the run."""
        return self._before + self._training.updates

    def facts(self) -> dict[str, Any]:
        """What the run tells of itself at its beginning."""
        return facts(self.task, self.trial.updates_per_epoch)

    def run(self, interrupts: Interrupts, watch: Watch | None) -> None:
        """Train to the end.

        Raises:
            Diverged: a loss was not finite.
        """
        while self._training.epoch < self._part.epochs:
            self._settled = False
            self._log(self._training.update())
            if self._training.at_end_of_epoch:
                self._end_epoch(watch)
            self._settled = True
            self._pause(interrupts)

    def stop(self) -> None:
        """Write down what is known; before an error or an interruption ends the run."""
        self._log(self._training.read())
        self.lease.flush()

    def close(self) -> None:
        """Let go of the loader and its worker processes."""
        self._training.close()

    def save(self) -> None:
        """Write a checkpoint, if nothing is half done; a full disk is told, and no error."""
        if not self._settled:
            return
        self.stop()  # what the checkpoint counts as done must be in the store before
        began = time.monotonic()
        try:
            checkpoint.save_checkpoint(self.lease.checkpoint, self.trial.key, self._content())
        except (OSError, RuntimeError) as error:
            if not self._told:
                self.lease.event("checkpoint", f"could not be written: {error}")
            self._told = True
        now = time.monotonic()
        if self.checkpoint_seconds > 0.0:
            wait = max(self.checkpoint_seconds, CHECKPOINT_SHARE * (now - began))
            self._next_checkpoint = now + wait

    def resume(self, content: dict[str, Any]) -> None:
        """Bring everything into the state of ``content``, a checkpoint's; :meth:`replay` follows.

        Raises:
            Exception: it does not fit the task. The training cannot be used then.
        """
        self._losses = content["losses"].tolist()
        self._training.resume(content)

    def replay(self, content: dict[str, Any]) -> None:
        """Draw again, from the epoch's beginning, the batches that the updates have used.

        Raises:
            TaskError: there are not as many.
        """
        self._training.replay(content)

    def _content(self) -> dict[str, Any]:
        losses = torch.tensor(self._losses, dtype=torch.float64, device="cpu")
        return {**self._training.content(), "losses": losses, **self._part.context()}

    def _log(self, losses: Iterable[Loss]) -> None:
        for number, rate, loss in losses:
            update = self._before + number
            self._losses.append(loss)
            self.lease.log(update, rate, loss)
            if not math.isfinite(loss):
                raise Diverged(f"the loss was not finite at update {update}")

    def _pause(self, interrupts: Interrupts) -> None:
        """Between two updates."""
        if time.monotonic() >= self._next_checkpoint:
            self.save()
        interrupts.deliver()

    def _end_epoch(self, watch: Watch | None) -> None:
        self._log(self._training.read())
        self._training.end_epoch()
        assert self.task.val is not None
        values = {"train_loss": math.fsum(self._losses) / len(self._losses)}
        values |= evaluate(self.task, self.task.val, self.recipe, "val_")
        epoch = self._part.before + self._training.epoch
        evaluation = Evaluation(epoch, self.updates, values)
        self.lease.facts(**{self._part.batches: self._training.batches.digest})
        self.lease.evaluate(evaluation)
        self._losses = []
        self._part.at_epoch(self._training.epoch)
        self._settled = True
        if watch is not None:
            with random_state.kept():
                watch(evaluation)
        if self.updates == self.trial.updates and not math.isfinite(values["val_loss"]):
            raise Diverged("the validation loss was not finite at the end")
