"""From the range tests of the layer groups to a rate for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from stepsize.fine_tuning.ceiling import ceiling
from stepsize.fine_tuning.discriminative import LayerRates
from stepsize.fine_tuning.layer_tests import Factor, GroupTest, Interval, LayerRangeTests
from stepsize.fine_tuning.shrinkage import Reading, Shrunk, shrunk
from stepsize.fine_tuning.told_apart import alike
from stepsize.records import FindResult
from stepsize.suggest.shape import shape_of

#: The common level is given to a group at most up to this many decades below its ceiling.
BELOW_CEILING = 0.3
#: A group informs if its loss falls by at least this share of the deepest fall of all groups.
LITTLE = 0.4
#: The largest rate is held between these shares of the rate at which all groups together do harm.
LEAST, MOST = 0.1, 1.0 / 3.0


class LayerReading(NamedTuple):
    """The groups' rates, each tested alone, drawn towards one another.

    Attributes:
        names: of the groups.
        values: log10 of each group's rate.
        errors: the standard error of each; None for a group that does not inform.
        apart: the runs of neighbours that cannot be told apart, as names.
        factor: between neighbours.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    errors: tuple[float | None, ...]
    apart: tuple[tuple[str, ...], ...]
    factor: Factor | None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Each rate as a share of the largest."""
        top = max(self.values)
        return tuple(10.0 ** (value - top) for value in self.values)

    @property
    def peak(self) -> float:
        """The largest rate, every group on its own."""
        return math.pow(10.0, max(self.values))

    def intervals(self, peak: float) -> tuple[Interval | None, ...]:
        """The 95 % intervals of the rates whose largest is ``peak``."""
        halves = [None if own is None else 1.96 * own for own in self.errors]
        return tuple(
            None if half is None else (peak * ratio * 10.0**-half, peak * ratio * 10.0**half)
            for ratio, half in zip(self.ratios, halves, strict=True)
        )


def layer_reading(tests: Sequence[GroupTest]) -> LayerReading | None:
    """Read the groups' rates together.

    What the readings share is believed more than what sets them apart, as far as their errors say
    (:func:`shrunk`): groups that cannot be told apart get nearly the same rate. The less a group's
    loss falls beside the deepest fall of all, the less its reading is believed: its error is
    divided by that share. A group that does not inform gets the common level, at most half of its
    own ceiling.

    Returns:
        None when no group informs.
    """
    readings = _weighed(tests)
    together = shrunk(readings)
    if together is None:
        return None
    values = [
        _capped(value, test) if reading is None else value
        for value, reading, test in zip(together.values, readings, tests, strict=True)
    ]
    # The spread is itself estimated from few groups: an interval narrower than a group's own would
    # hold in 86 to 92 % of cases instead of 95 %.
    errors = [
        None if reading is None else max(error, reading.error)
        for error, reading in zip(together.errors, readings, strict=True)
    ]
    names = tuple(test.name for test in tests)
    runs = tuple(tuple(names[i] for i in run) for run in alike(readings))
    return LayerReading(names, tuple(values), tuple(errors), runs, _factor(readings, together))


def judged(name: str, find: FindResult | None) -> GroupTest:
    """What the curve of one group says, in a sentence too; ``find`` is None if none was made."""
    if find is None:
        return GroupTest(name, None, False, said="nothing in it is trained")
    limit = ceiling(find.curve)
    highest = "no rate tried does harm" if limit is None else f"harm begins above {limit:.2g}"
    if find.lr is None:
        said = {
            "flat": f"the loss does not fall by more than its noise; {highest}",
            "too_noisy": f"too noisy to say at which rate the loss falls; {highest}",
            "still_falling": "the loss still falls at the highest rate tried",
        }.get(find.verdict, find.reason[0].lower() + find.reason[1:].rstrip("."))
        return GroupTest(name, find, False, limit, said)
    low, high = find.interval or (find.lr, find.lr)
    said = f"learns at {find.lr:.2g} ({low:.2g} to {high:.2g}); {highest}"
    return GroupTest(name, find, True, limit, said)


def compared(tests: Sequence[GroupTest]) -> tuple[GroupTest, ...]:
    """The tests, those that fall far less than the deepest one marked as not informative.

    All losses are those of the same batches, so the falls can be compared. A head that was just
    trained falls a little at a low rate, at which it settles, and says nothing of the rate it needs
    once the layers before it move.
    """
    drops = [_drop(test) if test.informative else 0.0 for test in tests]
    deepest = max(drops, default=0.0)
    return tuple(
        replace(test, informative=False, said=_little(test, drop / deepest))
        if test.informative and drop < LITTLE * deepest
        else test
        for test, drop in zip(tests, drops, strict=True)
    )


def suggested(
    tests: Sequence[GroupTest],
    reading: LayerReading | None,
    common: FindResult | None,
    updates: int,
) -> LayerRangeTests:
    """The tests with the rates that they come to.

    The rates are those of ``reading``, each group tested alone, held so that the largest lies
    between a tenth and a third of the rate at which all groups together, at these ratios, do
    harm. Above that they would overdo it together; below, the groups' tests may show how the model
    settles and not how it learns. (The fall of all groups together is no guide to the level: after
    a head's training it was an order of magnitude too low. See benchmarks/layer_rates.)
    """
    names = tuple(test.name for test in tests)
    if reading is None:
        note = "No layer group's test shows a rate, so none is suggested."
        return LayerRangeTests(names, tuple(tests), common, updates=updates, notes=(note,))
    limit = None if common is None else ceiling(common.curve)
    peak, notes = _held(reading.peak, limit)
    rates = tuple(peak * ratio for ratio in reading.ratios)
    return LayerRangeTests(
        names,
        tuple(tests),
        common,
        LayerRates(names, rates, "range tests of single groups"),
        reading.intervals(peak),
        reading.apart,
        reading.factor,
        updates,
        notes=notes,
    )


def _drop(test: GroupTest) -> float:
    shape = None if test.find is None else shape_of(test.find.curve)
    return 0.0 if shape is None else shape.drop


def _little(test: GroupTest, share: float) -> str:
    limit = "no rate tried does harm"
    if test.ceiling is not None:
        limit = f"harm begins above {test.ceiling:.2g}"
    return f"lowers the loss by only {share:.0%} of what another group can; {limit}"


def _held(peak: float, limit: float | None) -> tuple[float, tuple[str, ...]]:
    """The largest rate, held between shares of the rate at which all groups do harm; remarks."""
    if limit is None or LEAST * limit <= peak <= MOST * limit:
        return peak, ()
    if peak > MOST * limit:
        return MOST * limit, (
            f"All groups together do harm above {limit:.2g}, so their rates are "
            f"{peak / (MOST * limit):.1f} times lower than those of single groups.",
        )
    return LEAST * limit, (
        f"Single groups learn most at rates up to {peak:.2g}, and all together do no harm up to "
        f"{limit:.2g}: their tests may show how the model settles. The rates are raised "
        f"{LEAST * limit / peak:.1f} times.",
    )


def reading_of(test: GroupTest) -> Reading | None:
    """log10 of a group's own rate with its standard error; None where it does not inform."""
    if not test.informative or test.find is None or test.find.lr is None:
        return None
    low, high = test.find.interval or (test.find.lr, test.find.lr)
    error = math.log10(high / low) / (2.0 * 1.96)
    return Reading(math.log10(test.find.lr), max(error, 1e-3))


def _weighed(tests: Sequence[GroupTest]) -> list[Reading | None]:
    """The readings, less certain where the loss falls little."""
    readings = [reading_of(test) for test in tests]
    drops = [
        0.0 if reading is None else _drop(test)
        for reading, test in zip(readings, tests, strict=True)
    ]
    deepest = max(drops, default=0.0)
    return [
        None
        if reading is None
        else Reading(reading.value, reading.error * deepest / max(drop, 1e-3 * deepest))
        for reading, drop in zip(readings, drops, strict=True)
    ]


def _capped(value: float, test: GroupTest) -> float:
    if test.ceiling is None:
        return value
    return min(value, math.log10(test.ceiling) - BELOW_CEILING)


def _factor(readings: Sequence[Reading | None], together: Shrunk) -> Factor | None:
    """The slope of a weighted straight line through the readings, per group of depth."""
    known = [(i, reading) for i, reading in enumerate(readings) if reading is not None]
    if len(known) < 2:
        return None
    weights = [1.0 / (reading.error**2 + together.spread**2) for _, reading in known]
    total = math.fsum(weights)
    middle = math.fsum(w * i for w, (i, _) in zip(weights, known, strict=True)) / total
    scale = math.fsum(w * (i - middle) ** 2 for w, (i, _) in zip(weights, known, strict=True))
    rises = (w * (i - middle) * r.value for w, (i, r) in zip(weights, known, strict=True))
    slope = math.fsum(rises) / scale
    half = 1.96 / math.sqrt(scale)
    return Factor(10.0**slope, (10.0 ** (slope - half), 10.0 ** (slope + half)))
