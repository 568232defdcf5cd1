"""What a range test leaves: the loss seen at each learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

from stepsize.errors import require

#: Stops that mean the training blew up at the last rate; all others say only "no further".
DIVERGED = frozenset({"not_finite", "rise", "times_best", "ceiling"})


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """The loss of one range test, point by point, in the order it was measured.

    Attributes:
        lr: the learning rate of each point (the largest rate among the parameter groups).
        loss: the mean loss of each point. NaN and infinity are divergence and are kept as ``inf``.
        updates: how many optimizer updates each point took.
        lag: how many updates the loss lags behind the rate: 1 where a step reports the loss it
            measured *before* its update (every ordinary training loop), 0 where it is measured
            after.
        stop: why the test ended: ``ladder_end``, ``not_finite``, ``rise``, ``times_best``,
            ``ceiling``, ``rate_limit``, ``max_updates`` or ``max_seconds``.
        spent: updates made in all, those whose loss is not kept included; left out of comparisons.
        seconds: wall-clock time, left out of comparisons.

    Raises:
        InputError: the columns differ in length, or a rate is not a positive number, a
            point took no update.

    >>> curve = Curve(lr=(0.1, 1.0), loss=(2.0, float("nan")), stop="not_finite")
    >>> curve.loss, curve.diverged, Curve.from_dict(curve.to_dict()) == curve
    ((2.0, inf), True, True)
    """

    lr: tuple[float, ...]
    loss: tuple[float, ...]
    updates: tuple[int, ...] = ()
    lag: int = 1
    stop: str = "ladder_end"
    spent: int = field(default=0, compare=False)
    seconds: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        lrs = tuple(float(rate) for rate in self.lr)
        losses = tuple(_finite_or_inf(value) for value in self.loss)
        updates = tuple(int(count) for count in self.updates) or (1,) * len(lrs)
        require(
            len(lrs) == len(losses) == len(updates),
            f"A curve needs one loss per rate, got {len(lrs)} rates, {len(losses)} losses and "
            f"{len(updates)} update counts.",
        )
        require(
            all(count >= 1 for count in updates),
            f"Every point of a curve takes at least one update, got {updates}.",
        )
        for rate in lrs:
            require(
                rate > 0 and math.isfinite(rate),
                f"A curve needs positive finite rates, got {rate!r}.",
            )
        object.__setattr__(self, "lr", lrs)
        object.__setattr__(self, "loss", losses)
        object.__setattr__(self, "updates", updates)
        object.__setattr__(self, "spent", max(int(self.spent), sum(updates)))

    def __len__(self) -> int:
        return len(self.lr)

    def __repr__(self) -> str:
        if not self.lr:
            return f"Curve(0 points, stop={self.stop!r})"
        return (
            f"Curve({len(self)} points, lr {self.lr[0]:.3g} to {self.lr[-1]:.3g}, "
            f"loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}, stop={self.stop!r})"
        )

    @property
    def diverged(self) -> bool:
        """Whether the test ended because the training blew up."""
        return self.stop in DIVERGED

    def finite(self) -> Curve:
        """The points before the first loss that is not finite."""
        cut = next((i for i, value in enumerate(self.loss) if not math.isfinite(value)), len(self))
        if cut == len(self):
            return self
        return replace(self, lr=self.lr[:cut], loss=self.loss[:cut], updates=self.updates[:cut])

    def at_effect(self) -> Curve:
        """The same losses at the rates whose effect they show.

        A loss measured before its update shows the rate of the update before: with ``u`` updates
        per point that is a shift by ``1 / u`` of a rung.

        >>> [round(lr, 9) for lr in Curve((0.01, 0.1, 1.0), (3.0, 2.0, 1.0)).at_effect().lr]
        [0.001, 0.01, 0.1]
        """
        if not self.lag or len(self) < 2:
            return self
        x = [math.log10(rate) for rate in self.lr]
        below = [max(2.0 * x[0] - x[1], -300.0), *x]
        shown = [
            10.0 ** (here - (here - before) * min(1.0, self.lag / updates))
            for before, here, updates in zip(below, x, self.updates, strict=False)
        ]
        return replace(self, lr=tuple(shown), lag=0)

    def to_dict(self) -> dict[str, Any]:
        """The curve as JSON data; a loss that is not finite is ``None``."""
        return {
            "lr": list(self.lr),
            "loss": [value if math.isfinite(value) else None for value in self.loss],
            "updates": list(self.updates),
            "lag": self.lag,
            "stop": self.stop,
            "spent": self.spent,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Curve:
        """The curve that :meth:`to_dict` wrote.

        Only ``lr`` and ``loss`` are needed, so a curve recorded by another tool reads too.
        """
        return cls(
            lr=tuple(data["lr"]),
            loss=tuple(math.inf if value is None else value for value in data["loss"]),
            updates=tuple(data.get("updates", ())),
            lag=int(data.get("lag", 1)),
            stop=str(data.get("stop", "ladder_end")),
            spent=int(data.get("spent", 0)),
            seconds=float(data.get("seconds", 0.0)),
        )


def _finite_or_inf(value: float) -> float:
    value = float(value)
    return value if math.isfinite(value) else math.inf
