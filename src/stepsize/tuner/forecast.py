"""What the end of the training is expected to bring, from the losses that were seen."""

from __future__ import annotations

import math
from typing import NamedTuple

from stepsize.tuner.decision import Decision
from stepsize.tuner.plan import COOL_DOWN
from stepsize.tuner.rates import HALF
from stepsize.tuner.seen import Seen

#: Every further doubling of the updates gains this share of what the one before has gained.
AGAIN = 0.6
#: The gain still to come is right give or take this many times itself, and the luck of seeds is
#: this share of the whole gain: 95 % bounds over the development workloads of benchmarks/regret.
FURTHER_ERROR, SEED_ERROR = 1.9, 0.03


class Expected(NamedTuple):
    """A loss with its interval.

    Attributes:
        mean: the loss expected at the end.
        ci95: where it lies in 95 of 100 trainings, other seeds included.
    """

    mean: float
    ci95: tuple[float, float]


def expected_loss(seen: Seen, decision: Decision) -> Expected | None:
    """The validation loss at the end of the recommended training; None if too little was seen.

    With ``a`` and ``b`` the best loss after a cool-down from the last rung and from the one
    before, ``d = max(b - a, 0)``, ``k`` the doublings that are left to the whole training and ``g``
    the gain since the start: ``a - f``, ``f = 0.6 (1 - 0.6^k) / (1 - 0.6) d``, give or take
    ``1.9 f + 0.03 g``. Where the recommendation is to stop early, the loss was measured: ``b``,
    give or take ``0.03 g``. A loss that was always above zero is taken for one
    that stays there, and is not expected below a fifth of the lowest seen.
    """
    now, before = (
        min(seen.decayed_at(rung).values(), default=math.inf)
        for rung in (decision.rung, decision.rung - 1)
    )
    if decision.stop_at is not None:
        before = seen.after_decay[decision.arm, decision.stop_at]
        return _around(before, SEED_ERROR * max(seen.start - before, 0.0), seen)
    if not math.isfinite(now) or not math.isfinite(before):
        return None
    done = (1.0 + COOL_DOWN) * seen.rungs[decision.rung]
    doublings = max(math.log2(seen.updates / done), 0.0)
    further = max(before - now, 0.0) * AGAIN * (1.0 - AGAIN**doublings) / (1.0 - AGAIN)
    mean = now - further
    return _around(mean, FURTHER_ERROR * further + SEED_ERROR * max(seen.start - mean, 0.0), seen)


def sensitivity(seen: Seen, decision: Decision) -> float | None:
    """How far rates three times lower and higher were behind, as a share of the gain, on average.

    Read at the last rung where the arm and both its neighbours were trained: a bound from above,
    for by the end of the training they will have caught up in part, often in most.
    """
    arm = decision.arm
    for rung in range(decision.rung, -1, -1):
        losses = seen.at(rung)
        sides = [losses.get(arm - HALF), losses.get(arm + HALF)]
        if arm in losses and None not in sides and seen.start > losses[arm]:
            gain = seen.start - losses[arm]
            worse = [min(1.0, max(0.0, (side or 0.0) - losses[arm]) / gain) for side in sides]
            return sum(worse) / 2
    return None


def _around(mean: float, half: float, seen: Seen) -> Expected:
    lowest = min([*seen.level.values(), *seen.after_decay.values()])
    if lowest <= 0.0:
        return Expected(mean, (mean - half, mean + half))
    likely = max(mean, lowest / 5.0)
    return Expected(likely, (max(mean - half, 0.0), likely + half))
