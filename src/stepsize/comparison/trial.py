"""One run before it is made: everything that decides its numbers, and a name made from that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, final

from stepsize.schedules import Schedule
from stepsize.tasks import LoadedTask


class AnyTrial(Protocol):
    """A run before it is made, as far as those see who have it made and look on.

    What it is trained under is the business of those who make it: one schedule (:class:`Trial`),
    or a plan of several phases.
    """

    @property
    def arm(self) -> str:
        """What the comparison calls it."""
        ...

    @property
    def task(self) -> LoadedTask:
        """The task, loaded."""
        ...

    @property
    def seed(self) -> int:
        """Decides the initial weights and the order of the batches."""
        ...

    @property
    def epochs(self) -> int:
        """Passes through the training batches."""
        ...

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer updates in a pass."""
        ...

    @property
    def updates(self) -> int:
        """The budget."""
        ...

    @property
    def key(self) -> str:
        """A digest of the definition."""
        ...

    def definition(self) -> dict[str, Any]:
        """Everything that decides the run's numbers, as JSON data."""
        ...


@final
@dataclass(frozen=True)
class Trial:
    """A task to train under a schedule from a seed, for a number of epochs.

    Attributes:
        arm: what the comparison calls it; not part of the definition.
        task: the task, loaded.
        schedule: resolved to whole updates.
        seed: decides the initial weights and the order of the batches.
        epochs: passes through the training batches.
        updates_per_epoch: optimizer updates in a pass.
        recipe: how an update is made, as JSON data.
        source: a digest of the task's own code, so that a task that was edited is another one.
    """

    arm: str
    task: LoadedTask = field(compare=False)
    schedule: Schedule
    seed: int
    epochs: int
    updates_per_epoch: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def updates(self) -> int:
        """The budget."""
        return self.epochs * self.updates_per_epoch

    def definition(self) -> dict[str, Any]:
        """Everything that decides the run's numbers, as JSON data; the arm's name does not."""
        return {
            "task": self.task.name,
            "source": self.source,
            "schedule": str(self.schedule),
            "schedule_definition": self.schedule.to_dict(),
            "seed": self.seed,
            "epochs": self.epochs,
            "updates": self.updates,
            "updates_per_epoch": self.updates_per_epoch,
            "recipe": dict(self.recipe),
        }

    @cached_property
    def key(self) -> str:
        """A digest of the definition: equal runs have equal keys, on any machine."""
        text = json.dumps(self.definition(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:20]
