"""One training, update by update: logged, evaluated, and able to go on where it was stopped."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.scheduled_lr import ScheduledLR
from stepsize.adapters.torch.setting import other_device
from stepsize.adapters.torch.trials import checkpoint, random_record
from stepsize.adapters.torch.trials.epoch_batches import EpochBatches
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.trials.training_state import TrainingState
from stepsize.adapters.torch.update import Recipe, Update
from stepsize.comparison.trial import Trial
from stepsize.records import Evaluation
from stepsize.tasks import Task

if TYPE_CHECKING:
    from stepsize.store import Lease

#: Losses on another device than the CPU are read this many at a time, with one wait for it.
READ_TOGETHER = 50
#: Checkpoints cost at most one part in this many of the time.
CHECKPOINT_SHARE = 50.0

Watch = Callable[[Evaluation], None]


class Diverged(Exception):
    """A loss that is not finite; says where."""


class Training:
    """The training of a freshly made task.

    Args:
        trial: what decides its numbers.
        task: the trial's task, freshly made.
        lease: where everything is written.
        recipe: how an update is made.
        checkpoint_seconds: at least this long between two checkpoints; 0 saves after every update.
    """

    def __init__(
        self, trial: Trial, task: Task, lease: Lease, recipe: Recipe, checkpoint_seconds: float
    ) -> None:
        self.trial, self.task, self.lease, self.recipe = trial, task, lease, recipe
        self.checkpoint_seconds = checkpoint_seconds
        device = other_device(task.model)
        needed = trial.updates_per_epoch * recipe.accumulate
        self.batches = EpochBatches(task.train, device, needed)
        source: Any = self.batches
        self._update = Update(task.model, task.optimizer, task.loss, source, recipe)
        self._scheduler = ScheduledLR(
            task.optimizer,
            trial.schedule,
            steps=trial.updates,
            steps_per_epoch=trial.updates_per_epoch,
        )
        self._state = TrainingState(task, self._scheduler, recipe.scaler)
        self._loader = ObjectState(task.train)
        self._block = 1 if device is None else READ_TOGETHER
        self._unread: list[tuple[float, torch.Tensor]] = []
        self._losses: list[float] = []  # of the epoch so far
        self._epoch = self._done = 0  # epochs, and updates in the epoch
        self._settled = True  # between two updates
        self._told = False  # that a checkpoint could not be written
        random_state.seed(trial.seed)
        if not task.model.training:  # a model in training keeps its frozen layers' eval mode
            task.model.train()
        self._mark_start()
        self._next_checkpoint = time.monotonic() + checkpoint_seconds

    @property
    def updates(self) -> int:
        """Updates done since the beginning of the run."""
        return self._epoch * self.trial.updates_per_epoch + self._done

    def run(self, interrupts: Interrupts, watch: Watch | None) -> None:
        """Train to the end.

        Raises:
            Diverged: a loss was not finite.
        """
        while self._epoch < self.trial.epochs:
            if self._done == 0:
                self.batches.begin(self._epoch + 1)
            while self._done < self.trial.updates_per_epoch:
                if self._done:
                    self._pause(interrupts)
                self._one_update()
            self._end_epoch(watch)
            self._pause(interrupts)

    def stop(self) -> None:
        """Write down what is known; before an error or an interruption ends the run."""
        self._read()
        self.lease.flush()

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
        self._epoch, self._done = content["epoch"], content["done"]
        self._losses = content["losses"].tolist()
        self.batches.digest = content["batches"]
        self._start = content["start"]
        self._state.put(content["state"])
        self._loader.put(self._start["loader"])
        random_record.put(self._start["random"])

    def replay(self, content: dict[str, Any]) -> None:
        """Draw again, from the epoch's beginning, the batches that the updates have used.

        Raises:
            TaskError: there are not as many.
        """
        if self._done:
            self.batches.begin(self._epoch + 1, self._done * self.recipe.accumulate)
        self._state.put_objects(content["state"])  # the loader may share some
        random_record.put(content["random"])

    def _content(self) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "done": self._done,
            "losses": torch.tensor(self._losses, dtype=torch.float64, device="cpu"),
            "batches": self.batches.digest,
            "start": self._start,
            "state": self._state.take(),
            "random": random_record.take(),
        }

    def _mark_start(self) -> None:
        """Remember what the order of the coming epoch's batches depends on."""
        self._start = {"random": random_record.take(), "loader": self._loader.take()}

    def _one_update(self) -> None:
        self._settled = False
        rate = self.trial.schedule(self._scheduler.updates)  # a scaler may have skipped some
        loss = self._update()
        self._scheduler.step()
        self._done += 1
        self._unread.append((rate, loss))
        if len(self._unread) >= self._block:
            self._read()
        self._settled = True

    def _read(self) -> None:
        """Log the losses that are still on their device."""
        unread, self._unread = self._unread, []
        for rate, loss in _values(unread):
            number = self._epoch * self.trial.updates_per_epoch + len(self._losses)
            self._losses.append(loss)
            self.lease.log(number, rate, loss)
            if not math.isfinite(loss):
                raise Diverged(f"the loss was not finite at update {number}")

    def _pause(self, interrupts: Interrupts) -> None:
        """Between two updates."""
        if time.monotonic() >= self._next_checkpoint:
            self.save()
        interrupts.deliver()

    def _end_epoch(self, watch: Watch | None) -> None:
        self._read()
        self._settled = False
        self.batches.end(self.recipe.accumulate)
        assert self.task.val is not None
        values = {"train_loss": math.fsum(self._losses) / len(self._losses)}
        values |= evaluate(self.task, self.task.val, self.recipe, "val_")
        evaluation = Evaluation(self._epoch + 1, self.updates, values)
        self.lease.facts(batches=self.batches.digest)
        self.lease.evaluate(evaluation)
        self._epoch, self._done, self._losses = self._epoch + 1, 0, []
        self._mark_start()
        self._settled = True
        if watch is not None:
            with _random_states_kept():
                watch(evaluation)
        if self._epoch == self.trial.epochs and not math.isfinite(values["val_loss"]):
            raise Diverged("the validation loss was not finite at the end")


def _values(unread: list[tuple[float, torch.Tensor]]) -> list[tuple[float, float]]:
    """Rates and losses, with one wait for the device."""
    if len(unread) <= 1:
        return [(rate, loss.item()) for rate, loss in unread]
    losses = torch.stack([loss.detach() for _, loss in unread]).tolist()
    return [(rate, loss) for (rate, _), loss in zip(unread, losses, strict=True)]


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    back = random_state.remember()
    try:
        yield
    finally:
        back()
