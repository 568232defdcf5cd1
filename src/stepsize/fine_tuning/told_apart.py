"""Which neighbouring layer groups have rates that the measurement can tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stepsize.fine_tuning.shrinkage import Reading

#: Upper 5 % points of chi squared, by degrees of freedom from 1.
_CHI2 = (3.841, 5.991, 7.815, 9.488, 11.070, 12.592, 14.067, 15.507, 16.919, 18.307)


def alike(readings: Sequence[Reading | None]) -> tuple[tuple[int, ...], ...]:
    """The runs of neighbours whose readings cannot be told from one another, as indices.

    A run is alike while Cochran's ``Q = sum w (y - mean_w)^2`` over all its readings lies below the
    95 % point of chi squared. Neighbouring runs are joined, the most alike first, until none can
    be; a group without a reading is in no run, and a run does not reach across it.

    Returns:
        The runs of two groups or more, in order.

    Source: Cochran 1954, "The combination of estimates from different experiments".

    >>> near, far = Reading(-2.0, 0.1), Reading(-1.0, 0.1)
    >>> alike([near, Reading(-2.1, 0.1), far, None, far])
    ((0, 1),)
    """
    runs = [[i] for i in range(len(readings)) if readings[i] is not None]
    while True:
        pairs = [
            (_excess([readings[k] for k in (*runs[i], *runs[i + 1])]), i)
            for i in range(len(runs) - 1)
            if runs[i][-1] + 1 == runs[i + 1][0]
        ]
        excess, first = min(pairs, default=(math.inf, 0))
        if excess > 1.0:
            return tuple(tuple(run) for run in runs if len(run) > 1)
        runs[first : first + 2] = [runs[first] + runs[first + 1]]


def _excess(readings: Sequence[Reading | None]) -> float:
    """Cochran's Q as a share of what chance alone leaves it below in 95 % of cases."""
    known = [reading for reading in readings if reading is not None]
    weights = [1.0 / reading.error**2 for reading in known]
    values = [reading.value for reading in known]
    mean = math.fsum(map(_times, weights, values)) / math.fsum(weights)
    q = math.fsum(w * (value - mean) ** 2 for w, value in zip(weights, values, strict=True))
    return q / _limit(len(known) - 1)


def _times(a: float, b: float) -> float:
    return a * b


def _limit(freedom: int) -> float:
    """The 95 % point of chi squared; beyond the table by Wilson and Hilferty 1931."""
    if freedom <= len(_CHI2):
        return _CHI2[freedom - 1]
    share = 2.0 / (9.0 * freedom)
    return freedom * (1.0 - share + 1.645 * math.sqrt(share)) ** 3
