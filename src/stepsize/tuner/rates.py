"""The rates of a race: quarters of a decade around what the optimizer's family suggests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

#: Steps of the scale in a decade.
PER_DECADE = 4
HALF = PER_DECADE // 2
#: Where the search begins, as an exponent of ten, by the optimizer's family. The race finds its
#: way from far off, so these need not be good.
CENTRES = {"sgd": -0.75, "momentum": -1.5, "adam": -2.5, "other": -2.0}


def three_digits(lr: float) -> float:
    """A rate as it is shown and typed again.

    >>> three_digits(0.0316227)
    0.0316
    """
    return float(f"{lr:.3g}")


@final
@dataclass(frozen=True)
class RateScale:
    """Rates numbered by quarters of a decade: ``centre * 10 ** (step / 4)``.

    >>> scale = RateScale(0.1)
    >>> scale.lr(0), scale.lr(2), scale.lr(-4)
    (0.1, 0.316, 0.01)
    >>> scale.step(1.0)
    4.0
    """

    centre: float

    @classmethod
    def of(cls, family: str, around: float | None = None) -> RateScale:
        """The scale for a family of optimizers, or around a given rate."""
        return cls(10.0 ** CENTRES[family] if around is None else around)

    def lr(self, step: float) -> float:
        """The rate at ``step``, to three digits: a number that can be typed again."""
        return three_digits(self.centre * 10.0 ** (step / PER_DECADE))

    def step(self, lr: float) -> float:
        """The place of a rate on the scale."""
        return PER_DECADE * math.log10(lr / self.centre)
