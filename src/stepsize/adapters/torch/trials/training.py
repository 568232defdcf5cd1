"""One training, update by update: it can be stopped anywhere and go on; it writes nothing."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.scheduled_lr import ScheduledLR
from stepsize.adapters.torch.setting import other_device
from stepsize.adapters.torch.trials import random_record
from stepsize.adapters.torch.trials.epoch_batches import EpochBatches
from stepsize.adapters.torch.trials.training_state import OwnStates, TrainingState
from stepsize.adapters.torch.update import Recipe, Update
from stepsize.schedules import Schedule
from stepsize.tasks import Task

#: Losses on another device than the CPU are read this many at a time, with one wait for it.
READ_TOGETHER = 50


class Loss(NamedTuple):
    """The loss that an update has measured before it changed the weights.

    Attributes:
        update: its number; the first is 0.
        lr: the rate of the update.
        loss: the mean over its batches.
    """

    update: int
    lr: float
    loss: float


class Training:
    """The training of a freshly made task, or a part of one that goes on with the same objects.

    Making one seeds the global random generators; they are part of the training while it runs.

    Args:
        task: freshly made, unless its ``states`` are given.
        schedule: resolved to ``steps``.
        seed: decides the random numbers of the training; None leaves the generators as they are.
        steps: updates in the whole training.
        updates_per_epoch: updates in one pass through the batches.
        recipe: how an update is made.
        states: of the task, if it was trained before: taken hold of when it was freshly made.

    Attributes:
        batches: where the updates draw theirs.
        epoch: epochs done.
        done: updates done in the epoch that is under way.

    >>> from stepsize.schedules import Constant
    >>> from stepsize.tasks import load, make_task
    >>> back = random_state.remember()
    >>> training = Training(
    ...     make_task(load("digits"), 0), Constant(0.1), seed=0, steps=44, updates_per_epoch=44,
    ...     recipe=Recipe(),
    ... )
    >>> training.update()[0].lr, training.updates
    (0.1, 1)
    >>> back()
    """

    def __init__(
        self,
        task: Task,
        schedule: Schedule,
        *,
        seed: int | None,
        steps: int,
        updates_per_epoch: int,
        recipe: Recipe,
        states: OwnStates | None = None,
    ) -> None:
        self.task, self.recipe, self.updates_per_epoch = task, recipe, updates_per_epoch
        self._schedule = schedule
        device = other_device(task.model)
        self.batches = EpochBatches(task.train, device, updates_per_epoch * recipe.accumulate)
        source: Any = self.batches
        self._update = Update(task.model, task.optimizer, task.loss, source, recipe)
        self._scheduler = ScheduledLR(
            task.optimizer, schedule, steps=steps, steps_per_epoch=updates_per_epoch
        )
        objects, self._loader = states or OwnStates.of(task)
        self._state = TrainingState(task.optimizer, self._scheduler, recipe.scaler, objects)
        self._block = 1 if device is None else READ_TOGETHER
        self._unread: list[tuple[float, torch.Tensor]] = []
        self.epoch = self.done = 0
        if seed is not None:
            random_state.seed(seed)
        if not task.model.training:  # a model in training keeps its frozen layers' eval mode
            task.model.train()
        self._mark_start()

    @property
    def updates(self) -> int:
        """Updates done since the beginning."""
        return self.epoch * self.updates_per_epoch + self.done

    @property
    def at_end_of_epoch(self) -> bool:
        """Whether the epoch has had all its updates, and :meth:`end_epoch` is due."""
        return self.done == self.updates_per_epoch

    def update(self) -> list[Loss]:
        """Make one update; returns the losses that have been read by now, in order."""
        if self.done == 0:
            self.batches.begin(self.epoch + 1)
        rate = self._schedule(self._scheduler.updates)  # a scaler may have skipped some
        loss = self._update()
        self._scheduler.step()
        self.done += 1
        self._unread.append((rate, loss))
        return self.read() if len(self._unread) >= self._block else []

    def read(self) -> list[Loss]:
        """The losses that are still on their device."""
        unread, self._unread = self._unread, []
        first = self.updates - len(unread)
        return [Loss(first + i, *pair) for i, pair in enumerate(_values(unread))]

    def end_epoch(self) -> None:
        """After the last update of an epoch: let the loader finish its pass."""
        self.batches.end(self.recipe.accumulate)
        self.epoch, self.done = self.epoch + 1, 0
        self._mark_start()

    def close(self) -> None:
        """Let go of the loader and its worker processes."""
        self.batches.close()

    def content(self) -> dict[str, Any]:
        """Everything to go on from, between two updates; its tensors are the living ones."""
        return {
            "epoch": self.epoch,
            "done": self.done,
            "batches": self.batches.digest,
            "start": self._start,
            "state": self._state.take(),
            "random": random_record.take(),
        }

    def follow(self, schedule: Schedule) -> None:
        """Be a training under another schedule; :meth:`resume` follows and says from where."""
        self._schedule = schedule
        self._scheduler.replace(schedule)

    def stand_at(self, schedule: Schedule, epoch: int, done: int) -> None:
        """Count as done what was trained elsewhere: its weights and states are in the task by now.

        Args:
            schedule: of that training.
            epoch, done: epochs, and updates in the one that is under way.
        """
        self.epoch, self.done = epoch, done
        self.follow(schedule)
        counted = {**self._scheduler.state_dict(), "updates": self.updates}
        self._scheduler.load_state_dict(counted, "ignore")

    def resume(self, content: dict[str, Any], on_change: str = "raise") -> None:
        """Bring everything into the state of ``content``; :meth:`replay` follows.

        Args:
            content: what :meth:`content` gave, here or in a training of the same task.
            on_change: what to do if it was taken under another schedule: ``"raise"`` or
                ``"ignore"``.

        Raises:
            Exception: it does not fit the task. The training cannot be used then.
        """
        self.batches.leave()  # before its state is put: a pass may have an end of its own
        self._unread = []
        self.epoch, self.done = content["epoch"], content["done"]
        self.batches.digest = content["batches"]
        self._start = content["start"]
        self._state.put(content["state"], on_change)
        self._loader.put(copy.deepcopy(self._start["loader"]))  # the loader may write to it
        random_record.put(self._start["random"])

    def replay(self, content: dict[str, Any]) -> None:
        """Draw again, from the epoch's beginning, the batches that the updates have used.

        Raises:
            TaskError: there are not as many.
        """
        if self.done:
            self.batches.begin(self.epoch + 1, self.done * self.recipe.accumulate)
        self._state.put_objects(content["state"])  # the loader may share some
        random_record.put(content["random"])

    def put_globals(self, random: dict[str, Any], scaler: Any) -> None:
        """Go on where nothing has changed but what others use too.

        Args:
            random: the states of the global generators, out of a content.
            scaler: the state of the scaler, out of a content.
        """
        random_record.put(random)
        self._state.put_scaler(scaler)

    @property
    def can_go_back(self) -> bool:
        """Whether :meth:`resume` brings back everything, although the task has been trained."""
        return self._state.can_go_back and self._loader.can_go_back

    def _mark_start(self) -> None:
        """Remember what the order of the coming epoch's batches depends on."""
        self._start = {"random": random_record.take(), "loader": self._loader.take()}


def _values(unread: list[tuple[float, torch.Tensor]]) -> list[tuple[float, float]]:
    """Rates and losses, with one wait for the device."""
    if len(unread) <= 1:
        return [(rate, loss.item()) for rate, loss in unread]
    losses = torch.stack([loss.detach() for _, loss in unread]).tolist()
    return [(rate, loss) for (rate, _), loss in zip(unread, losses, strict=True)]
