"""What the end of the training is expected to bring, from the losses that were seen."""

from __future__ import annotations

import math
from typing import NamedTuple

from stepsize.tuner.decision import Decision
from stepsize.tuner.rates import HALF
from stepsize.tuner.seen import Seen

#: The rest of a training gains this much more, in units of what doubling its length has just
#: gained, give or take the second; and the third as a share of the whole gain. Medians and 95 %
#: bounds over the development workloads of benchmarks/regret.
FURTHER, FURTHER_ERROR, SEED_ERROR = 0.9, 1.6, 0.03


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

    With ``a`` and ``b`` the best loss after a cool-down from the last rung and from the one before,
    ``d = max(b - a, 0)`` and ``g`` the gain since the start: ``a - 0.9 d``, give or take
    ``1.6 d + 0.03 g``. Where the recommendation is to stop early, the loss was measured: ``b``,
    give or take ``0.03 g``. A loss that was never negative is taken for one that cannot be.
    """
    now, before = (_best_decayed(seen, rung) for rung in (decision.rung, decision.rung - 1))
    if decision.stop_at is not None:
        before = seen.after_decay[decision.arm, decision.stop_at]
        return _around(before, SEED_ERROR * max(seen.start - before, 0.0), seen)
    if not math.isfinite(now) or not math.isfinite(before):
        return None
    step = max(before - now, 0.0)
    mean = now - FURTHER * step
    return _around(mean, FURTHER_ERROR * step + SEED_ERROR * max(seen.start - mean, 0.0), seen)


def _best_decayed(seen: Seen, rung: int) -> float:
    return min((loss for (_, at), loss in seen.after_decay.items() if at == rung), default=math.inf)


def sensitivity(seen: Seen, decision: Decision) -> float | None:
    """What a rate three times too low or too high costs, as a share of the gain, on average.

    Read at the last rung where the arm and both its neighbours were trained.
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
    never_negative = min([*seen.level.values(), *seen.after_decay.values()]) >= 0.0
    least = 0.0 if never_negative else -math.inf
    return Expected(max(mean, least), (max(mean - half, least), mean + half))
