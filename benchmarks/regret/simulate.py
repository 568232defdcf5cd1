"""Curves whose truth is known: how often the interval holds it, and how often noise is believed."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from make_curves import HIGHEST, LOWEST, ladder
from rules import DEFAULT, Replay, Setting

from stepsize import Curve, Geometric, range_test
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
    """A curve as ``find`` leaves it, at ``n`` rates and what it adds to them.

    The loss at a rate shows the effect of the rate before, as in a training. ``shift`` moves the
    whole truth to the right. ``tails``: Student's t with 3 degrees of freedom, scaled to ``sigma``.
    """
    x = [math.log10(lr) for lr in ladder(n)]
    before = [2 * x[0] - x[1], *x[:-1]]
    noise = _student if tails else (lambda d: d.gauss(0.0, 1.0))
    losses = [truth(place - shift) + sigma * noise(draw) for place in before]
    return range_test(Replay(losses), Geometric(LOWEST, HIGHEST, rates=n))


def _student(draw: random.Random) -> float:
    """Student's t with 3 degrees of freedom, scaled to variance 1."""
    chi = draw.gammavariate(1.5, 2.0)
    return draw.gauss(0.0, 1.0) / math.sqrt(chi / 3.0) / math.sqrt(3.0)


def coverage(
    truth: Truth, sigma: float, setting: Setting, shift: float, draws: int
) -> tuple[object, ...]:
    """How often the interval contains the noise-free answer; width, bias, abstentions."""
    n, sweeps = setting
    draw = random.Random(f"{truth} {sigma} {setting} {shift}")
    right = nine_tenths([measured(truth, n, 0.0, draw)]).lr
    verdicts: Counter[str] = Counter()
    inside, widths, misses = [], [], []
    for _ in range(draws):
        shifts = [draw.gauss(0.0, shift) for _ in range(sweeps)]
        answer = nine_tenths([measured(truth, n, sigma, draw, by) for by in shifts])
        verdicts[answer.verdict] += 1
        if answer.lr is not None:
            inside.append(answer.interval[0] <= right <= answer.interval[1])
            widths.append(math.log10(answer.interval[1] / answer.interval[0]))
            misses.append(math.log10(answer.lr / right))
    return (
        f"{fmean(inside):.1%}" if inside else None,
        fmean(widths) if widths else None,
        f"{fmean(misses):+.3f}" if misses else None,
        f"{1 - len(widths) / draws:.1%}",
    )


def known_truth(draws: int) -> str:
    """Curves with a known answer: coverage, width and bias of the default's interval.

    ``shift``: sweeps that are moved against each other by so many decades (standard deviation).
    """
    rows = ["| curve | noise / fall | shift | inside | width, decades | bias, decades | abstains |"]
    rows.append("| --- | --: | --: | --: | --: | --: | --: |")
    for label, truth in VALLEYS.items():
        for noise, shift in ((0.05, 0.0), (0.05, 0.06), (0.2, 0.0), (0.5, 0.0)):
            got = coverage(truth, 1.8 * noise, DEFAULT, shift, draws)
            cells = [f"{v:.2f}" if isinstance(v, float) else str(v) for v in (*got,)]
            rows.append("| " + " | ".join([label, f"{noise:.0%}", f"{shift}", *cells]) + " |")
    return "\n".join(rows)


def false_alarms(setting: Setting, *, blow_up: bool, tails: bool, draws: int) -> Counter[str]:
    """Verdicts on curves that are nothing but noise, with or without a blow-up at 0.3."""

    def truth(x: float) -> float:
        return 2.3 + (30.0 * max(0.0, x + 0.5) ** 2 if blow_up else 0.0)

    draw = random.Random(f"{setting} {blow_up} {tails}")
    return Counter(
        nine_tenths(
            [measured(truth, setting.rates, 0.1, draw, tails=tails) for _ in range(setting.sweeps)]
        ).verdict
        for _ in range(draws)
    )


def noise_believed(draws: int) -> str:
    """Curves of pure noise: how often a rate comes out."""
    rows = ["| noise | sweeps x updates | answered ok | abstentions |", "| --- | --: | --: | --- |"]
    for setting in (Setting(35, 1), Setting(100, 1), Setting(100, 3), DEFAULT):
        for tails in (False, True):
            for blow_up in (False, True):
                verdicts = false_alarms(setting, blow_up=blow_up, tails=tails, draws=draws)
                noise = "Student t, 3 degrees" if tails else "Gaussian"
                end = "blow-up at 0.3" if blow_up else "flat to the end"
                others = ", ".join(f"{v} {c}" for v, c in verdicts.most_common() if v != "ok")
                alarms = f"{verdicts['ok']} ({verdicts['ok'] / draws:.1%})"
                size = f"{setting.sweeps} x {setting.rates}"
                rows.append(f"| {noise}, {end} | {size} | {alarms} | {others} |")
    return "\n".join(rows)
