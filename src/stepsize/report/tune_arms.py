"""The arms of a race as they are drawn: their colours, and the valleys that they make."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import final

from stepsize.records import RaceArm, Recommendation
from stepsize.report.axes import drawable
from stepsize.report.compare_panels import Style
from stepsize.report.tune_words import arm_text

#: The scale of the rates from the lowest to the highest, on white and on dark: each gets lighter or
#: stays apart in hue, and none has the colour of the answer.
_LIGHT = ("#402a86", "#23649e", "#12917f", "#7a9a1c")
_DARK = ("#a08cff", "#5fb2f2", "#4fd3b4", "#cfe05a")
#: Lengths of dash and gap, in widths of the line, by what an arm was trained for.
_DASHES: dict[str, tuple[float, ...]] = {
    "cool_down": (4.0, 1.6),
    "schedule": (4.0, 1.6),
    "optimizer": (1.2, 1.4),
}
#: Arms of the race that are compared rung by rung, and as many rungs.
COMPARED = ("race", "optimizer")
_MOST_RUNGS = 8


@final
@dataclass(frozen=True, slots=True)
class ArmView:
    """One arm of the race.

    Attributes:
        number: its place among the evidence.
        name: its rate, and what else sets it apart.
        arm: what it is.
        style: its colours tell the rate, its dashes what it was trained for; it is strong while it
            was kept.
        points: ``(updates, loss)`` at the rungs; those without a place on an axis are left out.
        lost: the updates after which it had diverged; None if it did not.
        root: ``(updates, loss)`` where it left another arm of its rate, for a decay on trial; None
            for one that was trained from the start.
        winner: whether its rate is the nearest to the one that is recommended.
    """

    number: int
    name: str
    arm: RaceArm
    style: Style
    points: tuple[tuple[int, float], ...]
    lost: int | None
    root: tuple[int, float] | None
    winner: bool

    @property
    def line(self) -> tuple[tuple[int, float], ...]:
        """Its points, after the one where it left another arm."""
        return self.points if self.root is None else (self.root, *self.points)


@final
@dataclass(frozen=True, slots=True)
class Valley:
    """The loss over the rate at one rung, for one optimizer.

    Attributes:
        updates: of the rung.
        optimizer: empty for the task's own.
        points: ``(rate, loss, number of the first arm with this rate)``, by rate.
        depth: 0 for the first rung of the picture, 1 for the last.
    """

    updates: int
    optimizer: str
    points: tuple[tuple[float, float, int], ...]
    depth: float

    @property
    def lowest(self) -> tuple[float, float]:
        """The rate with the lowest loss, and that loss."""
        rate, loss, _ = min(self.points, key=lambda point: point[1])
        return rate, loss


def arms_of(recommendation: Recommendation) -> tuple[ArmView, ...]:
    """All arms, in the order in which they were begun."""
    evidence = recommendation.evidence
    rates = [arm.lr for arm in evidence if arm.lr > 0]
    ends = (min(rates, default=1.0), max(rates, default=1.0))
    winner = winner_of(recommendation)
    return tuple(
        _arm(number, arm, arm is winner, ends, recommendation)
        for number, arm in enumerate(evidence)
    )


def _arm(
    number: int,
    arm: RaceArm,
    winner: bool,
    ends: tuple[float, float],
    recommendation: Recommendation,
) -> ArmView:
    light, dark = colours(arm.lr, ends)
    known = [(one.updates, one.val_loss) for one in arm.readings if drawable(one.val_loss)]
    lost = None
    if arm.fate == "diverged":
        gone = [one.updates for one in arm.readings if not drawable(one.val_loss)]
        lost = max([*gone, arm.updates, *(updates for updates, _ in known)])
    root = _root(arm, recommendation)
    strong = (arm.fate == "kept" and root is None) or winner
    return ArmView(
        number,
        arm_text(arm, recommendation),
        arm,
        Style(light, dark, _DASHES.get(arm.stage, ()), strong),
        tuple((updates, loss) for updates, loss in known if updates > 0),
        lost,
        root,
        winner,
    )


def _root(arm: RaceArm, recommendation: Recommendation) -> tuple[int, float] | None:
    """Where an arm went on from another's updates instead of from none."""
    if arm.stage != "cool_down" or not arm.readings:
        return None
    left = arm.readings[0].updates - arm.updates
    for other in recommendation.evidence:
        same = (other.lr, other.optimizer, other.seed) == (arm.lr, arm.optimizer, arm.seed)
        for reading in other.readings:
            if same and other is not arm and reading.updates == left and drawable(reading.val_loss):
                return left, reading.val_loss
    return None


def valleys_of(arms: Sequence[ArmView]) -> tuple[Valley, ...]:
    """The rungs at which several rates were read, and the last of all."""
    read: dict[tuple[int, str], dict[float, list[tuple[float, int]]]] = {}
    for arm in arms:
        if arm.arm.stage in COMPARED and arm.arm.lr > 0:
            for updates, loss in arm.points:
                rates = read.setdefault((updates, arm.arm.optimizer), {})
                rates.setdefault(arm.arm.lr, []).append((loss, arm.number))
    rungs = sorted({updates for (updates, _), rates in read.items() if len(rates) > 1})
    rungs = rungs or sorted({updates for updates, _ in read})[-1:]
    if len(rungs) > _MOST_RUNGS:
        step = (len(rungs) - 1) / (_MOST_RUNGS - 1)
        rungs = [rungs[round(i * step)] for i in range(_MOST_RUNGS)]
    return tuple(
        Valley(
            rung,
            optimizer,
            tuple(
                (rate, mean(loss for loss, _ in seen), seen[0][1])
                for rate, seen in sorted(rates.items())
            ),
            i / (len(rungs) - 1) if len(rungs) > 1 else 1.0,
        )
        for i, rung in enumerate(rungs)
        for (updates, optimizer), rates in read.items()
        if updates == rung
    )


def winner_of(recommendation: Recommendation) -> RaceArm | None:
    """The arm that is nearest to the answer: its optimizer, its schedule, its rate, in that order.

    Of equals, the one that got farther and was lower; None for an abstention.
    """
    lr = recommendation.lr
    if lr is None:
        return None
    family = _kind(recommendation.schedule or "")

    def order(arm: RaceArm) -> tuple[bool, bool, float, int, float]:
        last = last_reading(arm)
        far = round(abs(math.log(arm.lr / lr)), 6) if arm.lr > 0 else math.inf
        return (_kind(arm.schedule) != family, arm.seed != seed, far, -last[0], last[1])

    mine = [
        arm
        for arm in recommendation.evidence
        if arm.optimizer == recommendation.optimizer and math.isfinite(last_reading(arm)[1])
    ]
    seed = min((arm.seed for arm in mine), default=0)
    return min(mine, key=order, default=None)


def last_reading(arm: RaceArm) -> tuple[int, float]:
    """Updates and loss of an arm's last reading; infinite where there is none."""
    if not arm.readings:
        return 0, math.inf
    last = arm.readings[-1]
    return last.updates, last.val_loss if drawable(last.val_loss) else math.inf


def colours(rate: float, ends: tuple[float, float]) -> tuple[str, str]:
    """The colour of a rate between the lowest and the highest, on white and on dark.

    >>> colours(0.1, (0.1, 10.0)), colours(10.0, (0.1, 10.0))[0]
    (('#402a86', '#a08cff'), '#7a9a1c')
    """
    share = share_of(rate, ends) if ends[1] > ends[0] else 0.5
    return _between(_LIGHT, share), _between(_DARK, share)


def _between(scale: Sequence[str], share: float) -> str:
    place = min(max(share, 0.0), 1.0) * (len(scale) - 1)
    first = min(int(place), len(scale) - 2)
    parts = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in scale[first : first + 2]]
    mixed = [round(a + (place - first) * (b - a)) for a, b in zip(*parts, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def share_of(value: float, ends: tuple[float, float]) -> float:
    """Where ``value`` lies on a logarithmic axis, from 0 at its left end to 1 at its right.

    >>> share_of(0.1, (0.01, 1.0)), share_of(0.0, (0.01, 1.0))
    (0.5, 0.0)
    """
    if value <= 0 or ends[0] <= 0 or ends[1] <= ends[0]:
        return 0.0
    return math.log(value / ends[0]) / math.log(ends[1] / ends[0])


def _kind(schedule: str) -> tuple[str, ...]:
    """What sort of schedule a text is: the kinds in it.

    >>> _kind("warmup(linear(0.17, steps=950), steps=50)")
    ('warmup', 'linear')
    """
    return tuple(re.findall(r"\w+(?=\()", schedule))
