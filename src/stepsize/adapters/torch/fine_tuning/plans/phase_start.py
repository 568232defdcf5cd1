"""The living task of a plan's run: what every phase begins with, and what it trains on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, final

from stepsize.adapters.torch.fine_tuning.frozen.freezing import Freezing
from stepsize.adapters.torch.fine_tuning.frozen.precomputed import Refused, precompute
from stepsize.adapters.torch.fine_tuning.layers.param_groups import (
    LAYER_GROUP,
    ratios_in,
    regroup,
    set_ratios,
    write_rates,
)
from stepsize.adapters.torch.fine_tuning.layers.task_groups import forward_of
from stepsize.adapters.torch.fine_tuning.plans.plan_trial import PlanTrial
from stepsize.adapters.torch.fine_tuning.plans.scratch import begin_from_scratch
from stepsize.adapters.torch.group_rates import starting_rates
from stepsize.adapters.torch.trials.fresh_task import fresh_task
from stepsize.adapters.torch.trials.training_state import OwnStates
from stepsize.adapters.torch.update import Recipe
from stepsize.fine_tuning.timeline import Stretch
from stepsize.tasks import LoadedTask, Task


class Material(NamedTuple):
    """What a phase is trained on.

    Attributes:
        task: the run's own, or one on precomputed activations.
        facts: of those activations, or under ``"refused"`` why there are none; None where the
            plan does not ask for them.
    """

    task: Task
    facts: Mapping[str, Any] | None = None


@final
class LivingTask:
    """A freshly made task with its optimizer's groups those of the layers.

    Attributes:
        task: the user's objects; they stay the same through all phases.
        states: of what these objects keep, taken hold of before anything was trained.
        freezing: which layer groups are trained.
        own_peak: the largest rate that the user gave the optimizer.
    """

    def __init__(self, trial: PlanTrial, recipe: Recipe, folder: Path) -> None:
        self._trial, self._recipe, self._folder = trial, recipe, folder
        self.task = fresh_task(trial.task, trial.seed)
        if trial.reset:
            begin_from_scratch(self.task, trial.seed)
        self.states = OwnStates.of(self.task)
        self.own_peak = max(starting_rates(self.task.optimizer.param_groups))
        regroup(self.task.optimizer, self.task.model, trial.groups)
        self._own_rates = starting_rates(self._parameter_groups)
        self._own_ratios = ratios_in(self.task.optimizer, len(trial.groups))
        self.freezing = Freezing(self.task.model, trial.groups, forward_of(self.task))

    def train_last(self, stretch: Stretch, count: int) -> None:
        """Train the last ``count`` groups, the others frozen as the phase says."""
        self.freezing.train_last(count, stretch.phase.frozen)

    @property
    def _parameter_groups(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self.task.optimizer.param_groups
        return groups

    @property
    def has_own_ratios(self) -> bool:
        """Whether the user gave layer groups different rates."""
        return len(set(self._own_ratios)) > 1

    def own_ratios(self, count: int) -> tuple[float, ...]:
        """Those of the rates that the user gave; the largest of the last ``count`` groups' is 1."""
        first = len(self._own_ratios) - count
        held = {group[LAYER_GROUP] for group in self._parameter_groups}
        trained = [self._own_ratios[layer] for layer in held if layer >= first]
        top = max(trained, default=0.0) or 1.0
        return tuple(min(1.0, ratio / top) for ratio in self._own_ratios)

    def set_ratios(self, ratios: tuple[float, ...], peak: float | None = None) -> None:
        """Write the rates of all groups; without a peak they stand for their ratios alone.

        Where they are the user's own, so are the rates: not a bit of what lies between them
        changes, and a schedule keeps that.
        """
        if ratios == self._own_ratios and len(set(self._own_rates)) > 1:
            write_rates(self._parameter_groups, self._own_rates)
        else:
            set_ratios(self.task.optimizer, ratios, peak or self.own_peak or 1.0)

    def material(self, stretch: Stretch, count: int) -> Material:
        """What the phase is trained on, with the last ``count`` groups trained by now."""
        if not stretch.phase.precompute:
            return Material(self.task)
        try:
            made = precompute(
                self.task,
                self._trial.groups,
                count,
                folder=self._folder,
                seed=self._trial.seed,
                recipe=self._recipe,
            )
        except Refused as refused:
            return Material(self.task, {"refused": str(refused)})
        return Material(made.task, made.facts)

    def take(self) -> dict[str, Any]:
        """A copy of what the task's own objects keep: weights, buffers, attributes, the loader."""
        return {"objects": self.states.objects.take(), "loader": self.states.loader.take()}

    def put(self, state: dict[str, Any]) -> None:
        """Bring the task's own objects into what :meth:`take` gave."""
        self.states.objects.put(state["objects"])
        self.states.loader.put(state["loader"])

    def copied(self, stretch: Stretch, count: int) -> LoadedTask:
        """A task whose every instance is what the phase is trained on, as it stands now.

        The loader is that of a fresh task; the rates are whatever the optimizer's groups have.
        """
        trial, recipe, folder = self._trial, self._recipe, self._folder
        objects = self.states.objects.take()
        optimizer = copy.deepcopy(self.task.optimizer.state_dict())

        def make(seed: int) -> Task:
            other = LivingTask(trial, recipe, folder)
            other.states.objects.put(copy.deepcopy(objects))
            other.task.optimizer.load_state_dict(copy.deepcopy(optimizer))
            other.train_last(stretch, count)
            return other.material(stretch, count).task

        return LoadedTask(trial.task.name, make, trial.task.files, trial.task.imports)
