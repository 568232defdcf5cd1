"""From the losses of a race to a rate: how far down the valley, and whether to stop early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from stepsize.tuner.rates import HALF
from stepsize.tuner.seen import Seen

#: Arms whose loss is above the best by at most this share of what the best has gained count as
#: good; the lowest of them is taken, because a rate that is too high costs more than one too low.
AS_GOOD = 0.03
#: The same where the arms' rates have decayed, which takes most of the noise away.
AS_GOOD_DECAYED = 0.015
#: Validation gains nothing if it gains less than this share of what the training loss does, and
#: less than the second share of all that was gained since the start; the training loss gains
#: something if it gains more than that.
GENERALISES, NO_PROGRESS = 0.15, 0.01
#: Losses further than this share of the gain above the best do not bend the parabola more.
CAP = 0.3
#: What a difference between two arms shrinks to when the trainings are twice as long.
SHRINKS = 0.7
#: Steps down the scale per halving, when the race ended before its last rung.
DRIFT = 1.0


@final
@dataclass(frozen=True)
class Decision:
    """Which arm, and what becomes of it.

    Attributes:
        step: the recommended rate on the scale; between two arms.
        arm: the arm that it rests on.
        rung: the last rung that was read.
        by: what told the arms apart: ``"level"`` or ``"decayed"``, their losses before or after a
            cool-down.
        stop_at: the rung after which to decay at once, because longer trainings gain nothing;
            None to train to the end.
    """

    step: float
    arm: int
    rung: int
    by: str = "level"
    stop_at: int | None = None


def lowest_of_the_best(losses: Mapping[int, float], start: float, as_good: float = AS_GOOD) -> int:
    """The lowest rate whose loss is as good as the best, but for a share of the gain.

    >>> lowest_of_the_best({-2: 0.51, 0: 0.50, 2: 0.7}, start=1.0)
    -2
    """
    best = min(losses.values())
    start = start if math.isfinite(start) else best
    near = best + as_good * max(start - best, 0.0)
    return min(step for step, loss in losses.items() if loss <= near)


def decide(seen: Seen, last_rung: int) -> Decision | None:
    """The rate that the losses speak for; None if no rate is left below those that diverged.

    A rate that diverged, at whatever rung, rules out itself and all above it.
    """
    limit = lowest_diverged(seen)
    level = {
        place: loss
        for place, loss in seen.level.items()
        if place[0] < limit and math.isfinite(max(loss, seen.after_decay.get(place, loss)))
    }
    if not level:
        return None
    rung = max(at for _, at in level)
    losses = {step: loss for (step, at), loss in level.items() if at == rung}
    decayed = _after_decay(seen, rung, limit)
    by = "decayed" if len(decayed) > 1 else "level"
    if by == "decayed":
        arm = lowest_of_the_best(decayed, seen.start, AS_GOOD_DECAYED)
    else:
        arm = lowest_of_the_best(losses, seen.start)
    early = stops_early(seen, rung)
    if early is not None and early < limit:
        return Decision(float(early), early, rung, stop_at=rung - 1)
    cap = losses[arm] + CAP * (seen.start - losses[arm])
    step = min(_vertex(_valley(seen, arm, rung), arm, cap), limit - 1.0)
    return Decision(step - DRIFT * (last_rung - rung), arm, rung, by)


def lowest_diverged(seen: Seen) -> float:
    """The lowest step that diverged while no higher one lasted as long; infinite without any."""
    losses = [*seen.level.items(), *seen.after_decay.items()]
    ended = [place for place, loss in losses if not math.isfinite(loss)]
    lasted = [place for place, loss in losses if math.isfinite(loss)]
    real = (
        step
        for step, rung in ended
        if not any(higher > step and later >= rung for higher, later in lasted)
    )
    return min(real, default=math.inf)


def stops_early(seen: Seen, rung: int) -> int | None:
    """The arm for which twice the updates were of no use; None while longer trainings still gain.

    Its validation loss after the decay, and that of every arm at the rung, is no better than it was
    at half the updates, or so little that training longer only fits the training data better.
    Where the training loss stands still too, the network is on a plateau, and may leave it.
    """
    now, before = (_after_decay(seen, at, math.inf) for at in (rung, rung - 1))
    best_now = min([*now.values(), *seen.at(rung).values()], default=math.inf)
    for step, loss in before.items():
        if step in now:
            learned = seen.train[step, rung - 1].train_loss - seen.train[step, rung].train_loss
            least = NO_PROGRESS * (seen.start - loss)
            if learned > least and loss - best_now <= min(GENERALISES * learned, least):
                return step
    return None


def _after_decay(seen: Seen, rung: int, limit: float) -> dict[int, float]:
    """The finite losses after a cool-down from a rung, of rates below ``limit``."""
    return {
        step: loss
        for step, loss in seen.decayed_at(rung).items()
        if math.isfinite(loss) and step < limit
    }


def _valley(seen: Seen, arm: int, rung: int) -> dict[int, float]:
    """The losses of an arm and its two neighbours; guessed from a shorter rung where not seen."""
    losses = {step: loss for step, loss in seen.at(rung).items() if abs(step - arm) <= HALF}
    for step in (arm - HALF, arm + HALF):
        if step in losses:
            continue
        for shorter in range(rung - 1, -1, -1):
            earlier = seen.at(shorter)
            if step in earlier and math.isfinite(earlier.get(arm, math.inf)):
                further = max(0.0, earlier[step] - earlier[arm])
                losses[step] = losses[arm] + SHRINKS ** (rung - shorter) * further
                break
    return losses


def _vertex(losses: Mapping[int, float], arm: int, cap: float) -> float:
    """The lowest point of the parabola through three arms, at most half their distance away.

    >>> round(_vertex({-2: 2.0, 0: 1.0, 2: 1.5}, 0, cap=9.0), 3)
    0.333
    """
    if arm - HALF not in losses or arm + HALF not in losses:
        return float(arm)
    middle = losses[arm]
    low, high = (min(losses[step], cap) for step in (arm - HALF, arm + HALF))
    bend = low - 2.0 * middle + high
    if not 0.0 < bend < math.inf:
        return float(arm)
    return arm + max(-0.5, min(0.5, 0.5 * (low - high) / bend)) * HALF
