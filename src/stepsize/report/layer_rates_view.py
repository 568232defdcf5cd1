"""What the picture of measured layer rates shows, decided once for the PNG and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from stepsize.report.axes import Tick, drawable, loss_range, rate_ticks
from stepsize.report.find_view import FindView
from stepsize.report.find_view import view_of as find_view_of
from stepsize.report.wording import (
    count_text,
    interval_texts,
    plain_text,
    rate_text,
    seconds_text,
)

if TYPE_CHECKING:
    from stepsize.fine_tuning import GroupTest, LayerRangeTests

#: How much lower each group's rate is than its later neighbour's by the usual advice.
FOLK = (3.0, 10.0)
#: Decades around all marks, and the least that the axis spans.
_MARGIN = 0.35
_LEAST_DECADES = 2.0
#: The folk band may widen the axis by so many decades.
_MOST_FOLK = 1.0
#: An interval may widen the axis by so many decades.
_MOST_INTERVAL = 1.0

Ends = tuple[float, float]
#: ``(rate, height)`` of a line; None where it has no height.
Curve = tuple[tuple[float, float | None], ...]


@final
@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer group.

    Attributes:
        name: of the group.
        informative: whether its own test says which rate it wants.
        curve: ``(rate, height)`` of its range test's smoothed loss; heights are from 0 at the foot
            of the row to 1 at its top, the same scale in every row; None where there is no place.
        read: what its own test says, with its interval; None where it says nothing.
        rate: the suggested rate; None without one.
        interval: of the suggested rate, or None.
        ceiling: the highest rate that does no harm, or None.
        folk: where the usual advice would put it if the head had the highest of the suggested
            rates: 10 to 3 times lower for each group on the way; None for the head, and where
            there is nothing to start from.
        value: the suggested rate as text, or a dash.
        ends: its interval as text, or where it comes from without one; empty without a rate.
        said: what its test says in words.
    """

    name: str
    informative: bool
    curve: Curve
    read: tuple[float, Ends | None] | None
    rate: float | None
    interval: Ends | None
    ceiling: float | None
    folk: Ends | None
    value: str
    ends: str
    said: str


@final
@dataclass(frozen=True, slots=True)
class LayerRatesView:
    """:class:`~stepsize.fine_tuning.LayerRangeTests` with every drawing decision made.

    Attributes:
        title: the answer in a sentence.
        said: what else there is to say of it, in sentences.
        rows: the groups, the one nearest the input first.
        ends: of the logarithmic axis of rates.
        ticks: its numbers.
        common: the largest group's rate as the range test of all groups at once reads it, or
            None. It need not agree with the suggested ones: that test limits them at most.
        brackets: first and last row of each run of groups that cannot be told apart.
        cost: updates and time.
    """

    title: str
    said: tuple[str, ...]
    rows: tuple[LayerRow, ...]
    ends: Ends
    ticks: tuple[Tick, ...]
    common: float | None
    brackets: tuple[tuple[int, int], ...]
    cost: str

    def place(self, rate: float) -> float:
        """Where ``rate`` lies on the axis: 0 is its left end, 1 its right end."""
        low, high = map(math.log, self.ends)
        return (math.log(rate) - low) / (high - low)

    def inside(self, ends: Ends) -> Ends | None:
        """The part of an interval that is on the axis, as places; None if all of it is off."""
        low, high = (self.place(end) for end in ends)
        return (max(low, 0.0), min(high, 1.0)) if low < 1 and high > 0 else None

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """The kinds of marks that occur, and what they are."""
        rows = self.rows
        shown = {
            "rate": any(row.rate is not None and row.informative for row in rows),
            "pooled": any(row.rate is not None and not row.informative for row in rows),
            "read": any(row.read is not None for row in rows),
            "ceiling": any(row.ceiling is not None for row in rows),
            "folk": any(row.folk is not None and self.inside(row.folk) for row in rows),
            "common": self.common is not None,
            "bracket": bool(self.brackets),
            "curve": any(row.curve for row in rows),
        }
        return tuple((kind, _LEGEND[kind]) for kind, seen in shown.items() if seen)


_LEGEND = {
    "rate": "suggested rate, 95 % interval",
    "pooled": "from the others and its ceiling",
    "read": "what the group's own test says",
    "ceiling": "highest rate that does no harm",
    "folk": f"usual advice: {FOLK[0]:g} to {FOLK[1]:g} times lower per group",
    "common": "what a test of all groups at once says",
    "bracket": "cannot be told apart",
    "curve": "loss of the group's range test",
}


def view_of(tests: LayerRangeTests) -> LayerRatesView:
    """Decide how ``tests`` are drawn."""
    views = [None if test.find is None else find_view_of(test.find) for test in tests.tests]
    ends = _ends(tests)
    span = _losses(tests.tests, views)
    rates = (None,) * len(tests.tests) if tests.rates is None else tests.rates.rates
    rows = tuple(
        _row(i, tests, rate, _curve(view, ends, span))
        for i, (rate, view) in enumerate(zip(rates, views, strict=True))
    )
    common = None if tests.common is None else tests.common.lr
    return LayerRatesView(
        title=headline(tests),
        said=tuple(_sentences(tests)),
        rows=rows,
        ends=ends,
        ticks=rate_ticks(*ends),
        common=common if common is not None and ends[0] <= common <= ends[1] else None,
        brackets=tuple(_brackets(tests)),
        cost=_cost(tests),
    )


def headline(tests: LayerRangeTests) -> str:
    """What was measured, in one sentence without a full stop."""
    informative = sum(test.informative for test in tests.tests)
    if tests.rates is None or not informative:
        return "No rate per layer group: no group's range test carries information"
    if len(tests.names) == 1:
        return f"The only layer group wants the rate {rate_text(tests.rates.rates[0])}"
    if tests.factor is None:
        return f"Rates for {len(tests.names)} layer groups, {informative} of them measured"
    mean, ends = tests.factor
    said, low, high = interval_texts(mean, ends)
    between = f"{said} (95 % interval {low} to {high})"
    if ends[0] <= 1 <= ends[1]:
        return f"No clear factor between neighbouring layer groups: {between}"
    if ends[0] > 1:
        return f"Each layer group wants a rate lower than the next one's by a factor of {between}"
    factor, low, high = interval_texts(1 / mean, (1 / ends[1], 1 / ends[0]))
    return (
        "Earlier layer groups want higher rates: by a factor of "
        f"{factor} from group to group (95 % interval {low} to {high})"
    )


def _sentences(tests: LayerRangeTests) -> Iterator[str]:
    silent = [test.name for test in tests.tests if not test.informative]
    if silent and len(silent) < len(tests.tests):
        yield f"No information in the test of {_names(silent)}: only a ceiling, if any."
    for run in tests.told_apart:
        if len(run) == len(tests.names) > 1:
            yield "No two neighbouring groups can be told apart."
        elif len(run) > 1:
            yield f"{_names(run)} cannot be told apart."
    yield from (plain_text(note) for note in tests.notes)


def _names(names: Sequence[str], most: int = 4) -> str:
    """Names in a sentence; of many the first and the last."""
    plain = [plain_text(name) for name in names]
    if len(plain) > most:
        return f"{plain[0]} to {plain[-1]} ({len(plain)} groups)"
    return " and ".join(filter(None, (", ".join(plain[:-1]), plain[-1])))


def _cost(tests: LayerRangeTests) -> str:
    time = f" in {seconds_text(tests.seconds)}" if tests.seconds > 0 else ""
    return f"The range tests took {count_text(tests.updates)} updates{time}"


def _row(number: int, tests: LayerRangeTests, rate: float | None, curve: Curve) -> LayerRow:
    test, interval = tests.tests[number], tests.intervals[number]
    own = None if test.find is None else test.find.lr
    value, low, high = "–", "", ""
    if rate is not None:
        value, low, high = interval_texts(rate, interval or (rate, rate))
    return LayerRow(
        name=plain_text(test.name),
        informative=test.informative,
        curve=curve,
        read=(own, test.find.interval) if test.find and own and test.informative else None,
        rate=rate or None,
        interval=interval,
        ceiling=test.ceiling,
        folk=_folk(tests, number),
        value=value,
        ends=f"{low} to {high}" if interval else _origin(tests, number),
        said=plain_text(test.said),
    )


def _origin(tests: LayerRangeTests, number: int) -> str:
    """Where the rate of a group comes from whose own test says nothing."""
    rate = None if tests.rates is None else tests.rates.rates[number]
    if rate is None or tests.rates is None or tests.tests[number].informative:
        return ""
    pairs = zip(tests.rates.rates, tests.tests, strict=True)
    others = [other for other, test in pairs if test.informative]
    ceiling = tests.tests[number].ceiling
    if ceiling is not None and rate < ceiling and others and rate < min(others):
        return "below its ceiling"
    return "from the others"


def _folk(tests: LayerRangeTests, number: int) -> Ends | None:
    """Where the usual advice puts the group if the head has the highest rate."""
    below = len(tests.names) - 1 - number
    if tests.rates is None or not below:
        return None
    head = math.log10(tests.rates.peak)
    low, high = (head - below * math.log10(factor) for factor in reversed(FOLK))
    return 10.0 ** max(low, -300.0), 10.0 ** max(high, -300.0)


def _ends(tests: LayerRangeTests) -> Ends:
    """The axis: all marks with a margin; intervals and the folk band only if they are near."""
    marks: list[float | None] = [test.ceiling for test in tests.tests]
    finds = [test.find for test in tests.tests if test.find is not None]
    marks += [find.lr for find in finds]
    marks += [] if tests.rates is None else tests.rates.rates
    marks += [] if tests.common is None else [tests.common.lr]
    known = _logs(marks) or _logs(rate for find in finds for rate in find.curve.lr)
    if not known:
        return (1e-6, 1.0)
    low, high = min(known), max(known)
    intervals = _logs(end for ends in tests.intervals if ends is not None for end in ends)
    near = [end for end in intervals if low - _MOST_INTERVAL <= end <= high + _MOST_INTERVAL]
    folk = [min(_logs(ends)) for i in range(len(tests.names)) if (ends := _folk(tests, i))]
    low, high = min([low, *near]), max([high, *near])
    low = max(min([low, *folk]), low - _MOST_FOLK)
    missing = max(0.0, _LEAST_DECADES - 2 * _MARGIN - (high - low)) / 2
    return 10.0 ** (low - _MARGIN - missing), 10.0 ** (high + _MARGIN + missing)


def _logs(rates: Iterable[float | None]) -> list[float]:
    return [math.log10(rate) for rate in rates if rate is not None and 0 < rate < math.inf]


def _losses(tests: Sequence[GroupTest], views: Sequence[FindView | None]) -> Ends:
    """The part of the loss that every row shows: that of the tests that say something."""
    every = [view for view in views if view is not None]
    telling = [view for test, view in zip(tests, views, strict=True) if view and test.informative]
    ranges = [
        loss_range(
            [math.inf if value is None else value for value in view.line],
            [math.inf if value is None else value for value in view.losses],
        )
        for view in telling or every
        if any(value is not None and drawable(value) for value in view.line)
    ]
    if not ranges:
        return (0.0, 1.0)
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _curve(view: FindView | None, ends: Ends, span: Ends) -> Curve:
    """The smoothed loss on the axis: heights as shares of the row, far outside is just outside."""
    if view is None:
        return ()
    low, high = span
    return tuple(
        (rate, None if loss is None else min(max((loss - low) / (high - low), -0.5), 1.5))
        for rate, loss in zip(view.rates, view.line, strict=True)
        if ends[0] <= rate <= ends[1]
    )


def _brackets(tests: LayerRangeTests) -> Iterator[tuple[int, int]]:
    for run in tests.told_apart:
        if len(run) > 1:
            yield tests.names.index(run[0]), tests.names.index(run[-1])
