"""``recommend``: spend the budget, whatever drives the trainings, and answer."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from stepsize.errors import InputError
from stepsize.records import Cost, Recommendation
from stepsize.schedules import Schedule
from stepsize.tuner.alternatives import alternatives, interval
from stepsize.tuner.contest import Rival, rivals
from stepsize.tuner.decision import Decision, decide
from stepsize.tuner.entries import cooled, level_and_decay
from stepsize.tuner.forecast import Expected, expected_loss, sensitivity
from stepsize.tuner.learned import abstention
from stepsize.tuner.options import TuneOptions
from stepsize.tuner.plan import RacePlan, least_budget
from stepsize.tuner.race import BudgetSpent, Race
from stepsize.tuner.rates import RateScale
from stepsize.tuner.search import search
from stepsize.tuner.trainer import ArmTrainer


def recommend(
    trainer: ArmTrainer,
    options: TuneOptions = TuneOptions(),  # noqa: B008  (frozen)
    *,
    task: str,
    family: str = "other",
    settings: Mapping[str, Any] | None = None,
) -> Recommendation:
    """Recommend a peak rate and a schedule for a whole training of ``trainer``'s length.

    Args:
        trainer: trains arms.
        options: the budget, and how to search.
        task: a name for the record.
        family: of the optimizer: ``"sgd"``, ``"momentum"``, ``"adam"`` or ``"other"``.
        settings: further choices for the record.

    Returns:
        The recommendation or the abstention. Ctrl-C ends the search, and what is known by then is
        the answer (``interrupted`` is set).

    Raises:
        InputError: a budget that pays for nothing.
    """
    began = time.monotonic()
    plan = _plan(trainer, options)
    scale = RateScale.of(family, options.around)
    race = Race(trainer, plan, scale, options.seed, options.on_reading)
    interrupted = False
    others: tuple[Rival, ...] = ()
    try:
        race.begin()
        search(race)
        others = rivals(race, options.optimizers)
    except BudgetSpent:
        pass
    except KeyboardInterrupt:
        interrupted = True
    answer = _answer(race, others, interrupted)
    return Recommendation(
        task=task,
        epochs=trainer.updates // trainer.updates_per_epoch,
        updates=trainer.updates,
        cost=Cost(trainer.spent, trainer.evaluations * trainer.evaluation_updates, trainer.updates),
        start_loss=race.seen.start if math.isfinite(race.seen.start) else None,
        interrupted=interrupted,
        settings={
            **options.to_dict(),
            "optimizer_family": family,
            "rungs": list(plan.rungs),
            **(settings or {}),
        },
        seconds=time.monotonic() - began,
        **answer,
    )


def _plan(trainer: ArmTrainer, options: TuneOptions) -> RacePlan:
    """The rungs, or why there are none."""
    evaluation, others = trainer.evaluation_updates, len(options.optimizers)
    plan = RacePlan.of(trainer.updates, options.budget, evaluation, others)
    if not plan.rungs:
        least = least_budget(trainer.updates, evaluation, others)
        raise InputError(
            f"A training of {trainer.updates} updates is too short to tell rates apart in a part "
            "of it. Train for more epochs."
            if least is None
            else f"A budget of {options.budget:g} trainings of {trainer.updates} updates is too "
            f"small to tell rates apart. Give a budget of at least {least:g}, or train for more "
            "epochs."
        )
    return plan


class _Chosen(NamedTuple):
    """The schedule that won, its peak, whose it is and what it is expected to reach."""

    schedule: Schedule
    lr: float
    optimizer: str
    expected: Expected | None
    reason: str


def _answer(race: Race, others: tuple[Rival, ...], interrupted: bool) -> dict[str, Any]:
    """The fields of the recommendation that depend on what was seen."""
    seen = race.seen
    last_rung = len(race.plan.rungs) - 1
    decision = decide(seen, last_rung)
    none = abstention(seen, decision, interrupted)
    if decision is None or none is not None:
        verdict, reason = none or ("diverged", "")
        return {"verdict": verdict, "reason": reason, "evidence": race.arms(frozenset())}
    chosen = _chosen(race, decision, others)
    notes = []
    if decision.rung < last_rung:
        notes.append(
            f"The budget or the time was spent after {decision.rung + 1} of {last_rung + 1} rungs: "
            "the answer is rougher than usual."
        )
    own = not chosen.optimizer
    return {
        "verdict": "ok",
        "reason": chosen.reason,
        "lr": chosen.lr,
        "interval": interval(chosen.lr, 0.25 * (last_rung - decision.rung)),
        "schedule": str(chosen.schedule),
        "optimizer": chosen.optimizer,
        "expected": {} if chosen.expected is None else {"val_loss": _plain(chosen.expected)},
        "sensitivity": sensitivity(seen, decision),
        "evidence": race.arms(frozenset(step for step, at in seen.level if at == decision.rung)),
        "alternatives": alternatives(race.scale.lr(decision.step)) if own else (),
        "notes": tuple(notes),
    }


def _chosen(race: Race, decision: Decision, others: tuple[Rival, ...]) -> _Chosen:
    lr = race.scale.lr(decision.step)
    expected = expected_loss(race.seen, decision)
    rungs = race.plan.rungs
    better = [rival for rival in others if rival.wins]
    if better:
        rival = min(better, key=lambda each: each.loss)
        shift = rival.loss - rival.against
        moved = expected and Expected(
            expected.mean + shift, (expected.ci95[0] + shift, expected.ci95[1] + shift)
        )
        return _Chosen(rival.schedule, rival.lr, rival.optimizer, moved, rival.reason)
    if decision.stop_at is not None:
        done, length = rungs[decision.stop_at], race.plan.cool_down(decision.stop_at)
        schedule = cooled(lr, race.plan.updates, done, length)
        return _Chosen(schedule, lr, "", expected, _early_reason(race, decision, done + length))
    return _Chosen(level_and_decay(lr), lr, "", expected, _reason(race, decision))


def _reason(race: Race, decision: Decision) -> str:
    """Why this rate."""
    losses = race.seen.at(decision.rung)
    best = min(losses, key=lambda step: (losses[step], step))
    share = race.plan.rungs[decision.rung] / race.plan.updates
    arm = race.scale.lr(decision.arm)
    said = f"Of {len({step for step, _ in race.seen.level})} rates, {arm:g} "
    if best == decision.arm:
        said += f"had the lowest validation loss after {100 * share:.0f} % of the training."
    else:
        said += (
            f"was about as good as the best ({race.scale.lr(best):g}) after {100 * share:.0f} % of "
            "the training; of such, the lowest is taken, because too high costs more than too low."
        )
    if race.scale.lr(decision.step) != arm:
        said += " The answer lies between it and its neighbours, where a parabola is lowest."
    return said


def _early_reason(race: Race, decision: Decision, updates: int) -> str:
    share = updates / race.plan.updates
    return (
        f"After {updates} updates ({100 * share:.0f} % of the training) with its decay, this rate "
        "was as good as after twice as many: longer training does not help the validation loss. "
        "The schedule decays there and holds zero; training can stop there too."
    )


def _plain(expected: Expected) -> dict[str, Any]:
    return {"mean": expected.mean, "ci95": list(expected.ci95)}
