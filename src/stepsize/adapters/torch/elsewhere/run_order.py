"""A run as it is sent to a worker."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stepsize.adapters.torch import random_state, threads
from stepsize.adapters.torch.elsewhere.numerics import Numerics
from stepsize.adapters.torch.prospect import prospect
from stepsize.adapters.torch.setting import describe_recipe
from stepsize.adapters.torch.trials.trial import CHECKPOINT_SECONDS
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import Trial
from stepsize.errors import EngineError
from stepsize.schedules import Schedule
from stepsize.tasks import LoadedTask
from stepsize.tasks.packing import packed, unpacked
from stepsize.tasks.sending import TaskDefinition, definition_of

#: The digests of tasks that this process has looked at, by definition, recipe and settings.
_sources: dict[tuple[TaskDefinition, str, Numerics], str] = {}


@final
@dataclass(frozen=True)
class RunOrder:
    """Everything that decides a run's numbers, so that it can be pickled.

    Attributes:
        definition: the task.
        arm, schedule, seed, epochs, updates_per_epoch, source: as of a :class:`Trial`.
        recipe: how an update is made.
        numerics: torch's settings.
        functions: those of the script itself that the schedule names, packed by their names.
        checkpoint_seconds: at least this long between two checkpoints.
    """

    definition: TaskDefinition
    arm: str
    schedule: Schedule
    seed: int
    epochs: int
    updates_per_epoch: int
    source: str
    recipe: Recipe
    numerics: Numerics
    functions: bytes
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def trial(self) -> Trial:
        """The trial in this process, which gets the sender's settings of torch.

        Raises:
            TaskError: the task cannot be loaded here.
            EngineError: it is another one here.
        """
        self.numerics.apply()
        vars(sys.modules["__main__"]).update(unpacked(self.functions))
        recipe: Mapping[str, Any] = describe_recipe(self.recipe)
        with threads.making():
            loaded = self.definition.load()
            if self.source:
                self._check(loaded, str(recipe))
        return Trial(
            arm=self.arm,
            task=loaded,
            schedule=self.schedule,
            seed=self.seed,
            epochs=self.epochs,
            updates_per_epoch=self.updates_per_epoch,
            recipe=recipe,
            source=self.source,
        )

    def _check(self, loaded: LoadedTask, recipe: str) -> None:
        """Refuse a task that differs here, once it was looked at."""
        known = self.definition, recipe, self.numerics
        if known not in _sources:
            back = random_state.remember()
            try:
                _sources[known] = prospect(loaded, self.recipe).source
            finally:
                back()
        if _sources[known] != self.source:
            raise EngineError(
                f"The task {loaded.name} is another one for the worker: its weights, data or code "
                "differ from those here. Does it read a file, a setting or the time, or is "
                "something installed in another version? Mend that, or say engine='serial'."
            )


@final
class Orders:
    """Makes orders out of trials; a task is looked at once.

    Args:
        recipe: how an update is made.
        checkpoint_seconds: at least this long between two checkpoints.

    Raises:
        InputError: the recipe's scaler cannot be sent.
    """

    def __init__(self, recipe: Recipe, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> None:
        packed(recipe, "the recipe's scaler")
        self.recipe, self.checkpoint_seconds = recipe, checkpoint_seconds
        self._known: list[tuple[LoadedTask, TaskDefinition]] = []

    def of(self, trial: Trial) -> RunOrder:
        """The order for a trial.

        Raises:
            InputError: its task or its schedule cannot be sent.
        """
        return RunOrder(
            definition=self._definition(trial.task),
            arm=trial.arm,
            schedule=trial.schedule,
            seed=trial.seed,
            epochs=trial.epochs,
            updates_per_epoch=trial.updates_per_epoch,
            source=trial.source,
            recipe=self.recipe,
            numerics=Numerics.here(),
            functions=packed(_of_the_script(trial.schedule), "a function that a schedule names"),
            checkpoint_seconds=self.checkpoint_seconds,
        )

    def _definition(self, task: LoadedTask) -> TaskDefinition:
        for known, definition in self._known:
            if known is task:
                return definition
        self._known.append((task, definition_of(task)))
        return self._known[-1][1]


def _of_the_script(schedule: Schedule) -> dict[str, Any]:
    """The functions that a schedule names as ``__main__:name``, which only the script finds."""
    script = vars(sys.modules["__main__"])
    named = re.findall(r"__main__:(\w+)", json.dumps(schedule.to_dict()))
    return {name: script[name] for name in named if name in script}
