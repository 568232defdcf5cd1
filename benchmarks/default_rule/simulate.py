"""Curves whose truth is known: how often the interval holds it, and how often noise is believed."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from judge import as_found
from make_data import ladder

from stepsize import Curve
from stepsize.suggest import nine_tenths

#: The loss without noise at log10 of a rate.
Truth = Callable[[float], float]


@dataclass(frozen=True)
class Valley:
    """A fall of 1.8 from 2.3 around ``fall_at``, then a blow-up from ``blow_up``, in log10."""

    fall_at: float
    steepness: float
    blow_up: float
    violence: float

    def __call__(self, x: float) -> float:
        fall = 1.8 / (1.0 + math.exp(-self.steepness * (x - self.fall_at)))
        return 2.3 - fall + self.violence * max(0.0, x - self.blow_up) ** 2


VALLEYS = {
    "steep fall, sharp blow-up": Valley(-2.0, 4.0, -0.5, 30.0),
    "slow fall, gentle blow-up": Valley(-3.0, 1.5, -0.5, 4.0),
}


def measured(
    truth: Truth, n: int, sigma: float, draw: random.Random, shift: float = 0.0, tails: bool = False
) -> Curve:
    """A curve as the default finder leaves it, at ``n`` rates and what it adds to them.

    The loss at a rate shows the effect of the rate before, as in a training. ``shift`` moves the
    whole truth to the right. ``tails``: Student's t with 3 degrees of freedom, scaled to ``sigma``.
    """
    x = [math.log10(lr) for lr in ladder(n)]
    before = [2 * x[0] - x[1], *x[:-1]]
    noise = _student if tails else (lambda d: d.gauss(0.0, 1.0))
    return as_found([truth(place - shift) + sigma * noise(draw) for place in before], n)


def _student(draw: random.Random) -> float:
    """Student's t with 3 degrees of freedom, scaled to variance 1."""
    chi = draw.gammavariate(1.5, 2.0)
    return draw.gauss(0.0, 1.0) / math.sqrt(chi / 3.0) / math.sqrt(3.0)


def coverage(
    truth: Truth, sigma: float, *, n: int = 100, shift: float = 0.0, draws: int = 300
) -> dict:
    """Three repeats, ``draws`` times: how often the interval contains the noise-free answer."""
    draw = random.Random(f"{truth} {sigma} {n} {shift}")
    right = nine_tenths([measured(truth, n, 0.0, draw)]).lr
    verdicts: Counter[str] = Counter()
    inside, widths, misses = 0, [], []
    for _ in range(draws):
        shifts = [draw.gauss(0.0, shift) for _ in range(3)]
        answer = nine_tenths([measured(truth, n, sigma, draw, by) for by in shifts])
        verdicts[answer.verdict] += 1
        if answer.lr is not None:
            inside += answer.interval[0] <= right <= answer.interval[1]
            widths.append(math.log10(answer.interval[1] / answer.interval[0]))
            misses.append(math.log10(answer.lr / right))
    answered = len(widths)
    return {
        "noise": sigma / 1.8,
        "shift": shift,
        "answered": answered / draws,
        "inside": inside / answered if answered else None,
        "width": sum(widths) / answered if answered else None,
        "bias": sum(misses) / answered if answered else None,
        "verdicts": dict(verdicts),
    }


def false_alarms(
    n: int, *, blow_up: bool, repeats: int = 1, tails: bool = False, draws: int = 1000
) -> Counter[str]:
    """Verdicts on curves that are nothing but noise, with or without a blow-up at 0.3."""

    def truth(x: float) -> float:
        return 2.3 + (30.0 * max(0.0, x + 0.5) ** 2 if blow_up else 0.0)

    draw = random.Random(f"{n} {blow_up} {repeats} {tails}")
    return Counter(
        nine_tenths([measured(truth, n, 0.1, draw, tails=tails) for _ in range(repeats)]).verdict
        for _ in range(draws)
    )
