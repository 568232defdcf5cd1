"""The slanted triangle of ULMFiT: a short rise, a long straight fall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, final

from stepsize.errors import InputError
from stepsize.schedules.base import Schedule
from stepsize.schedules.decay import Linear
from stepsize.schedules.fields import number, rate, span
from stepsize.schedules.phased import Phased
from stepsize.schedules.units import REST, Steps


@final
@dataclass(frozen=True)
class SlantedTriangular(Phased):
    """The slanted triangular rate (Howard & Ruder 2018, arXiv:1801.06146, eq. 3).

    With ``cut = floor(steps cut_frac)``, one update at least, and ``p = t / cut`` for ``t < cut``,
    ``p = 1 - (t - cut) / (steps - cut)`` from there on: ``s(t) = peak (1 + p (ratio - 1)) /
    ratio``. So it rises in a straight line from ``peak / ratio``, update ``cut`` uses exactly the
    peak, and it falls in a straight line back to ``peak / ratio``, which is ``s(steps)``, held.

    The paper falls over ``cut (1 / cut_frac - 1)`` updates. That is ``steps - cut`` wherever
    ``steps cut_frac`` is a whole number; elsewhere it is fewer, and the paper's rate would be below
    ``peak / ratio`` at the end, even below zero in a short run. fastai's ``use_clr=(32, 10)`` and
    AllenNLP fall over ``steps - cut`` as here.

    >>> s = SlantedTriangular(0.01, steps=100)
    >>> s(0), s(10), round(s(55), 7), s(100) == 0.01 / 32
    (0.0003125, 0.01, 0.0051563, True)
    """

    peak_value: float = rate()
    steps: Steps = span(REST)
    cut_frac: float = number(0.1, above=0.0, high=1.0)
    ratio: float = number(32.0, low=1.0)

    kind: ClassVar[str] = "slanted_triangular"

    def _check(self) -> None:
        if isinstance(self.steps, int):
            up, down = self._spans()
            if down < 1:
                raise InputError(
                    "slanted_triangular needs one update at least up and one down: "
                    f"cut_frac={self.cut_frac!r} of steps={self.steps} takes {up} and leaves "
                    f"{down}. Use more steps or a smaller cut_frac."
                )

    def _spans(self) -> tuple[int, int]:
        """Updates up and down."""
        steps = int(self.steps)
        cut = max(1, math.floor(Fraction(repr(self.cut_frac)) * steps))
        return cut, steps - cut

    def _pieces(self) -> tuple[tuple[str, Schedule], ...]:
        low = self.peak_value / self.ratio
        up, down = self._spans()
        return (
            ("up", Linear(low, self.peak_value, steps=up)),
            ("down", Linear(self.peak_value, low, steps=down)),
        )
