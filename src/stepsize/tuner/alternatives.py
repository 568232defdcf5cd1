"""The answer carried over: to other schedules, and to other lengths of training."""

from __future__ import annotations

from collections.abc import Collection

from stepsize.records import Alternative
from stepsize.tuner.entries import level_and_decay, warmed
from stepsize.tuner.rates import three_digits

#: Where the best peak of another schedule lies, as a multiple of that of warm-up-stable-decay:
#: medians over the development workloads of benchmarks/regret.
PEAKS = {"linear": 1.7, "cosine": 1.7, "constant": 1.0}
#: The best peak goes with the length of the training to this power, give or take the second.
DRIFT, DRIFT_ERROR = -0.25, 0.25
#: Half of the 80 % interval of a rate, in decades: as wide as holds in 80 % of 70 cases on all 26
#: workloads of benchmarks/regret (half a decade held in 84 % on development, 59 % on judging).
HALF_INTERVAL = 0.6


def interval(lr: float, further: float = 0.0) -> tuple[float, float]:
    """The 80 % interval around a rate; ``further`` decades are added to each side.

    >>> interval(0.1)
    (0.0251, 0.398)
    """
    factor = 10.0 ** (HALF_INTERVAL + further)
    return three_digits(lr / factor), three_digits(lr * factor)


def alternatives(lr: float, measured: Collection[str] = ()) -> tuple[Alternative, ...]:
    """Where the best peaks of other schedules and of other lengths are expected.

    Args:
        lr: the recommended peak of warm-up-stable-decay.
        measured: the kinds that were trained at these peaks.

    >>> [(each.what, each.schedule) for each in alternatives(0.1)][:2]
    [('linear', 'warmup(linear(0.17))'), ('cosine', 'warmup(cosine(0.17))')]
    """
    found = []
    for kind, factor in PEAKS.items():
        peak = three_digits(lr * factor)
        basis = "measured" if kind in measured else "expected"
        found.append(Alternative(kind, str(warmed(kind, peak)), interval(peak, 0.1), basis))
    for times, what in ((0.25, "a quarter as long"), (4.0, "4 times as long")):
        peak = three_digits(lr * times**DRIFT)
        further = DRIFT_ERROR * 0.6  # a factor of four is 0.6 decades
        text = str(level_and_decay(peak))
        found.append(Alternative(what, text, interval(peak, further), "expected"))
    return tuple(found)
