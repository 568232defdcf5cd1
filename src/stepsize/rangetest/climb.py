"""The range test itself: drive a probe up a ladder, leave a curve (Smith 2015, section 3.3)."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepsize.errors import RangeTestError, require
from stepsize.level import Level
from stepsize.rangetest.ladders import Ladder, Rung, as_ladder
from stepsize.rangetest.probe import Deferred, HeldOut, Probe, Restartable, Transactional
from stepsize.rangetest.stops import Rise, StopRule, Watcher
from stepsize.records import Curve

#: Called with ``(lr, loss)`` for every point, as soon as its loss is read.
OnPoint = Callable[[float, float], None]
#: Yields the rate of the next update, is sent its loss, returns the curve.
Climbing = Generator[float, Any, Curve]


def range_test(
    probe: Probe,
    lrs: Ladder | Iterable[float],
    *,
    stop: Sequence[StopRule] = (Rise(),),
    equal_start: bool = False,
    held_out_every: int = 0,
    max_updates: int | None = None,
    max_seconds: float | None = None,
    extend_decades: float = 3.0,
    on_point: OnPoint | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Curve:
    """Climb the rates of ``lrs`` with ``probe`` and record the loss at each.

    Args:
        probe: anything with ``step(lr) -> loss``. One that is a context manager is entered before
            the first update and left, whatever happens, after the last.
        lrs: a ladder (``Geometric``, ``Linear``, ``Segments``) or rising rates.
        stop: the rules that may end the climb; NaN and infinity always do.
        equal_start: judge every rate from the same start and the same batches instead of from
            where the rate before it left the weights. Each rate then costs one update more: the
            loss is averaged over what is measured *after* its updates. ``Rise`` is not asked then.
        held_out_every: 0 reads the training loss; m > 0 measures the probe's held-out batches
            after every m-th update instead.
        max_updates: at most this many optimizer updates.
        max_seconds: at most about this much wall-clock time.
        extend_decades: how far to go on above the ladder, a decade at a time, while the loss is
            still at its lowest there. A plain list of rates is never extended.
        on_point: called with ``(lr, loss)`` as points are read.
        clock: seconds, for ``max_seconds`` and :attr:`Curve.seconds`.

    Raises:
        InputError: rates out of order or not positive; an option the probe cannot serve.
        RangeTestError: the probe returned something that is no number.

    >>> class Quadratic:
    ...     x = 1.0
    ...     def step(self, lr):
    ...         loss = self.x**2
    ...         self.x -= lr * 2 * self.x
    ...         return loss
    >>> curve = range_test(Quadratic(), [0.01, 0.1, 0.5, 0.6, 2.0, 50.0, 100.0])
    >>> len(curve), curve.loss[0]
    (7, 1.0)
    """
    require(
        callable(getattr(probe, "step", None)),
        f"A range test needs a probe with step(lr) -> loss, got {probe!r}.",
    )
    steps = climb(
        probe,
        lrs,
        stop=stop,
        equal_start=equal_start,
        held_out_every=held_out_every,
        max_updates=max_updates,
        max_seconds=max_seconds,
        extend_decades=extend_decades,
        on_point=on_point,
        clock=clock,
    )
    with contextlib.ExitStack() as stack:
        if isinstance(probe, Transactional):
            stack.enter_context(probe)
        loss = None
        while True:
            try:
                lr = steps.send(loss)
            except StopIteration as end:
                curve: Curve = end.value
                return curve
            loss = probe.step(lr)  # outside the try: a StopIteration from here is the user's own


def climb(
    probe: object,
    lrs: Ladder | Iterable[float],
    *,
    stop: Sequence[StopRule] = (Rise(),),
    equal_start: bool = False,
    held_out_every: int = 0,
    max_updates: int | None = None,
    max_seconds: float | None = None,
    extend_decades: float = 3.0,
    on_point: OnPoint | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Climbing:
    """The range test turned inside out: yields each rate, is sent that update's loss.

    ``range_test`` drives it with the probe's ``step``; a sweep drives it with the user's own loop
    and offers, as ``probe``, only what it can (:class:`Deferred`, ...). Options are those of
    :func:`range_test`; the curve is the generator's return value.
    """
    ladder = as_ladder(lrs)
    _check_options(probe, equal_start, held_out_every, max_updates, max_seconds, extend_decades)
    limits = _Limits(max_updates, max_seconds, clock)
    # Under equal start nothing is saved by stopping at a rise, and losses of the same batches have
    # no noise to measure one by: the last digits' drift would look like a blow-up.
    rules = [rule for rule in stop if not (equal_start and isinstance(rule, Rise))]
    watchers = [rule.watcher() for rule in rules]
    return _Climb(probe, watchers, limits, on_point).run(
        ladder, extend_decades, equal_start, held_out_every
    )


@dataclass(frozen=True)
class _Limits:
    """The caps on updates and on seconds."""

    max_updates: int | None
    max_seconds: float | None
    clock: Callable[[], float]

    def reached(self, made: int, started: float) -> str:
        """The name of the cap that is reached, or an empty string."""
        if self.max_updates is not None and made >= self.max_updates:
            return "max_updates"
        if self.max_seconds is not None and self.clock() - started > self.max_seconds:
            return "max_seconds"
        return ""


@dataclass
class _Point:
    """A point being measured; its losses are still unread."""

    lr: float = 0.0
    updates: int = 0
    losses: list[Any] = field(default_factory=list)


class _Climb:
    """The state of one range test; ``run`` is its story."""

    def __init__(
        self, probe: object, watchers: Sequence[Watcher], limits: _Limits, on_point: OnPoint | None
    ) -> None:
        self.probe = probe
        self.watchers = watchers
        self.limits = limits
        self.on_point = on_point
        # Asked once: looking a protocol up takes as long as a small layer's forward pass.
        self.reader = probe if isinstance(probe, Deferred) else None
        self.measurer = probe if isinstance(probe, HeldOut) else None
        self.block = self.reader.block if self.reader else 1
        self.level = Level()
        self.point = _Point()
        self.unread: list[_Point] = []
        self.points: list[tuple[float, float, int]] = []
        self.made = 0  # updates so far, including those whose loss is not used
        self.stop = ""  # the rule that ended the climb
        self.limit = ""  # the cap that ended it

    def run(
        self, ladder: Ladder, extend_decades: float, equal_start: bool, held_out_every: int
    ) -> Climbing:
        """Climb until the ladder, a rule or a cap ends it."""
        self.started = self.limits.clock()
        for rung in self._rungs(ladder, extend_decades):
            if equal_start:
                yield from self._climb_from_start(rung, bool(held_out_every))
            else:
                yield from self._climb_on(rung, held_out_every)
            if self.stop or self.limit:
                break
        if not held_out_every or not (self.points or self.unread):
            self._close(bool(held_out_every))  # else: a point of fewer updates than the others
        self._read()
        lrs, losses, updates = zip(*self.points, strict=True) if self.points else ((), (), ())
        return Curve(
            lr=lrs,
            loss=losses,
            updates=updates,
            lag=0 if equal_start or held_out_every else 1,
            stop=self.stop or self.limit or "ladder_end",
            spent=self.made,
            seconds=self.limits.clock() - self.started,
        )

    def _rungs(self, ladder: Ladder, extend_decades: float) -> Iterator[Rung]:
        """The ladder, then decade by decade what lies above while the loss is lowest there."""
        rungs = ladder.rungs()
        yield from rungs
        checkpoint = rungs[-1].lr
        for rung in ladder.beyond(extend_decades):
            if rung.lr > checkpoint:
                self._read()
                if self.stop or not self.level.at_edge():
                    return
                checkpoint *= 10.0
            yield rung

    def _climb_on(self, rung: Rung, held_out_every: int) -> Generator[float, Any]:
        """Make the updates of one rate where the rate before it left off."""
        for _ in range(rung.updates):
            if self._spent():
                return
            loss = yield rung.lr
            self.point.lr = rung.lr
            self.point.updates += 1
            if not held_out_every:
                self.point.losses.append(loss)
            elif self.point.updates == held_out_every:
                self._close(held_out=True)
        if not held_out_every:
            self._close(held_out=False)

    def _climb_from_start(self, rung: Rung, held_out: bool) -> Generator[float, Any]:
        """Make the updates of one rate from the common start; use the losses after each.

        A step reports the loss before its update, so one more step tells the last one's effect and
        the first step's loss, the same for every rate, is dropped.
        """
        if isinstance(self.probe, Restartable):
            self.probe.restart()
        losses = []
        for _ in range(rung.updates + (not held_out)):
            if self._spent():
                return
            losses.append((yield rung.lr))
        self.point = _Point(rung.lr, rung.updates, [] if held_out else losses[1:])
        self._close(held_out)

    def _spent(self) -> bool:
        """Whether a cap forbids the next update; if not, the update is counted."""
        self.limit = self.limits.reached(self.made, self.started)
        self.made += not self.limit
        return bool(self.limit)

    def _close(self, held_out: bool) -> None:
        """Put the measured point among the unread, and read when a block is full."""
        point, self.point = self.point, _Point()
        if point.updates and held_out and self.measurer:
            point.losses.append(self.measurer.held_out_loss())
        if point.losses:
            self.unread.append(point)
        if sum(len(waiting.losses) for waiting in self.unread) >= self.block:
            self._read()

    def _read(self) -> None:
        """Read the waiting losses in order and ask the rules; what lies past a stop is dropped."""
        waiting, self.unread = self.unread, []
        values = iter(self._values([loss for point in waiting for loss in point.losses]))
        for point in waiting:
            losses = [next(values) for _ in point.losses]
            finite = all(math.isfinite(loss) for loss in losses)
            self._judge(point, math.fsum(losses) / len(losses) if finite else math.inf)
            if self.stop:
                return

    def _judge(self, point: _Point, loss: float) -> None:
        self.points.append((point.lr, loss, point.updates))
        if self.on_point is not None:
            self.on_point(point.lr, loss)
        if not math.isfinite(loss):
            self.stop = "not_finite"
            return
        self.level.see(point.lr, loss)
        verdicts = [watch(point.lr, loss) for watch in self.watchers]
        self.stop = next((verdict for verdict in verdicts if verdict), "")

    def _values(self, losses: Sequence[Any]) -> list[float]:
        if self.reader:
            return self.reader.read(losses)
        try:
            return [float(loss) for loss in losses]
        except (TypeError, ValueError) as error:
            raise RangeTestError(
                f"A probe's step(lr) must return the loss as a number, got {losses[0]!r}."
            ) from error


def _check_options(
    probe: object,
    equal_start: bool,
    held_out_every: int,
    max_updates: int | None,
    max_seconds: float | None,
    extend_decades: float,
) -> None:
    name = type(probe).__name__
    require(
        not equal_start or isinstance(probe, Restartable),
        f"equal_start needs a probe with restart(); {name} has none.",
    )
    require(
        not held_out_every or isinstance(probe, HeldOut),
        f"held_out_every needs a probe with held_out_loss(); {name} has none.",
    )
    require(held_out_every >= 0, f"held_out_every must not be negative, got {held_out_every}.")
    require(
        max_updates is None or max_updates >= 1,
        f"max_updates must be at least 1, got {max_updates}.",
    )
    require(
        max_seconds is None or max_seconds > 0, f"max_seconds must be positive, got {max_seconds}."
    )
    require(extend_decades >= 0, f"extend_decades must not be negative, got {extend_decades}.")
