"""What a user may choose about a search for the learning rate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, final

from stepsize.errors import InputError, require
from stepsize.rangetest import Geometric, Ladder, OnPoint, Rise, StopRule, as_ladder, parse_stop

#: Seven decades in three hundred updates: one slow climb tells more than three fast ones.
DEFAULT_LADDER = Geometric(1e-6, 10.0, rates=300)


@final
@dataclass(frozen=True)
class FindOptions:
    """How ``find`` searches; every field has a default that suits an unknown training.

    Attributes:
        ladder: the rates to climb.
        repeats: sweeps over different batch orders (and initialisations, where a task makes them).
        stop: the rules that end a sweep; NaN and infinity always do.
        equal_start: judge every rate from the same weights and the same batches.
        held_out_every: 0 reads the training loss; m > 0 measures held-out batches every m updates.
        refine: make a second, finer pass around what the first found.
        max_updates: at most this many updates in each sweep.
        max_seconds: at most about this much time in all sweeps together.
        extend_decades: how far a sweep may go on above or below the ladder when the loss is lowest
            at its end.
        seed: seeds repeat r with ``seed + r``.
        on_point: called with ``(lr, loss)`` as points are read.
        clock: seconds; under ``torch.distributed`` one clock for all ranks.

    Raises:
        InputError: an option that makes no sense.
    """

    ladder: Ladder = DEFAULT_LADDER
    repeats: int = 1
    stop: tuple[StopRule, ...] = (Rise(),)
    equal_start: bool = False
    held_out_every: int = 0
    refine: bool = False
    max_updates: int | None = None
    max_seconds: float | None = None
    extend_decades: float = 3.0
    seed: int = 0
    on_point: OnPoint | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        _check_whole("repeats", self.repeats, 1)
        _check_whole("seed", self.seed, 0, 2**63 - 1)
        _check_whole("held_out_every", self.held_out_every, 0)
        if self.max_updates is not None:
            _check_whole("max_updates", self.max_updates, 1)
        for name in ("max_seconds", "extend_decades"):
            value: Any = getattr(self, name)
            number = isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
            optional = name == "max_seconds"
            require(
                (value is None and optional) or (number and (value > 0 or not optional)),
                f"{name} must be a {'positive' if optional else 'finite'} number, got {value!r}.",
            )

    @classmethod
    def of(
        cls,
        ladder: Ladder | Iterable[float] = DEFAULT_LADDER,
        stop: StopRule | str | Iterable[StopRule | str] = "rise",
        **others: Any,
    ) -> FindOptions:
        """Options from what a user may write: a list of rates, the names of stop rules.

        >>> FindOptions.of(stop=["4x-best", "lr>1"]).stop
        (TimesBest(factor=4.0, beta=0.98), RateAbove(limit=1.0))
        """
        return cls(ladder=as_ladder(ladder), stop=_rules(stop), **others)

    def climbing(self) -> dict[str, Any]:
        """What a range test takes of them, beside the probe and the ladder."""
        return {
            "stop": self.stop,
            "equal_start": self.equal_start,
            "held_out_every": self.held_out_every,
            "max_updates": self.max_updates,
            "max_seconds": self.max_seconds,
            "extend_decades": self.extend_decades,
            "on_point": self.on_point,
            "clock": self.clock,
        }

    def to_dict(self) -> dict[str, Any]:
        """The choices as JSON data, for the record."""
        return {
            "ladder": repr(self.ladder),
            "repeats": self.repeats,
            "stop": [repr(rule) for rule in self.stop] or ["never"],
            "equal_start": self.equal_start,
            "objective": "held-out loss" if self.held_out_every else "training loss",
            "held_out_every": self.held_out_every,
            "refine": self.refine,
            "max_updates": self.max_updates,
            "max_seconds": self.max_seconds,
            "extend_decades": self.extend_decades,
            "seed": self.seed,
        }


def _check_whole(name: str, value: Any, least: int, most: float = math.inf) -> None:
    require(
        isinstance(value, int) and least <= value <= most,
        f"{name} must be a whole number of at least {least}, got {value!r}.",
    )


def _rules(stop: StopRule | str | Iterable[StopRule | str]) -> tuple[StopRule, ...]:
    given: Iterable[Any] = (stop,) if isinstance(stop, (str, StopRule)) else stop
    try:
        rules = [parse_stop(rule) if isinstance(rule, str) else rule for rule in given]
    except TypeError:
        raise InputError(f"stop is a rule, a rule's name or several, got {stop!r}.") from None
    for rule in rules:
        require(
            rule is None or isinstance(rule, StopRule),
            f"A stop rule is a name such as 'rise' or an object with watcher(), got {rule!r}.",
        )
    return tuple(rule for rule in rules if rule is not None)
