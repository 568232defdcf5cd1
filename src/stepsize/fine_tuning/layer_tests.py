"""Range tests of the layer groups, and the rate for each that was read out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

from stepsize.errors import require
from stepsize.fine_tuning.discriminative import LayerRates
from stepsize.records import FindResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Interval = tuple[float, float]


class Factor(NamedTuple):
    """The mean factor between neighbouring groups; above 1 where earlier groups are lower.

    Attributes:
        value: the factor.
        interval: its 95 % interval.
    """

    value: float
    interval: Interval


@final
@dataclass(frozen=True, slots=True)
class GroupTest:
    """The range test of one layer group, the others left alone.

    Attributes:
        name: of the group.
        find: its curve, and the rate read from it; None for a group that has nothing to train.
        informative: whether the loss fell by more than its noise, so that there is a rate to read.
        ceiling: the highest rate that does no harm; None where no rate did any.
        said: what this comes to, in one sentence.

    Raises:
        InputError: a group that informs without a rate.
    """

    name: str
    find: FindResult | None
    informative: bool
    ceiling: float | None = None
    said: str = ""

    def __post_init__(self) -> None:
        read = self.find is not None and self.find.lr is not None
        require(
            read or not self.informative,
            f"The test of {self.name!r} gave no rate, so it cannot be informative.",
        )

    def to_dict(self) -> dict[str, Any]:
        """The test as JSON data."""
        return {
            "name": self.name,
            "find": None if self.find is None else self.find.to_dict(),
            "informative": self.informative,
            "ceiling": self.ceiling,
            "said": self.said,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GroupTest:
        """The test that :meth:`to_dict` wrote."""
        find = data["find"]
        return cls(
            data["name"],
            None if find is None else FindResult.from_dict(find),
            data["informative"],
            data["ceiling"],
            data["said"],
        )


@final
@dataclass(frozen=True, slots=True)
class LayerRangeTests:
    """What the range tests of the layer groups say about a rate for each.

    Attributes:
        names: of the groups, the first nearest the input.
        tests: one per group.
        common: the test of all groups at once at the suggested ratios; its ``lr`` is the largest
            group's rate. None if it was not made.
        rates: the suggested rates; None when no test gave a rate.
        intervals: for each suggested rate its 95 % interval; None for a group that does not inform.
        told_apart: runs of two or more neighbours whose rates cannot be told apart.
        factor: the mean factor between neighbours; None with fewer than two groups that inform.
        updates: optimizer updates spent in all tests together.
        seconds: wall-clock time, left out of comparisons.
        notes: sentences a reader should know.

    Raises:
        InputError: another number of tests, rates or intervals than of names.

    >>> silent = GroupTest("head", None, False, said="nothing to train")
    >>> LayerRangeTests(("head",), (silent,)).rates is None
    True
    """

    names: tuple[str, ...]
    tests: tuple[GroupTest, ...]
    common: FindResult | None = None
    rates: LayerRates | None = None
    intervals: tuple[Interval | None, ...] = ()
    told_apart: tuple[tuple[str, ...], ...] = ()
    factor: Factor | None = None
    updates: int = 0
    seconds: float = field(default=0.0, compare=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(len(self.names) > 0, "Range tests of layer groups need at least one group.")
        if not self.intervals:
            object.__setattr__(self, "intervals", (None,) * len(self.names))
        for what, count in (
            ("tests", len(self.tests)),
            ("intervals", len(self.intervals)),
            ("rates", len(self.names if self.rates is None else self.rates.rates)),
        ):
            require(
                count == len(self.names),
                f"There are {len(self.names)} layer groups and {count} {what}.",
            )

    def __repr__(self) -> str:
        if self.rates is None:
            return f"LayerRangeTests(no rate; {self.updates} updates)"
        shown = ", ".join(
            f"{name} {rate:.2g}" for name, rate in zip(self.names, self.rates, strict=True)
        )
        return f"LayerRangeTests({shown}; {self.updates} updates)"

    def _repr_html_(self) -> str:
        from stepsize.report.layer_rates_svg import fragment

        return fragment(self)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the rates over depth beside the folk band; save it when ``path`` is given.

        Raises:
            MissingDependencyError: matplotlib is not installed (``pip install 'stepsize[plot]'``).
            OutputError: ``path`` cannot be written.
        """
        from stepsize.report.layer_rates_figure import draw

        return draw(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The tests as JSON data."""
        return {
            "names": list(self.names),
            "tests": [test.to_dict() for test in self.tests],
            "common": None if self.common is None else self.common.to_dict(),
            "rates": None if self.rates is None else self.rates.to_dict(),
            "intervals": [None if pair is None else list(pair) for pair in self.intervals],
            "told_apart": [list(run) for run in self.told_apart],
            "factor": None
            if self.factor is None
            else {"value": self.factor.value, "interval": list(self.factor.interval)},
            "updates": self.updates,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerRangeTests:
        """The tests that :meth:`to_dict` wrote."""
        common, rates, factor = data["common"], data["rates"], data["factor"]
        return cls(
            names=tuple(data["names"]),
            tests=tuple(map(GroupTest.from_dict, data["tests"])),
            common=None if common is None else FindResult.from_dict(common),
            rates=None if rates is None else LayerRates.from_dict(rates),
            intervals=tuple(None if pair is None else _pair(pair) for pair in data["intervals"]),
            told_apart=tuple(map(tuple, data["told_apart"])),
            factor=None
            if factor is None
            else Factor(float(factor["value"]), _pair(factor["interval"])),
            updates=int(data["updates"]),
            seconds=float(data["seconds"]),
            notes=tuple(data["notes"]),
        )


def _pair(values: Any) -> Interval:
    return float(values[0]), float(values[1])
