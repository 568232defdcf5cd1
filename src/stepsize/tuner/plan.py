"""How a budget is spent: four rungs, each twice as long as the one before, and what they cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

#: Updates at each rung, in units of the first.
DOUBLINGS = (1, 2, 4, 8)
#: A cool-down that tries what an arm is worth takes this share of the updates before it.
COOL_DOWN = 0.25
#: The last rung is at most this share of the training: further on the schedule itself decays.
LAST_RUNG = 0.8
#: The warm-up's share of a training, and at most of the last rung.
WARM_UP, WARM_UP_SHARE = 0.05, 0.3
#: A first rung of fewer updates than this tells nothing apart.
LEAST_UPDATES = 3
#: What the race costs, in units of the first rung, and how many evaluations it makes.
RACE_UNITS, RACE_EVALUATIONS = 33.0, 17
#: The same for one other schedule, and for one other optimizer, each with its cool-down.
SCHEDULE_UNITS, SCHEDULE_EVALUATIONS = 10.0, 1
OPTIMIZER_UNITS, OPTIMIZER_EVALUATIONS = 10.0, 4
#: Other schedules are trained from this budget on.
SCHEDULES_FROM = 1.75


@final
@dataclass(frozen=True)
class RacePlan:
    """Where the rungs are.

    Attributes:
        updates: of one whole training.
        rungs: updates that an arm has made at each rung; none if the budget is too small.
        most: what the race may cost, in updates; evaluations count.
        schedules: whether other schedules are tried.
        reserved: what is kept of ``most`` for other schedules and optimizers.
    """

    updates: int
    rungs: tuple[int, ...]
    most: float
    schedules: bool = False
    reserved: float = 0.0

    @property
    def last(self) -> int:
        """The number of the last rung."""
        return len(self.rungs) - 1

    @property
    def warmup_steps(self) -> int | None:
        """The warm-up, where the usual one would take too much of the last rung; else None.

        An arm that is still warming up is not at the rate that it is judged for.
        """
        most = max(1, round(WARM_UP_SHARE * self.rungs[-1]))
        return most if most < round(WARM_UP * self.updates) else None

    @classmethod
    def of(
        cls, updates: int, budget: float, evaluation_updates: float, optimizers: int = 0
    ) -> RacePlan:
        """The rungs that a budget pays for.

        Args:
            updates: of one whole training.
            budget: in trainings.
            evaluation_updates: what an evaluation costs.
            optimizers: how many other optimizers are tried.

        >>> RacePlan.of(3200, 1.0, 0.0).rungs
        (96, 193, 387, 775)
        """
        most = budget * updates
        schedules = budget >= SCHEDULES_FROM
        first = _first_rung(most, evaluation_updates, optimizers, schedules)
        if first < LEAST_UPDATES:  # it may do for the race alone
            schedules = False
            first = _first_rung(most, evaluation_updates, optimizers, schedules)
        first = min(first, LAST_RUNG * updates / DOUBLINGS[-1])
        rungs = tuple(math.floor(first * n) for n in DOUBLINGS) if first >= LEAST_UPDATES else ()
        units, evaluations = _amounts(optimizers, schedules)
        reserved = (units - RACE_UNITS) * first
        reserved += (evaluations - RACE_EVALUATIONS) * evaluation_updates
        return cls(updates, rungs, most, schedules, reserved)

    def cool_down(self, rung: int) -> int:
        """Updates of the cool-down from a rung."""
        return max(1, round(COOL_DOWN * self.rungs[rung]))


def least_budget(updates: int, evaluation_updates: float, optimizers: int = 0) -> float | None:
    """The smallest budget that pays for a race, up to hundredths; None for too short a training.

    >>> least_budget(3200, 0.0), least_budget(29, 0.0)
    (0.04, None)
    """
    if LAST_RUNG * updates / DOUBLINGS[-1] < LEAST_UPDATES:
        return None
    units, evaluations = _amounts(optimizers, schedules=False)
    least = (units * LEAST_UPDATES + evaluations * evaluation_updates) / updates
    return math.ceil(100 * least + 1e-6) / 100


def _first_rung(most: float, evaluation_updates: float, optimizers: int, schedules: bool) -> float:
    units, evaluations = _amounts(optimizers, schedules)
    return (most - evaluations * evaluation_updates) / units


def _amounts(optimizers: int, schedules: bool) -> tuple[float, int]:
    """What everything costs, in units of the first rung, and how many evaluations are made."""
    return (
        RACE_UNITS + 2 * SCHEDULE_UNITS * schedules + OPTIMIZER_UNITS * optimizers,
        RACE_EVALUATIONS
        + 2 * SCHEDULE_EVALUATIONS * schedules
        + OPTIMIZER_EVALUATIONS * optimizers,
    )
