"""The steps of a comparison, one after the other: rates, runs, ranking, test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, final

from stepsize.adapters.torch.engine.run_engine import RunEngine
from stepsize.adapters.torch.find_task import find, loaded_task
from stepsize.adapters.torch.prospect import Prospect, prospect
from stepsize.adapters.torch.reading_test_set import ChosenRuns
from stepsize.adapters.torch.setting import describe_recipe
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import (
    FOUND_NAMES,
    Arm,
    CompareOptions,
    Plan,
    PlannedArm,
    Trial,
    Watcher,
    best_factor,
    result_of,
    scaled,
)
from stepsize.errors import InputError
from stepsize.records import Comparison, FindResult
from stepsize.schedules import Schedule
from stepsize.store import Store
from stepsize.tasks import LoadedTask
from stepsize.tasks.explain import explained


class _Settled(NamedTuple):
    """An arm with its rates decided: its task, its schedule, and what the choice cost."""

    arm: Arm
    prospect: Prospect
    schedule: Schedule
    effort: int | None
    rates_from: str


@final
@dataclass
class Comparing:
    """One comparison while it is made.

    Attributes:
        task: the comparison's own task.
        options: how arms are compared.
        recipe: how an update is made.
        store: where runs are kept.
        engine: makes the runs.
        watcher: is told what happens.
    """

    task: LoadedTask
    options: CompareOptions
    recipe: Recipe
    store: Store
    engine: RunEngine
    watcher: Watcher
    _prospects: dict[Any, Prospect] = field(default_factory=dict)

    def compared(self, arms: Sequence[Arm], settings: Mapping[str, Any]) -> Comparison:
        """Settle the rates, make the runs, rank the arms, read the test set once."""
        settled = [self._settled(arm) for arm in arms]
        if self.options.rate_factors:
            settled = self._tuned(settled)
        trials = [self._trial(each, seed) for seed in self.options.seeds for each in settled]
        plan = self._plan(settled, settings)
        key = plan.key(trials)
        ids = [self.store.add_run(trial.key, trial.definition()) for trial in trials]
        arms_of_ids = [trial.arm for trial in trials]
        comparison = self.store.add_comparison(
            key, plan.name or plan.task, plan.to_dict(), list(zip(ids, arms_of_ids, strict=True))
        )
        self.watcher.entered(self.store, comparison)
        self.engine.make(trials)
        sources = [trial.source for trial in trials]
        runs = ChosenRuns(self.store, comparison, key, trials, ids, sources, self.recipe)
        result = runs.tested() if self.options.test else result_of(self.store, comparison)
        result = replace(result, notes=(*result.notes, *self.engine.notes))
        self.store.finish_comparison(comparison, result.to_dict())
        return result

    # -- rates --------------------------------------------------------------------------------

    def _settled(self, arm: Arm) -> _Settled:
        """The arm with its own text's rates, found ones put in."""
        looked_at = self._prospect(arm.task)
        effort: int | None = None
        rates_from, found = "given", {}
        if arm.uses:
            answer = self._find(looked_at)
            effort, rates_from = answer.updates, "find"
            found = _rates(answer, arm)
        per_epoch = looked_at.updates_per_epoch
        schedule = arm.resolved(
            self.options.epochs * per_epoch, per_epoch, found, self.options.any_length
        )
        return _Settled(arm, looked_at, schedule, effort, rates_from)

    def _prospect(self, task: Any) -> Prospect:
        """A look at the comparison's own task (None) or at an arm's."""
        if task in self._prospects:
            return self._prospects[task]
        loaded = self.task if task is None else loaded_task(task)
        looked_at = prospect(loaded, self.recipe)
        self.options.need_metric(looked_at.metrics)
        first = next(iter(self._prospects.values()), looked_at)
        if looked_at.updates_per_epoch != first.updates_per_epoch:
            raise InputError(
                f"{loaded.name} makes {looked_at.updates_per_epoch} updates an epoch and "
                f"{first.loaded.name} {first.updates_per_epoch}: the budgets would differ."
            )
        self._prospects[task] = looked_at
        return looked_at

    def _find(self, looked_at: Prospect) -> FindResult:
        """The range test of a task, kept in the store."""
        seed = self.options.seeds[0]
        recipe = describe_recipe(self.recipe)
        key = f"{looked_at.source} seed={seed} {recipe}"
        kept = self.store.kept("find", key)
        if kept is not None:
            return FindResult.from_dict(kept)
        self.watcher.finding(looked_at.loaded.name)
        with explained(looked_at.loaded, "in its range test"):
            answer = find(looked_at.loaded, recipe=self.recipe, seed=seed)
        self.store.keep("find", key, answer.to_dict())
        return answer

    def _tuned(self, settled: Sequence[_Settled]) -> list[_Settled]:
        """Each arm under the best of the rate factors, all tried with the tuning seeds."""
        options = self.options
        seeds = options.tuning_seeds or ()
        tries = {
            (i, factor): [
                self._trial(each._replace(schedule=scaled(each.schedule, factor)), seed)
                for seed in seeds
            ]
            for factor in options.rate_factors
            for i, each in enumerate(settled)
        }
        self.engine.make([trial for trials in tries.values() for trial in trials])
        judged = partial(
            best_factor, metric=options.metric, higher=bool(options.higher), at=options.at
        )
        tuned = []
        for i, each in enumerate(settled):
            runs = {
                factor: [self._run(trial) for trial in tries[i, factor]]
                for factor in options.rate_factors
            }
            factor = judged(runs)
            which = "none of them came to an end" if factor is None else f"x {factor:g}"
            spent = sum(run.done for tried in runs.values() for run in tried)
            tuned.append(
                each._replace(
                    schedule=scaled(each.schedule, factor or 1.0),
                    effort=(each.effort or 0) + spent,
                    rates_from=f"{each.rates_from}; of {len(runs)} factors {which}",
                )
            )
        return tuned

    # -- runs ---------------------------------------------------------------------------------

    def _trial(self, settled: _Settled, seed: int) -> Trial:
        return Trial(
            arm=settled.arm.name,
            task=settled.prospect.loaded,
            schedule=settled.schedule,
            seed=seed,
            epochs=self.options.epochs,
            updates_per_epoch=settled.prospect.updates_per_epoch,
            recipe=describe_recipe(self.recipe),
            source=settled.prospect.source,
        )

    def _run(self, trial: Trial) -> Any:
        run_id = self.store.add_run(trial.key, trial.definition())
        return self.store.read(run_id).as_run(trial.arm)

    def _plan(self, settled: Sequence[_Settled], settings: Mapping[str, Any]) -> Plan:
        options = self.options
        arms = tuple(
            PlannedArm(each.arm.name, str(each.schedule), each.effort, each.rates_from)
            for each in settled
        )
        return Plan(
            task=self.task.name,
            epochs=options.epochs,
            updates=options.epochs * settled[0].prospect.updates_per_epoch,
            seeds=options.seeds,
            arms=arms,
            metric=options.metric,
            higher=bool(options.higher),
            at=options.at,
            interval=options.interval,
            name=options.name,
            notes=tuple(_effort_notes(arms)),
            settings={
                **settings,
                "recipe": describe_recipe(self.recipe),
                "engine": str(self.engine.asked),
            },
        )


def _rates(answer: FindResult, arm: Arm) -> dict[str, float]:
    """The found rates by the names that arms use.

    Raises:
        InputError: the range test abstained.
    """
    if answer.lr is None or answer.clr is None:
        raise InputError(
            f"{arm.name} uses {', '.join(arm.uses)} of a range test, which abstained "
            f"({answer.verdict}): {answer.reason} Write the rate as a number instead."
        )
    values = (answer.lr, answer.clr.base_lr, answer.clr.max_lr)
    return dict(zip(FOUND_NAMES, values, strict=True))


def _effort_notes(arms: Sequence[PlannedArm]) -> list[str]:
    """Say so when rates were not chosen with equal effort."""
    efforts = {arm.effort for arm in arms}
    if len(efforts) == 1:
        return []
    given = [arm.arm for arm in arms if arm.effort is None]
    counted = sorted(effort for effort in efforts if effort is not None)
    parts = []
    if given:
        parts.append(f"those of {'; '.join(given)} were given (their effort is unknown)")
    if counted:
        others = "those of the others" if given else "they"
        parts.append(f"{others} were chosen with {' or '.join(f'{n:,}' for n in counted)} updates")
    return [f"Rates were not chosen with equal effort: {'; '.join(parts)}."]
