"""The race: a bracket of rates a decade apart, then half a decade, then ever longer trainings."""

from __future__ import annotations

import math

from stepsize.tuner.decision import lowest_of_the_best
from stepsize.tuner.race import Race
from stepsize.tuner.rates import HALF, PER_DECADE

#: Decades to each side of the centre in the first bracket, and how far it may grow.
FIRST_DECADES, MOST_DECADES = 2, 6


def search(race: Race) -> None:
    """Fill ``race.seen``, dearest question last.

    1. Rates a decade apart to the first rung; the bracket grows while its end is the best.
    2. The best, and half a decade and a decade below it, to the second rung: short trainings
       prefer rates that are too high, so the way goes down.
    3. The best and its neighbours half a decade to either side, to the third rung; a cool-down of
       the lowest of those that are as good as the best.
    4. That one to the last rung, with a cool-down, and then the one below it.

    Raises:
        BudgetSpent: it ran out on the way; what was seen is in ``race.seen``.
    """
    best = _bracket(race)
    _keep_near(race, best)
    best = _lowest(race, 1, best, best - HALF, best - 2 * HALF)
    best = _lowest(race, 2, best, best - HALF, best + HALF)
    race.train(
        [
            race.cool_down(best, 2),
            race.level(best, 3),
            race.cool_down(best, 3),
            race.level(best - HALF, 3),
        ]
    )
    low = _lowest(race, 3, best, best - HALF)
    race.decayed(low, 3)


def _bracket(race: Race) -> int:
    """The best of rates a decade apart."""
    first = range(-FIRST_DECADES * PER_DECADE, FIRST_DECADES * PER_DECADE + 1, PER_DECADE)
    race.losses(first, 0)
    while True:
        seen = race.seen.at(0)
        best = min(seen, key=lambda step: (seen[step], step))
        if abs(best) >= MOST_DECADES * PER_DECADE or not math.isfinite(seen[best]):
            step = min(seen) - PER_DECADE  # everything diverged, or far off
            if step < -MOST_DECADES * PER_DECADE or math.isfinite(seen[best]):
                return best
        elif best == max(seen):
            step = best + PER_DECADE
        elif best == min(seen):
            step = best - PER_DECADE
        else:
            return best
        race.loss(step, 0)


def _lowest(race: Race, rung: int, *steps: int) -> int:
    """Train these arms to a rung, forget those far off; the lowest of those as good as the best."""
    losses = race.losses(steps, rung)
    if rung == 1:  # half a decade is far when the trainings are this short
        best = min(losses, key=lambda step: (losses[step], step))
    else:
        best = lowest_of_the_best(losses, race.seen.start)
    _keep_near(race, best)
    return best


def _keep_near(race: Race, best: int) -> None:
    """Forget the states of arms that the race will not come back to."""
    for step in {step for step, _ in race.seen.level}:
        if not best - PER_DECADE <= step <= best + HALF:
            race.drop(step)
