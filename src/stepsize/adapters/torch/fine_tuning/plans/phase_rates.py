"""The rates of a phase, decided when it begins: given, found, measured or raced for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, final

from stepsize.adapters.torch.fine_tuning.measuring.find_rates import find_common, find_rates
from stepsize.adapters.torch.fine_tuning.plans.phase_start import LivingTask, Material
from stepsize.adapters.torch.fine_tuning.plans.plan_trial import PlanTrial
from stepsize.adapters.torch.tune_task import tune
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import InputError
from stepsize.fine_tuning import LayerGroups
from stepsize.fine_tuning.ceiling import ceiling
from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.layer_reading import LEAST
from stepsize.fine_tuning.layer_tests import LayerRangeTests
from stepsize.fine_tuning.raced import raced_peak
from stepsize.fine_tuning.thin import thin, thin_recommendation, thin_tests
from stepsize.fine_tuning.timeline import Stretch
from stepsize.records import FindResult, Recommendation

#: Curves on which no fall is seen; where they rise after that, they still say what is too high.
_LEVEL = ("flat", "too_noisy")


class _Peak(NamedTuple):
    """A peak, and where it comes from."""

    value: float
    said: str
    find: FindResult | None = None
    recommendation: Recommendation | None = None


@final
class PhaseSearch:
    """What is known when the rates of a phase are decided; nothing is trained by deciding.

    Args:
        trial: the run.
        living: its task; the layer groups that the phase will train are trainable.
        material: what the phase is trained on.
        stretch: the phase in its place.
        before: what was decided for the phase before; None for the first.
        recipe: how an update is made.
    """

    def __init__(
        self,
        trial: PlanTrial,
        living: LivingTask,
        material: Material,
        stretch: Stretch,
        before: PhaseDecision | None,
        recipe: Recipe,
    ) -> None:
        self._trial, self._living, self._material = trial, living, material
        self._stretch, self._before, self._recipe = stretch, before, recipe
        self._phase = stretch.phase
        self._count = max(stretch.trainable)

    def decided(self) -> PhaseDecision:
        """The rates, with the tests that were made for them.

        Raises:
            InputError: no rate was found and there is none to fall back on.
            KeyboardInterrupt: also where a race was cut short by it.
        """
        began = time.monotonic()
        stretch, per_epoch = self._stretch, self._trial.updates_per_epoch
        tests = self._measured() if self._phase.ratios == "measured" else None
        ratios = self._ratios(tests)
        self._living.set_ratios(ratios)
        peak = self._peak(ratios, tests)
        schedule = self._phase.resolved(peak.value, stretch.epochs * per_epoch, per_epoch)
        return PhaseDecision(
            phase=self._phase.name,
            first_epoch=stretch.first_epoch,
            epochs=stretch.epochs,
            trainable=stretch.trainable,
            peak=peak.value,
            ratios=ratios,
            schedule=str(schedule),
            lr_from=self._said(peak, tests),
            find=None if peak.find is None else thin(peak.find),
            layer_tests=None if tests is None else thin_tests(tests),
            recommendation=(
                None if peak.recommendation is None else thin_recommendation(peak.recommendation)
            ),
            precomputed=self._material.facts,
            search_updates=_spent(peak, tests),
            search_seconds=time.monotonic() - began,
        )

    # -- ratios -------------------------------------------------------------------------------

    def _measured(self) -> LayerRangeTests:
        self._living.set_ratios((1.0,) * len(self._trial.groups))
        return find_rates(*self._what(), self._trained_groups(), **self._how())

    def _ratios(self, tests: LayerRangeTests | None) -> tuple[float, ...]:
        """One for each layer group; the largest of those that the phase trains is 1."""
        groups = len(self._trial.groups)
        if tests is not None and tests.rates is not None:
            return (1.0,) * (groups - self._count) + tests.rates.ratios
        fixed = self._phase.fixed_ratios(groups)
        if fixed is None or self._phase.ratios == "equal":
            return self._living.own_ratios(self._count)
        return _normalised(fixed, self._count)

    # -- the peak -----------------------------------------------------------------------------

    def _peak(self, ratios: tuple[float, ...], tests: LayerRangeTests | None) -> _Peak:
        wanted: Any = self._phase.lr
        if wanted == "previous":
            before = self._before
            assert before is not None  # the plan was checked
            return _Peak(before.peak, f"the peak of {before.phase!r}")
        if wanted == "find" and tests is not None and tests.rates is not None:
            return _Peak(tests.rates.peak, f"range tests of the layer groups ({_n(tests)})")
        if wanted == "find":
            return self._found(ratios)
        return self._raced() if wanted == "tune" else _Peak(float(wanted), "given")

    def _found(self, ratios: tuple[float, ...]) -> _Peak:
        """By a range test, the same kind for every plan, those from scratch included."""
        own = ratios[-self._count :]
        found = find_common(*self._what(), self._trained_groups(), ratios=own, **self._how())
        if found.lr is not None:
            return _Peak(found.lr, f"a range test ({_n(found)})", found)
        limit = ceiling(found.curve)
        if limit is not None and found.verdict in _LEVEL:
            harm = f"a tenth of {limit:.2g}, above which all layer groups together do harm"
            return _Peak(
                LEAST * limit, f"{harm}, for the range test abstained ({found.verdict})", found
            )
        return self._otherwise("the range test", found.verdict, found.reason)._replace(find=found)

    def _raced(self) -> _Peak:
        answer = tune(
            self._living.copied(self._stretch, self._count),
            self._stretch.epochs,
            self._phase.budget,
            seed=self._trial.seed,
            recipe=self._recipe,
            engine="serial",
        )
        if answer.interrupted:
            raise KeyboardInterrupt
        if answer.lr is not None:
            per_epoch = self._trial.updates_per_epoch
            updates = self._stretch.epochs * per_epoch
            schedule = self._phase.resolved(answer.lr, updates, per_epoch)
            peak, carried = raced_peak(schedule, answer)
            spent = f"{_cost(answer):,} updates"
            said = f"a race on the validation set ({spent}): {carried}"
            return _Peak(peak, said, None, answer)
        fallen_back = self._otherwise("the race", answer.verdict, answer.reason)
        return fallen_back._replace(recommendation=answer)

    def _otherwise(self, what: str, verdict: str, reason: str) -> _Peak:
        """The peak where nothing was found."""
        before, share, own = self._before, self._phase.otherwise, self._living.own_peak
        because = f"for {what} abstained ({verdict})"
        if before is not None:
            value = share * before.peak
            return _Peak(value, f"{share:g} times the peak of {before.phase!r}, {because}")
        if own > 0.0:
            return _Peak(own, f"the optimizer's own rate, {because}")
        raise InputError(
            f"No rate for the phase {self._phase.name!r} of the plan {self._trial.plan.name!r}: "
            f"{what} abstained ({verdict}): {reason} The optimizer's own rate is 0. Give the "
            "phase a number: lr=0.01."
        )

    def _said(self, peak: _Peak, tests: LayerRangeTests | None) -> str:
        """Where the peak and the ratios come from."""
        own = self._living.has_own_ratios
        if tests is None:
            whose = "the optimizer's own" if self._phase.ratios == "equal" else "the plan's"
            return f"{peak.said}; ratios between layer groups: {whose}" if own else peak.said
        if tests.rates is None:
            words = "as the optimizer has them" if own else "equal"
            return f"{peak.said}; {words} for all layer groups, whose range tests gave no rate"
        ratios = f"range tests of the layer groups ({_n(tests)})"
        return ratios if peak.said == ratios else f"{peak.said}; ratios by {ratios}"

    def _what(self) -> tuple[Any, Any, Any, Any]:
        task = self._material.task
        return task.model, task.optimizer, task.loss, task.train

    def _trained_groups(self) -> LayerGroups:
        groups = self._trial.groups
        return LayerGroups(groups.groups[-self._count :], groups.order)

    def _how(self) -> dict[str, Any]:
        recipe, own = self._recipe, self._living.task.loss
        return {
            "also": () if self._material.task.loss is own else (own,),  # inside of what is called
            "accumulate": recipe.accumulate,
            "autocast": recipe.autocast,
            "scaler": recipe.scaler,
            "clip_norm": recipe.clip_norm,
            "clip_value": recipe.clip_value,
            "seed": self._trial.seed,
            "task": f"{self._trial.task.name}, {self._phase.name}",
        }


def _normalised(ratios: Sequence[float], count: int) -> tuple[float, ...]:
    """The largest of the last ``count`` is 1, and none of the others is larger."""
    top = max(ratios[-count:])
    return tuple(min(1.0, ratio / top) for ratio in ratios)


def _n(tests: FindResult | LayerRangeTests) -> str:
    return f"{tests.updates:,} updates"


def _cost(answer: Recommendation) -> int:
    return round(answer.cost.updates + answer.cost.evaluation_updates)


def _spent(peak: _Peak, tests: LayerRangeTests | None) -> int:
    """Updates, evaluations counted as what they cost in updates."""
    spent = 0 if tests is None else tests.updates
    spent += 0 if peak.find is None else peak.find.updates
    return spent + (0 if peak.recommendation is None else _cost(peak.recommendation))
