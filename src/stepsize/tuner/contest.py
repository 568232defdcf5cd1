"""Other schedules and other optimizers against the winner of the race, over the same updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import final

from stepsize.schedules import Constant, Schedule, Warmup, parse
from stepsize.tuner.alternatives import PEAKS
from stepsize.tuner.decision import decide
from stepsize.tuner.entries import cooled, level_and_decay, warmed
from stepsize.tuner.options import OPTIMIZER_NAMES
from stepsize.tuner.parts import Part
from stepsize.tuner.race import Race
from stepsize.tuner.rates import three_digits
from stepsize.tuner.trainer import Entry

#: A rival wins only by more than this share of the gain: less is luck.
CLEARLY = 0.03
#: The rate at which another optimizer is tried: that of the strong single-run opponents of
#: benchmarks/regret.
OPTIMIZER_RATES = {"adamw": 0.01, "schedule_free": 0.01, "momo": 0.01}


@final
@dataclass(frozen=True)
class Rival:
    """Something else than the race's own winner, and what it was worth.

    Attributes:
        name: of the optimizer, or the kind of the schedule.
        schedule: for the whole training.
        lr: its peak.
        optimizer: its name, if it is not the task's own.
        loss, against: its validation loss, and the best that the race has seen after a cool-down.
        wins: whether it is clearly better.
        reason: in words.
    """

    name: str
    schedule: Schedule
    lr: float
    optimizer: str
    loss: float
    against: float
    wins: bool
    reason: str


@final
@dataclass(frozen=True)
class Contender:
    """A rival before it is trained.

    Attributes:
        name, schedule, lr, optimizer, reason: as those of the :class:`Rival`.
        parts: what is trained for it; the last one gives its loss.
        against: the best that the race has seen after a cool-down.
    """

    name: str
    schedule: Schedule
    lr: float
    optimizer: str
    reason: str
    parts: tuple[Part, ...]
    against: float

    def rival(self, race: Race) -> Rival | None:
        """What has become of it; None if it was not trained to the end."""
        loss = race.known(self.parts[-1])
        if loss is None:
            return None
        wins = loss < self.against - CLEARLY * (race.seen.start - self.against)
        return Rival(
            self.name,
            self.schedule,
            self.lr,
            self.optimizer,
            loss,
            self.against,
            wins,
            self.reason,
        )


def contenders(race: Race, optimizers: Sequence[str]) -> list[Contender]:
    """The other optimizers that were asked for, and other schedules if the budget is large.

    Each is trained over the updates of the last rung and its cool-down, decayed to zero by then,
    and compared with the best arm of the race after the same. There are none if the race has not
    come to its last rung.
    """
    last = race.plan.last
    decision = decide(race.seen, last)
    if decision is None or decision.rung < last:
        return []
    decayed = (race.seen.decayed_at(rung).values() for rung in (last - 1, last))
    against = min(chain.from_iterable(decayed), default=math.inf)
    found = [_optimizer(race, name, against) for name in optimizers]
    if race.plan.schedules and decision.stop_at is None:
        lr = race.scale.lr(decision.step)
        found += [_schedule(race, kind, lr, against) for kind in ("linear", "cosine")]
    return found


def _schedule(race: Race, kind: str, lr: float, against: float) -> Contender:
    """Another schedule of the task's own optimizer, squeezed into the updates of the last rung."""
    peak = three_digits(lr * PEAKS[kind])
    updates = _updates(race)
    warm_up = race.trunk(peak).warmup_steps  # as long as that of the arms it is compared with
    trial = parse(f"warmup({kind}({peak!r}), steps={warm_up})", steps=updates)
    part = Part(Entry(trial, peak, "", race.seed), updates, "schedule")
    reason = f"A {kind} decay was clearly better than a level with a decay at its end."
    return Contender(kind, warmed(kind, peak), peak, "", reason, (part,), against)


def _optimizer(race: Race, name: str, against: float) -> Contender:
    """Another optimizer at a rate that serves it well."""
    lr, last, updates = OPTIMIZER_RATES[name], race.plan.last, _updates(race)
    whole: Schedule
    parts: tuple[Part, ...]
    if name == "schedule_free":  # it averages instead of decaying
        whole = Warmup(Constant(lr), "5%")
        entry = Entry(whole.resolve(race.plan.updates), lr, name, race.seed)
        parts = (Part(entry, updates, "optimizer"),)
    else:
        whole = level_and_decay(lr, race.plan.warmup_steps)
        entry = Entry(race.trunk(lr), lr, name, race.seed)
        decayed = cooled(race.trunk(lr), race.plan.rungs[last], race.plan.cool_down(last))
        onto = Entry(decayed, lr, name, race.seed)
        level = Part(entry, race.plan.rungs[last], "optimizer")
        parts = (level, Part(onto, updates, "optimizer", fork_of=entry))
    reason = f"{OPTIMIZER_NAMES[name]} was clearly better than the task's own optimizer."
    return Contender(name, whole, lr, OPTIMIZER_NAMES[name], reason, parts, against)


def _updates(race: Race) -> int:
    return race.plan.rungs[race.plan.last] + race.plan.cool_down(race.plan.last)
