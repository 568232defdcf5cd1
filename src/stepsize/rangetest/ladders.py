"""Ladders: the rates a range test climbs, as values.

A ladder is frozen, prints as its own constructor and knows how to go on above its last rate, which
is how a range test extends itself when the loss is still falling there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, final, runtime_checkable

from stepsize.errors import InputError, require

#: No training has use for a smaller rate, and its logarithms and steps stay numbers.
SMALLEST = 1e-30


class Rung(NamedTuple):
    """One rate of a ladder and the optimizer updates made at it."""

    lr: float
    updates: int


@runtime_checkable
class Ladder(Protocol):
    """What a range test climbs."""

    def rungs(self) -> tuple[Rung, ...]:
        """The rates in order, each with its number of updates."""
        ...

    def beyond(self, decades: float) -> Iterator[Rung]:
        """The rungs above the last one, spaced alike, up to ``decades`` further."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Geometric:
    r"""Rates with a constant ratio: ``lr_i = start (stop / start)^(i / (rates - 1))``.

    Both ends are exact. This is the ladder of fastai and of most finders (Smith 2015, section 3.3,
    uses a linear one).

    Raises:
        InputError: rates out of order or not positive, fewer than two rates, no updates.

    >>> [round(rung.lr, 6) for rung in Geometric(1e-3, 1.0, rates=4).rungs()]
    [0.001, 0.01, 0.1, 1.0]
    """

    start: float = 1e-6
    stop: float = 10.0
    rates: int = 100
    updates_per_rate: int = 1

    def __post_init__(self) -> None:
        _check_span("Geometric", self.start, self.stop, self.rates, self.updates_per_rate)

    @property
    def _log_step(self) -> float:
        return math.log(self.stop / self.start) / (self.rates - 1)

    def rungs(self) -> tuple[Rung, ...]:
        """The rates in order."""
        inner = (self.start * math.exp(i * self._log_step) for i in range(1, self.rates - 1))
        return tuple(Rung(lr, self.updates_per_rate) for lr in (self.start, *inner, self.stop))

    def beyond(self, decades: float) -> Iterator[Rung]:
        """The same ratio, above ``stop``."""
        for i in range(1, _count(decades * math.log(10.0) / self._log_step) + 1):
            yield Rung(self.stop * math.exp(i * self._log_step), self.updates_per_rate)


@final
@dataclass(frozen=True, slots=True)
class Linear:
    """Rates with a constant difference, both ends exact (Smith 2015, section 3.3).

    Raises:
        InputError: rates out of order or not positive, fewer than two rates, no updates.

    >>> [rung.lr for rung in Linear(0.25, 1.0, rates=4).rungs()]
    [0.25, 0.5, 0.75, 1.0]
    """

    start: float
    stop: float
    rates: int = 100
    updates_per_rate: int = 1

    def __post_init__(self) -> None:
        _check_span("Linear", self.start, self.stop, self.rates, self.updates_per_rate)

    @property
    def _step(self) -> float:
        return (self.stop - self.start) / (self.rates - 1)

    def rungs(self) -> tuple[Rung, ...]:
        """The rates in order."""
        inner = (self.start + i * self._step for i in range(1, self.rates - 1))
        return tuple(Rung(lr, self.updates_per_rate) for lr in (self.start, *inner, self.stop))

    def beyond(self, decades: float) -> Iterator[Rung]:
        """The same difference above ``stop``, for at most as many rates again."""
        for i in range(1, self.rates + 1):
            lr = self.stop + i * self._step
            if lr > self.stop * 10.0**decades:
                return
            yield Rung(lr, self.updates_per_rate)


class Segment(NamedTuple):
    """One row of a coarse-to-fine table: ``start, start + step, ... stop``, both ends included."""

    start: float
    step: float
    updates_per_rate: int
    stop: float


@final
@dataclass(frozen=True, slots=True)
class Segments:
    """A coarse-to-fine table of ``(start, step, updates per rate, stop)`` rows.

    Raises:
        InputError: a row that is not four numbers, a step or rate that is not positive, rows out
            of order.

    >>> table = Segments([(0.001, 0.001, 10, 0.003), (0.01, 0.01, 50, 0.02)])
    >>> [(rung.lr, rung.updates) for rung in table.rungs()]
    [(0.001, 10), (0.002, 10), (0.003, 10), (0.01, 50), (0.02, 50)]
    """

    rows: tuple[Segment, ...]

    def __init__(self, rows: Iterable[Iterable[float]]) -> None:
        object.__setattr__(self, "rows", tuple(_segment(row) for row in rows))
        require(bool(self.rows), "Segments needs at least one row (start, step, updates, stop).")
        for below, above in zip(self.rows, self.rows[1:], strict=False):
            require(
                above.start > below.stop,
                f"Segments climbs: the row after one that stops at {below.stop:g} must start above "
                f"it, got start {above.start:g}.",
            )

    def rungs(self) -> tuple[Rung, ...]:
        """The rates in order, row after row."""
        return tuple(
            Rung(_tidy(row.start + i * row.step), row.updates_per_rate)
            for row in self.rows
            for i in range(_count((row.stop - row.start) / row.step) + 1)
        )

    def beyond(self, decades: float) -> Iterator[Rung]:
        """The last row's pattern, one decade higher each time."""
        last = self.rows[-1]
        ceiling = last.stop * 10.0**decades * (1 + 1e-9)
        top = self.rungs()[-1].lr
        for power in range(1, math.ceil(decades) + 1):
            scale = 10.0**power
            for i in range(_count((last.stop - last.start) / last.step) + 1):
                lr = _tidy((last.start + i * last.step) * scale)
                if top < lr <= ceiling:
                    yield Rung(lr, last.updates_per_rate)


@final
@dataclass(frozen=True, slots=True)
class Rates:
    """Any rising list of rates; it ends where it ends.

    Raises:
        InputError: no rates, rates out of order or not positive.

    >>> Rates([0.1, 0.2]).rungs()
    (Rung(lr=0.1, updates=1), Rung(lr=0.2, updates=1))
    """

    values: tuple[float, ...]
    updates_per_rate: int = field(default=1)

    def __init__(self, values: Iterable[float], updates_per_rate: int = 1) -> None:
        try:
            object.__setattr__(self, "values", tuple(float(value) for value in values))
        except (TypeError, ValueError):
            raise InputError(
                f"The rates of a range test are a ladder or an iterable of numbers, got {values!r}."
            ) from None
        object.__setattr__(self, "updates_per_rate", updates_per_rate)
        require(bool(self.values), "A range test needs at least one learning rate, got none.")
        require(
            updates_per_rate >= 1,
            f"Each rate needs at least one update, got updates_per_rate={updates_per_rate}.",
        )
        for rate in self.values:
            _check_rate("every rate", rate)
        for below, above in zip(self.values, self.values[1:], strict=False):
            require(
                above > below,
                f"A range test climbs: {above:g} follows {below:g}. Sort the rates and drop "
                "duplicates.",
            )

    def rungs(self) -> tuple[Rung, ...]:
        """The rates in order."""
        return tuple(Rung(lr, self.updates_per_rate) for lr in self.values)

    def beyond(self, decades: float) -> Iterator[Rung]:
        """Nothing: a list says exactly which rates are wanted."""
        return iter(())


def as_ladder(rates: Ladder | Iterable[float]) -> Ladder:
    """A ladder from itself or from any iterable of rising rates.

    Raises:
        InputError: neither a ladder nor rising positive numbers.
    """
    return rates if isinstance(rates, Ladder) else Rates(rates)


def _segment(row: Iterable[float]) -> Segment:
    try:
        start, step, updates, stop = row
    except (TypeError, ValueError):
        raise InputError(
            f"A row of Segments is (start, step, updates per rate, stop), got {row!r}."
        ) from None
    _check_rate("Segments' start", float(start))
    _check_rate("Segments' step", float(step))
    _check_rate("Segments' stop", float(stop))
    require(
        math.isfinite(updates) and updates == int(updates) and updates >= 1,
        f"A row of Segments needs a whole number of updates per rate, at least 1, got {updates!r}.",
    )
    segment = Segment(float(start), float(step), int(updates), float(stop))
    require(
        segment.stop >= segment.start,
        f"A row of Segments climbs from start to stop, got {segment.start:g} to {segment.stop:g}.",
    )
    return segment


def _check_span(kind: str, start: float, stop: float, rates: int, updates: int) -> None:
    _check_rate(f"{kind}'s start", start)
    _check_rate(f"{kind}'s stop", stop)
    require(start < stop, f"{kind} climbs from start to stop, got start={start:g}, stop={stop:g}.")
    require(rates >= 2, f"{kind} needs at least two rates, got {rates}.")
    require(updates >= 1, f"{kind} needs at least one update per rate, got {updates}.")


def _check_rate(what: str, rate: float) -> None:
    require(
        math.isfinite(rate) and rate >= SMALLEST,
        f"A learning rate must be a finite number of at least {SMALLEST:g}; {what} is {rate!r}.",
    )


def _count(intervals: float) -> int:
    """Whole intervals, forgiving the last digits of floating point."""
    return math.floor(intervals + 1e-6)


def _tidy(rate: float) -> float:
    """0.0001 + 2 x 0.0001 is written 0.0003, not 0.00030000000000000003."""
    return float(f"{rate:.12g}")
