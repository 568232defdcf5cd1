"""One run of a transfer plan before it is made: everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

from stepsize.fine_tuning import LayerGroups
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.timeline import Timeline
from stepsize.tasks import LoadedTask


@final
@dataclass(frozen=True)
class PlanTrial:
    """A task to train by a plan from a seed, for a number of epochs.

    Attributes:
        arm: what the comparison calls it; not part of the definition.
        task: the task, loaded.
        plan: its phases; its name is not part of the definition.
        groups: the model's layer groups, joined as the plan wants them.
        seed: decides the initial weights and the order of the batches.
        epochs: passes through the training batches, of all phases together.
        updates_per_epoch: optimizer updates in a pass.
        recipe: how an update is made, as JSON data.
        source: a digest of the task's own code.
        reset: whether the weights that the task is made with are replaced by fresh ones.
    """

    arm: str
    task: LoadedTask = field(compare=False)
    plan: TransferPlan
    groups: LayerGroups
    seed: int
    epochs: int
    updates_per_epoch: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    reset: bool = False

    @property
    def updates(self) -> int:
        """The budget."""
        return self.epochs * self.updates_per_epoch

    @cached_property
    def timeline(self) -> Timeline:
        """The plan laid out over the run.

        Raises:
            InputError: there are too few epochs for it.
        """
        return self.plan.timeline(self.epochs, self.groups)

    @property
    def text(self) -> str:
        """The phases in one line, as tables show a schedule."""
        return "; ".join(
            f"{stretch.phase.name}: {stretch.epochs} epoch{'s' * (stretch.epochs > 1)} of "
            f"{stretch.phase.schedule}"
            for stretch in self.timeline.stretches
        )

    def definition(self) -> dict[str, Any]:
        """Everything that decides the run's numbers, as JSON data; names do not."""
        plan = self.plan.to_dict()
        return {
            "task": self.task.name,
            "source": self.source,
            "schedule": self.text,
            "plan": {name: plan[name] for name in ("phases", "groups", "start")},
            "reset": self.reset,
            "layer_groups": _digest([list(group.parameters) for group in self.groups]),
            "seed": self.seed,
            "epochs": self.epochs,
            "updates": self.updates,
            "updates_per_epoch": self.updates_per_epoch,
            "recipe": dict(self.recipe),
        }

    @cached_property
    def key(self) -> str:
        """A digest of the definition: equal runs have equal keys, on any machine."""
        return _digest(self.definition())


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
