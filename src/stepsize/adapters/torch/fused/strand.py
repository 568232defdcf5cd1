"""One seed of a fused training: its living task, its batches and its random numbers."""

from __future__ import annotations

import contextlib
from typing import Any, final

from stepsize.adapters.torch.fused.streams import RandomStates, Stream
from stepsize.adapters.torch.trials.training import Training
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison.trial import Trial
from stepsize.schedules import Schedule
from stepsize.tasks import Task


@final
class Strand:
    """The living training of a seed: its copies draw from its batches and stand in it in turn.

    Making one seeds the global random generators.

    Args:
        task: freshly made.
        trial: any run of the seed; its schedule does not matter.
        recipe: how an update is made.
        alone: whether it is the only one; then it uses the global generators as they are.

    Attributes:
        task: the living task.
        training: the living training; its batches are drawn, its updates are made in the stack.
        stream: for the stack.
    """

    def __init__(self, task: Task, trial: Trial, recipe: Recipe, *, alone: bool) -> None:
        self.task, self._alone = task, alone
        self.training = Training(
            task,
            trial.schedule,
            seed=trial.seed,
            steps=trial.updates,
            updates_per_epoch=trial.updates_per_epoch,
            recipe=recipe,
        )
        self._between = True  # two epochs
        self.stream = Stream(task.model, task.optimizer, task.loss, self._draw, task.train)

    def random_numbers(self) -> contextlib.AbstractContextManager[None]:
        """In the block the global generators are the seed's."""
        return contextlib.nullcontext() if self._alone else self.stream.own_random_numbers()

    def end_epoch(self) -> None:
        """After the last update of an epoch."""
        with self.random_numbers():
            self.training.end_epoch()
        self._between = True

    def replay(self, content: dict[str, Any]) -> None:
        """Go on in the batches where the runs of the seed have been left."""
        self.training.replay(content)
        self._between = self.training.done == 0
        self.stream.random = RandomStates()

    def content(self, schedule: Schedule) -> dict[str, Any]:
        """What a checkpoint holds of the copy that stands in the living task just now."""
        self.training.stand_at(schedule, self.training.epoch, self.training.done)
        with self.random_numbers():
            return self.training.content()

    def _draw(self) -> Any:
        if self._between:
            self.training.batches.begin(self.training.epoch + 1)
            self._between = False
        return self.training.batches.next()
