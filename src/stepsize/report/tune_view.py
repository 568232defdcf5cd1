"""What the pictures of a recommendation show, decided once for the PNG, the SVG and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

from stepsize.records import Recommendation
from stepsize.report.axes import (
    Tick,
    drawable,
    even_ticks,
    loss_range,
    rate_range,
    rate_ticks,
)
from stepsize.report.compare_panels import focus
from stepsize.report.schedule_view import Axis
from stepsize.report.tune_arms import COMPARED, ArmView, Valley, arms_of, share_of, valleys_of
from stepsize.report.tune_words import ends_of, title
from stepsize.report.wording import count_text

#: Losses that fall by this factor are shown on a logarithmic axis.
_LOG_FACTOR = 10.0
#: Readings are cut, and the loss at the start is left out, only where they would widen the picture
#: by more than this factor.
_WIDEST, _WIDEST_FOR_START = 2.5, 1.6
_MARGIN = 0.05
#: Differences below this share of the loss itself are rounding, and smaller losses are 0 to the
#: arithmetic of axes.
_CONSTANT, _LEAST = 1e-9, 1e-100
#: What the lines and marks are; their colour is the rate's.
_LEGEND = {
    "winner": "nearest to the answer",
    "kept": "kept to the end",
    "slower": "left behind",
    "diverged": "diverged",
    "schedule": "another schedule",
    "trial": "a decay on trial",
    "optimizer": "another optimizer",
    "answer": "recommended rate, 80 % interval",
    "expected": "expected at the end, 95 % interval",
    "start": "before any update",
}
#: Numbers closer than this share of the axis of updates are not both written.
_TICK_GAP = 0.11


@final
@dataclass(frozen=True, slots=True)
class TuneView:
    """A :class:`~stepsize.records.Recommendation` with every drawing decision made.

    Attributes:
        title: the answer in words.
        arms: in the order in which they were begun.
        valleys: the loss over the rate, rung by rung, the last rung last.
        losses: the axis of the loss, for both pictures.
        span: the ends of the logarithmic axis of updates, and ``span_ticks`` its numbers.
        rates: the ends of the logarithmic axis of rates, and ``rate_ticks`` its numbers.
        lr, interval: the recommendation; None for an abstention.
        start: the loss before any update; None where it is not known or has no place.
        expected: the loss expected at the end and its interval's ends; None where not known.
        updates: of the whole training.
        tested: the range test's smoothed ``(rate, loss)`` between the ends of ``rates``.
        tested_range: the ends of its loss axis.
        cut: how many readings lie above the picture.
    """

    title: str
    arms: tuple[ArmView, ...]
    valleys: tuple[Valley, ...]
    losses: Axis
    span: tuple[float, float]
    span_ticks: tuple[Tick, ...]
    rates: tuple[float, float]
    rate_ticks: tuple[Tick, ...]
    lr: float | None
    interval: tuple[float, float] | None
    start: float | None
    expected: tuple[float, float, float] | None
    updates: int
    tested: tuple[tuple[float, float], ...]
    tested_range: tuple[float, float]
    cut: int

    @property
    def empty(self) -> bool:
        """Whether no arm has a loss to draw."""
        return not any(arm.points for arm in self.arms)

    def time(self, updates: float) -> float:
        """Where so many updates lie on their axis, from 0 at its left end to 1 at its right."""
        return share_of(updates, self.span)

    def place(self, rate: float) -> float:
        """Where ``rate`` lies on its axis, from 0 at its left end to 1 at its right."""
        return share_of(rate, self.rates)

    def height(self, loss: float) -> float:
        """Where ``loss`` lies on its axis, from 0 to 1; what lies above is put on its top."""
        return min(max(self.losses.place(loss), 0.0), 1.0)

    @property
    def rungs(self) -> tuple[tuple[int, float], ...]:
        """Of every rung of the valleys its updates and its lowest loss."""
        lowest: dict[int, float] = {}
        for valley in self.valleys:
            loss = valley.lowest[1]
            lowest[valley.updates] = min(loss, lowest.get(valley.updates, loss))
        return tuple(sorted(lowest.items()))

    @property
    def named(self) -> tuple[ArmView, ...]:
        """The arms that have their name beside their end: the winner, and what was kept."""
        return tuple(arm for arm in self.arms if arm.style.strong and arm.points)

    def beside(self, arm: ArmView) -> float:
        """Where along the axis of updates the name of ``arm`` has room: after its last trial."""
        mine = (arm.arm.lr, arm.arm.optimizer)
        trials = [one for one in self.arms if one.root and (one.arm.lr, one.arm.optimizer) == mine]
        return max(self.time(one.points[-1][0]) for one in (arm, *trials) if one.points)

    @property
    def lost(self) -> dict[int, tuple[ArmView, ...]]:
        """The arms that had diverged, by the updates after which that was seen."""
        times = sorted({arm.lost for arm in self.arms if arm.lost is not None})
        return {time: tuple(arm for arm in self.arms if arm.lost == time) for time in times}

    @property
    def starts(self) -> bool:
        """Whether the loss at the start is in the picture."""
        return self.start is not None and self.losses.low <= self.start <= self.losses.high

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """What is in the picture: a name for it, and what it is in words."""
        fates = {arm.arm.fate for arm in self.arms if arm.points or arm.lost}
        drawn = [arm for arm in self.arms if arm.points]
        there = {
            "winner": any(arm.winner for arm in self.arms),
            "kept": any(arm.style.strong and not arm.winner for arm in self.arms),
            "slower": "slower" in fates,
            "diverged": "diverged" in fates,
            "schedule": any(arm.arm.stage == "schedule" and not arm.root for arm in drawn),
            "trial": any(arm.root is not None for arm in drawn),
            "optimizer": any(arm.arm.stage == "optimizer" for arm in drawn),
            "answer": self.lr is not None,
            "expected": self.expected is not None,
            "start": self.starts,
        }
        return tuple((name, words) for name, words in _LEGEND.items() if there[name])


def view_of(recommendation: Recommendation) -> TuneView:
    """Decide how ``recommendation`` is drawn.

    >>> from stepsize.records import Cost, RaceArm, Reading
    >>> arms = (RaceArm("constant(0.1)", 0.1, readings=(Reading(9, 0.5, 0.5),), updates=9),)
    >>> some = Recommendation("digits", 1, 9, "flat", "", Cost(9, 0.0, 9), evidence=arms)
    >>> view_of(some).arms[0].points, view_of(some).valleys[0].lowest
    (((9, 0.5),), (0.1, 0.5))
    """
    arms = arms_of(recommendation)
    valleys = valleys_of(arms)
    start = recommendation.start_loss
    start = start if start is not None and drawable(start) else None
    expected = _expected(recommendation)
    losses = _loss_axis(arms, start, expected)
    span = _span(arms, recommendation.updates)
    rates = _rates(arms, recommendation)
    tested = _tested(recommendation, rates)
    return TuneView(
        title=title(recommendation),
        arms=arms,
        valleys=valleys,
        losses=losses,
        span=span,
        span_ticks=_span_ticks(arms, span, recommendation.updates),
        rates=rates,
        rate_ticks=rate_ticks(*rates, most=8),
        lr=recommendation.lr,
        interval=recommendation.interval,
        start=start,
        expected=expected,
        updates=recommendation.updates,
        tested=tested,
        tested_range=loss_range([loss for _, loss in tested], [loss for _, loss in tested]),
        cut=sum(loss > losses.high for arm in arms for _, loss in arm.points),
    )


def _expected(recommendation: Recommendation) -> tuple[float, float, float] | None:
    value = recommendation.expected.get("val_loss")
    if value is None or not isinstance(value.get("mean"), (int, float)):
        return None
    low, high = ends_of(value) or (value["mean"], value["mean"])
    numbers = (float(value["mean"]), low, high)
    return numbers if all(map(drawable, numbers)) else None


def _loss_axis(
    arms: Sequence[ArmView], start: float | None, expected: tuple[float, float, float] | None
) -> Axis:
    """From the lowest loss to the start; what lies far above the better half is cut."""
    drawn = [arm for arm in arms if arm.points]
    order = sorted(drawn, key=lambda arm: (-arm.points[-1][0], arm.points[-1][1]))
    core = [loss for arm in order[: max(2, -(-len(order) // 2))] for _, loss in arm.points]
    every = [loss for arm in drawn for _, loss in arm.points]
    if not core:
        return Axis(0.0, 1.0, False, ())
    core += expected or []
    every += expected or []
    log = min(every) > _LEAST and max(core) / min(core) >= _LOG_FACTOR
    scale = math.log if log else float
    placed = [scale(loss) for loss in every]
    low, high = focus([scale(loss) for loss in core], placed)
    low = min(placed)
    tops = [(max(placed), _WIDEST)]
    if start is not None and (start > _LEAST or not log):
        tops.append((scale(start), _WIDEST_FOR_START))
    for top, widest in tops:
        if high < top <= low + widest * (high - low):
            high = top
    low, high = _widened(low, high)
    if log:
        low, high = math.exp(low), math.exp(high)
        return Axis(low, high, True, rate_ticks(low, high))
    return Axis(low, high, False, even_ticks(low, high))


def _widened(low: float, high: float) -> tuple[float, float]:
    """With a margin; a constant gets any window around it."""
    size = max(abs(low), abs(high))
    if high - low <= max(_CONSTANT * size, _LEAST):
        span = 0.1 * size if size > _LEAST else 1.0
        return low - span / 2, high + span / 2
    margin = _MARGIN * (high - low)
    return low - margin, high + margin


def _span(arms: Sequence[ArmView], updates: int) -> tuple[float, float]:
    """The axis of updates: from before the first reading to the end of the training."""
    times = [time for arm in arms for time, _ in arm.points]
    times += [arm.lost for arm in arms if arm.lost]
    first = min(times, default=max(1, updates // 10))
    last = max([updates, *times])
    return first / 1.25, max(last, first + 1) * 1.02


def _span_ticks(
    arms: Sequence[ArmView], span: tuple[float, float], updates: int
) -> tuple[Tick, ...]:
    """The rungs and the end of the training, as many as have room; the last ones first."""
    raced = [arm for arm in arms if arm.arm.stage in COMPARED] or arms
    rungs = {time for arm in raced for time, _ in arm.points} | {max(updates, 1)}
    shown: list[int] = []
    for rung in sorted(rungs, reverse=True):
        if not shown or share_of(shown[-1], span) - share_of(rung, span) >= _TICK_GAP:
            shown.append(rung)
    return tuple(Tick(float(rung), count_text(rung)) for rung in reversed(shown))


def _rates(arms: Iterable[ArmView], recommendation: Recommendation) -> tuple[float, float]:
    rates = [arm.arm.lr for arm in arms if arm.arm.stage in COMPARED]
    inside = [rate for rate in (recommendation.lr,) if rate is not None]
    low, high = rate_range(rates, [*inside, *(recommendation.interval or ())])
    wider = (high / low) ** 0.02
    return low / wider, high * wider


def _tested(
    recommendation: Recommendation, ends: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    """The range test between the ends of the rates; nothing if that is hardly anything."""
    found = recommendation.find
    if found is None:
        return ()
    line = found.smoothed if any(map(drawable, found.smoothed)) else found.curve.loss
    points = tuple(
        (rate, loss)
        for rate, loss in zip(found.curve.lr, line, strict=False)
        if ends[0] <= rate <= ends[1] and drawable(loss)
    )
    return points if len(points) > 2 else ()
