"""What a rule reads out of a curve: a rate with its interval, or an abstention with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from stepsize.errors import require

#: ``ok`` carries a rate; every other verdict is an abstention.
VERDICTS = (
    "ok",
    "flat",
    "still_falling",
    "diverged_at_start",
    "too_noisy",
    "too_few_points",
)


class Clr(NamedTuple):
    """The two bounds of a cyclical schedule (Smith 2015, section 3.3)."""

    base_lr: float
    max_lr: float


@final
@dataclass(frozen=True, slots=True)
class Suggestion:
    """A learning rate with its interval and the reason for it, or an abstention.

    Attributes:
        verdict: one of :data:`VERDICTS`.
        reason: one or two sentences: why this rate, or why none and what to try.
        lr: the suggested rate; None when the rule abstains.
        interval: the 95 % interval of ``lr``; None when the rule abstains.
        clr: ``base_lr`` and ``max_lr`` for cyclical schedules; None when the rule abstains.
        rule: the name of the rule that spoke.

    Raises:
        InputError: an unknown verdict, or a rate beside an abstention.

    >>> Suggestion("ok", "nine tenths of the fall", lr=0.1, interval=(0.08, 0.12))
    Suggestion(ok, lr=0.1 [0.08, 0.12])
    >>> Suggestion("flat", "the loss never moved").lr is None
    True
    """

    verdict: str
    reason: str
    lr: float | None = None
    interval: tuple[float, float] | None = None
    clr: Clr | None = None
    rule: str = "nine_tenths"

    def __post_init__(self) -> None:
        require(
            self.verdict in VERDICTS,
            f"A verdict is one of {', '.join(VERDICTS)}; got {self.verdict!r}.",
        )
        require(
            (self.verdict == "ok") == (self.lr is not None),
            f"The verdict {self.verdict!r} does not go with lr={self.lr!r}: 'ok' carries a rate, "
            "an abstention carries none.",
        )

    def __repr__(self) -> str:
        if self.lr is None:
            return f"Suggestion({self.verdict}: {self.reason})"
        low, high = self.interval or (self.lr, self.lr)
        return f"Suggestion(ok, lr={self.lr:.3g} [{low:.3g}, {high:.3g}])"

    def to_dict(self) -> dict[str, Any]:
        """The suggestion as JSON data; what an abstention lacks is ``None``."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "lr": self.lr,
            "interval": None if self.interval is None else list(self.interval),
            "clr": None if self.clr is None else self.clr._asdict(),
            "rule": self.rule,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Suggestion:
        """The suggestion that :meth:`to_dict` wrote."""
        interval, clr = data.get("interval"), data.get("clr")
        return cls(
            verdict=data["verdict"],
            reason=data["reason"],
            lr=data.get("lr"),
            interval=None if interval is None else (float(interval[0]), float(interval[1])),
            clr=None if clr is None else Clr(float(clr["base_lr"]), float(clr["max_lr"])),
            rule=data.get("rule", "nine_tenths"),
        )
