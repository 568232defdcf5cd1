"""``recommend``: spend the budget, whatever drives the trainings, and answer."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepsize.errors import InputError, StepsizeError
from stepsize.records import Cost, Recommendation
from stepsize.schedules import Schedule
from stepsize.tuner.alternatives import alternatives, interval
from stepsize.tuner.contest import Rival, contenders
from stepsize.tuner.decision import Decision, decide, lowest_diverged
from stepsize.tuner.entries import cooled, level_and_decay
from stepsize.tuner.forecast import Expected, expected_loss, sensitivity
from stepsize.tuner.learned import abstention
from stepsize.tuner.options import OPTIMIZER_NAMES, TuneOptions
from stepsize.tuner.plan import RacePlan, least_budget
from stepsize.tuner.race import BudgetSpent, Race
from stepsize.tuner.rates import HALF, RateScale
from stepsize.tuner.search import search
from stepsize.tuner.trainer import ArmTrainer


def recommend(
    trainer: ArmTrainer,
    options: TuneOptions = TuneOptions(),  # noqa: B008  (frozen)
    *,
    task: str,
    family: str = "other",
    notes: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Recommendation:
    """Recommend a peak rate and a schedule for a whole training of ``trainer``'s length.

    Args:
        trainer: trains arms.
        options: the budget, and how to search.
        task: a name for the record.
        family: of the optimizer: ``"sgd"``, ``"momentum"``, ``"adam"`` or ``"other"``.
        notes: remarks for the record.
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
    others: list[Rival] = []
    remarks = list(notes)
    interrupted = False
    try:
        race.begin()
        if math.isfinite(race.seen.start):
            _spend(race, options.optimizers, others, remarks)
    except KeyboardInterrupt:
        interrupted = True
    answer = _answer(race, others, interrupted)
    answer["notes"] = (*answer.get("notes", ()), *remarks)
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


def _spend(race: Race, optimizers: tuple[str, ...], others: list[Rival], notes: list[str]) -> None:
    """The race, then its rivals; each finished one is kept in ``others``, what failed in notes."""
    race.limit = race.plan.most - race.plan.reserved
    with contextlib.suppress(BudgetSpent):
        search(race)
    race.limit = race.plan.most
    field = contenders(race, optimizers)
    try:
        race.train([part for contender in field for part in contender.parts])
    except BudgetSpent:
        pass
    except StepsizeError as error:
        notes.append(f"Another optimizer could not be tried: {error}")
    finally:
        done = (contender.rival(race) for contender in field)
        others.extend(rival for rival in done if rival is not None)
    tried = {rival.name for rival in others}
    missing = [OPTIMIZER_NAMES[name] for name in optimizers if name not in tried]
    if missing:
        notes.append(f"Not tried: {', '.join(missing)}.")


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


def _answer(race: Race, others: Sequence[Rival], interrupted: bool) -> dict[str, Any]:
    """The fields of the recommendation that depend on what was seen."""
    seen = race.seen
    last_rung = race.plan.last
    decision = decide(seen, last_rung)
    none = abstention(seen, decision, interrupted)
    if decision is None or none is not None:
        verdict, reason = none or ("diverged", "")
        return {"verdict": verdict, "reason": reason, "evidence": race.arms(frozenset())}
    chosen = _chosen(race, decision, others)
    notes = []
    if decision.rung < last_rung:
        notes.append(
            f"The answer rests on rung {decision.rung + 1} of {last_rung + 1}, so it is rougher "
            "than usual and put lower: short trainings prefer rates that are too high."
        )
    if lowest_diverged(seen) <= decision.arm + HALF:
        notes.append("The next higher rate diverged: do not go above this one.")
    own = not chosen.optimizer
    further = 0.25 * (last_rung - decision.rung) + (0.0 if own else 0.5)
    kinds = {rival.name for rival in others}
    return {
        "verdict": "ok",
        "reason": chosen.reason,
        "lr": chosen.lr,
        "interval": interval(chosen.lr, further),
        "schedule": str(chosen.schedule),
        "optimizer": chosen.optimizer,
        "expected": {} if chosen.expected is None else {"val_loss": _plain(chosen.expected)},
        "sensitivity": sensitivity(seen, decision) if own else None,
        "evidence": race.arms(frozenset(step for step, at in seen.level if at == decision.rung)),
        "alternatives": alternatives(race.scale.lr(decision.step), kinds) if own else (),
        "notes": tuple(notes),
    }


def _chosen(race: Race, decision: Decision, others: Sequence[Rival]) -> _Chosen:
    lr = race.scale.lr(decision.step)
    expected = expected_loss(race.seen, decision)
    rungs = race.plan.rungs
    better = [rival for rival in others if rival.wins]
    if better:
        rival = min(better, key=lambda each: each.loss)
        if decision.stop_at is not None:  # what it reaches by the end is not known
            expected = None
        if expected is not None:
            shift = rival.loss - rival.against
            low, high = expected.ci95
            expected = Expected(expected.mean + shift, (low + shift, high + shift))
        return _Chosen(rival.schedule, rival.lr, rival.optimizer, expected, rival.reason)
    if decision.stop_at is not None:
        done, length = rungs[decision.stop_at], race.plan.cool_down(decision.stop_at)
        schedule = cooled(race.trunk(lr), done, length)
        return _Chosen(schedule, lr, "", expected, _early_reason(race, decision, done + length))
    schedule = level_and_decay(lr, race.plan.warmup_steps)
    return _Chosen(schedule, lr, "", expected, _reason(race, decision))


def _reason(race: Race, decision: Decision) -> str:
    """Why this rate."""
    seen, rung = race.seen, decision.rung
    losses = seen.at(rung)
    if decision.by == "decayed":
        losses = seen.decayed_at(rung)
    best = min(losses, key=lambda step: (losses[step], step))
    share = race.plan.rungs[rung] / race.plan.updates
    after = f"after {100 * share:.0f} % of the training"
    after += " and a decay" if decision.by == "decayed" else ""
    arm = race.scale.lr(decision.arm)
    said = f"Of {len({step for step, _ in seen.level})} rates, {arm:g} "
    if best == decision.arm:
        said += f"had the lowest validation loss {after}."
    else:
        said += (
            f"was about as good as the best ({race.scale.lr(best):g}) {after}; of such, the lowest "
            "is taken, because too high costs more than too low."
        )
    if decision.step != decision.arm and rung == race.plan.last:
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
