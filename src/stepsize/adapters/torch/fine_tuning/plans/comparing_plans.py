"""The steps of a comparison of plans: what they are about, runs, ranking, test set, worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, final

from stepsize.adapters.torch.fine_tuning.layers.param_groups import need_all_held, regroup
from stepsize.adapters.torch.fine_tuning.layers.task_groups import groups_in
from stepsize.adapters.torch.fine_tuning.plans.plan_trial import PlanTrial
from stepsize.adapters.torch.fine_tuning.plans.scratch import begin_from_scratch
from stepsize.adapters.torch.fine_tuning.plans.stored_transfer import transfer_result_of
from stepsize.adapters.torch.fine_tuning.plans.train_plan import train_plan
from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.prospect import Prospect, prospect
from stepsize.adapters.torch.reading_test_set import ChosenRuns
from stepsize.adapters.torch.setting import describe_recipe
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import (
    CompareOptions,
    Plan,
    PlannedArm,
    Watcher,
    conduct,
    environment,
    result_of,
)
from stepsize.errors import InputError
from stepsize.fine_tuning import LayerGroups
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.transfer_result import NO_SCRATCH, TransferResult
from stepsize.store import Store
from stepsize.tasks import LoadedTask, Task


@final
@dataclass
class ComparingPlans:
    """One comparison of plans while it is made.

    Attributes:
        task: is trained.
        untrained: the same with fresh weights, where the user gave it.
        options: how plans are compared.
        recipe: how an update is made.
        store: where runs are kept.
        watcher: is told what happens.
        given: the model's layer groups, where the user gave them.
        dispensable: the name of the plan from scratch that nobody asked for by name: where it
            cannot be made it is left out, and a note says why. Empty where there is none.
    """

    task: LoadedTask
    untrained: LoadedTask | None
    options: CompareOptions
    recipe: Recipe
    store: Store
    watcher: Watcher
    given: LayerGroups | None = None
    dispensable: str = ""

    def compared(
        self, plans: Sequence[TransferPlan], settings: Mapping[str, Any]
    ) -> TransferResult:
        """Lay the plans out, make the runs, rank them, read the test set once."""
        plans, notes = self._possible(plans)
        trials = [self._trial(plan, seed) for seed in self.options.seeds for plan in plans]
        plan = self._plan(trials, plans, settings, notes)
        key = plan.key(trials)
        ids = [self.store.add_run(trial.key, trial.definition()) for trial in trials]
        pairs = [(run_id, trial.arm) for run_id, trial in zip(ids, trials, strict=True)]
        number = self.store.add_comparison(key, plan.name or plan.task, plan.to_dict(), pairs)
        self.watcher.entered(self.store, number)
        conduct(
            trials,
            self.store,
            partial(train_plan, recipe=self.recipe),
            environment=environment(),
            watcher=self.watcher,
        )
        sources = [trial.source for trial in trials]
        runs = ChosenRuns(self.store, number, key, trials, ids, sources, self.recipe)
        result = runs.tested() if self.options.test else result_of(self.store, number)
        self.store.finish_comparison(number, result.to_dict())
        return replace(transfer_result_of(self.store, number), comparison=result)

    # -- what is known before any run ---------------------------------------------------------

    @cached_property
    def _looked_at(self) -> Prospect:
        found = prospect(self.task, self.recipe)
        self.options.need_metric(found.metrics)
        return found

    @cached_property
    def _made(self) -> Task:
        """An instance of the task, to be looked at."""
        return made_task(self._looked_at.loaded, self.options.seeds[0], "fine-tuned")

    @cached_property
    def groups(self) -> LayerGroups:
        """The layer groups of the model; that the optimizer can be given theirs is checked."""
        found = self.given or groups_in(self._looked_at.loaded, self._made)
        _check(self._made, found)
        return found

    def _possible(
        self, plans: Sequence[TransferPlan]
    ) -> tuple[Sequence[TransferPlan], tuple[str, ...]]:
        """The plans without the dispensable one if it cannot be made, and why."""
        others = [plan for plan in plans if plan.name != self.dispensable]
        self.groups  # noqa: B018 - what is wrong with the task itself is an error for all plans
        if len(others) in (0, len(plans)):
            return plans, ()
        try:
            self._scratch  # noqa: B018
        except InputError as error:
            return others, (f"{NO_SCRATCH} {error}",)
        return plans, ()

    @cached_property
    def _scratch(self) -> Prospect:
        """What is trained from scratch; checked before anything is trained."""
        if self.untrained is None:
            self.groups  # noqa: B018 - they are looked for in the weights as they were made
            begin_from_scratch(self._made, self.options.seeds[0])
            return self._looked_at
        found, first = prospect(self.untrained, self.recipe), self._looked_at
        if found.updates_per_epoch != first.updates_per_epoch:
            raise InputError(
                f"{found.loaded.name} makes {found.updates_per_epoch} updates an epoch and "
                f"{first.loaded.name} {first.updates_per_epoch}: the budgets would differ."
            )
        _check(made_task(found.loaded, self.options.seeds[0], "trained"), self.groups)
        return found

    def _trial(self, plan: TransferPlan, seed: int) -> PlanTrial:
        from_scratch = plan.start == "scratch"
        looked_at = self._scratch if from_scratch else self._looked_at
        return PlanTrial(
            arm=plan.name,
            task=looked_at.loaded,
            plan=plan,
            groups=self.groups if plan.groups is None else self.groups.merged(plan.groups),
            seed=seed,
            epochs=self.options.epochs,
            updates_per_epoch=looked_at.updates_per_epoch,
            recipe=describe_recipe(self.recipe),
            source=looked_at.source,
            reset=from_scratch and self.untrained is None,
        )

    def _plan(
        self,
        trials: Sequence[PlanTrial],
        plans: Sequence[TransferPlan],
        settings: Mapping[str, Any],
        notes: tuple[str, ...],
    ) -> Plan:
        """What is asked; raises where a plan has no room in the epochs."""
        options = self.options
        texts = {trial.arm: trial.text for trial in trials}
        return Plan(
            task=self.task.name,
            epochs=options.epochs,
            updates=trials[0].updates,
            seeds=options.seeds,
            arms=tuple(PlannedArm(plan.name, texts[plan.name]) for plan in plans),
            metric=options.metric,
            higher=bool(options.higher),
            at=options.at,
            interval=options.interval,
            name=options.name,
            notes=notes,
            settings={
                **settings,
                "recipe": describe_recipe(self.recipe),
                "transfer": {
                    "plans": [plan.to_dict() for plan in plans],
                    "groups": self.groups.to_dict(),
                },
            },
        )


def _check(made: Task, groups: LayerGroups) -> None:
    """Raise unless a task's optimizer can be given ``groups``, and then trains all of them."""
    need_all_held(made.optimizer, made.model)
    regroup(made.optimizer, made.model, groups)
