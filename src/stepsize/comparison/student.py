"""Student's t distribution: how surprising a mean is whose noise is known from a few values alone.

Student, "The probable error of a mean", Biometrika 6 (1908). The tail is an incomplete beta
function, computed as a continued fraction (Abramowitz and Stegun 26.5.8, 26.7.1).
"""

from __future__ import annotations

import math
from functools import lru_cache

#: A denominator of the continued fraction is never nearer to zero than this.
_TINY = 1e-300
_PRECISION = 1e-16
_MOST_TERMS = 10_000


def two_sided(t: float, degrees: int) -> float:
    """How often ``|T|`` is at least ``|t|`` under so many degrees of freedom.

    >>> round(two_sided(4.302653, 2), 6), two_sided(0.0, 2)
    (0.05, 1.0)
    """
    square = t * t
    if math.isinf(square):
        return 0.0
    total = degrees + square
    return _beta_share(degrees / total, square / total, degrees / 2.0, 0.5)


@lru_cache(maxsize=1024)
def half_width(level: float, degrees: int) -> float:
    """The ``t`` for which ``|T| <= t`` with probability ``level``, between 0 and 1.

    >>> round(half_width(0.95, 2), 6)
    4.302653
    """
    outside = 1.0 - level
    low, high = 0.0, 1.0
    while two_sided(high, degrees) > outside:
        low, high = high, 2.0 * high
    while low < (middle := (low + high) / 2.0) < high:
        if two_sided(middle, degrees) > outside:
            low = middle
        else:
            high = middle
    return high


def _beta_share(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function ``I_x(a, b)``, with ``rest = 1 - x``."""
    if x <= 0.0 or rest <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _beta_share(rest, x, b, a)
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log(rest) - beta)
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    value, numerator, denominator = 1.0, math.inf, 1.0
    for term in range(1, _MOST_TERMS):
        m = term // 2
        if term % 2 == 0:
            step = m * (b - m) * x / ((a + term - 1.0) * (a + term))
        else:
            step = -(a + m) * (a + b + m) * x / ((a + term - 1.0) * (a + term))
        numerator = _away_from_zero(1.0 + step / numerator)
        denominator = 1.0 / _away_from_zero(1.0 + step * denominator)
        value *= numerator * denominator
        if abs(numerator * denominator - 1.0) < _PRECISION:
            break
    return value


def _away_from_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
