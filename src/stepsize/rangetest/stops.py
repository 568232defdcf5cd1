"""Stop rules: when a range test has seen enough.

A rule is a frozen value; :meth:`StopRule.watcher` starts a fresh judge that sees one point after
the other and names the stop when it is time. A loss that is NaN or infinite always stops the test;
no rule is needed for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from stepsize.errors import InputError, require
from stepsize.level import Level

#: Sees ``(lr, loss)``; returns the name of the stop, or None to go on.
Watcher = Callable[[float, float], str | None]


@runtime_checkable
class StopRule(Protocol):
    """What decides that the climb is over."""

    def watcher(self) -> Watcher:
        """A fresh judge for one range test."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Rise:
    """Stop when the level is ``drops`` observed drops and ``noises`` deviations above its best.

    ``level > best + drops (start - best) + noises sigma``, where the level is a running median
    over a quarter decade and sigma the noise of a single loss. Before there has been a fall (of
    ``noises sigma``) there is nothing to measure a rise by, and it must be ten times as clear: a
    GAN's loss drifts upwards at rates at which nothing happens. Nothing is relative to zero, so a
    constant added to the loss, its scale and its sign do not move the stop. This is the default.

    >>> watch = Rise().watcher()
    >>> losses = [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 9.0, 9.0, 9.0]
    >>> [watch(10.0 ** (i - 6), loss) for i, loss in enumerate(losses)][-2:]
    ['rise', 'rise']
    """

    drops: float = 2.0
    noises: float = 5.0

    def watcher(self) -> Watcher:
        """A fresh judge for one range test."""
        level = Level()

        def watch(lr: float, loss: float) -> str | None:
            level.see(lr, loss)
            clear = self.noises * level.noise
            if level.drop < clear:
                clear *= 10.0
            limit = level.best + self.drops * level.drop + clear
            return "rise" if level.ready and level.now > limit else None

        return watch


@final
@dataclass(frozen=True, slots=True)
class TimesBest:
    """The classic ``smoothed loss > factor x best`` of fastai, with its moving average.

    The average is exponential with weight ``beta``, corrected for its start. It means what it says
    only for losses well above zero: for a negative loss it stops at once, which is why it is not
    the default.

    >>> watch = TimesBest(4.0, beta=0.0).watcher()
    >>> [watch(lr, loss) for lr, loss in [(0.1, 1.0), (0.2, 3.9), (0.3, 4.1)]]
    [None, None, 'times_best']
    """

    factor: float = 4.0
    beta: float = 0.98

    def watcher(self) -> Watcher:
        """A fresh judge for one range test."""
        mean, seen, best = 0.0, 0, float("inf")

        def watch(lr: float, loss: float) -> str | None:
            nonlocal mean, seen, best
            mean = self.beta * mean + (1.0 - self.beta) * loss
            seen += 1
            smoothed = mean / (1.0 - self.beta**seen)
            best = min(best, smoothed)
            return "times_best" if smoothed > self.factor * best else None

        return watch


@final
@dataclass(frozen=True, slots=True)
class LossAbove:
    """A fixed ceiling: stop at the first loss above ``limit``.

    >>> LossAbove(10.0).watcher()(0.1, 11.0)
    'ceiling'
    """

    limit: float

    def watcher(self) -> Watcher:
        """A fresh judge for one range test."""
        return lambda lr, loss: "ceiling" if loss > self.limit else None


@final
@dataclass(frozen=True, slots=True)
class RateAbove:
    """Stop after the first rate above ``limit``.

    >>> RateAbove(1.0).watcher()(1.1, 0.5)
    'rate_limit'
    """

    limit: float

    def watcher(self) -> Watcher:
        """A fresh judge for one range test."""
        return lambda lr, loss: "rate_limit" if lr > self.limit else None


def parse_stop(text: str) -> StopRule | None:
    """The rule a user names: ``rise``, ``4x-best``, ``loss>10``, ``lr>1`` or ``never`` (None).

    Raises:
        InputError: none of these.

    >>> parse_stop("4x-best"), parse_stop("lr>0.5"), parse_stop("never")
    (TimesBest(factor=4.0, beta=0.98), RateAbove(limit=0.5), None)
    """
    plain = text.strip().lower().replace(" ", "")
    if plain == "rise":
        return Rise()
    if plain == "never":
        return None
    number = r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)"
    if found := re.fullmatch(number + "x-best", plain):
        factor = float(found[1])
        require(factor > 1, f"'x-best' needs a factor above 1, got {text!r}.")
        return TimesBest(factor)
    if found := re.fullmatch("loss>(-?)" + number, plain):
        return LossAbove(float(found[1] + found[2]))
    if found := re.fullmatch("lr>" + number, plain):
        return RateAbove(float(found[1]))
    raise InputError(
        f"A stop rule is one of rise, 4x-best, loss>VALUE, lr>VALUE or never; got {text!r}."
    )
