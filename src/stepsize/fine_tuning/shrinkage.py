"""Readings of different certainty drawn towards their common level (empirical Bayes)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from stepsize.errors import require


@final
@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value with its standard error; both in decades of learning rate.

    Raises:
        InputError: a value that is not finite, a standard error that is not positive.
    """

    value: float
    error: float

    def __post_init__(self) -> None:
        require(
            math.isfinite(self.value) and 0.0 < self.error < math.inf,
            f"A reading is a finite value with a positive error, got {self.value!r} with "
            f"{self.error!r}.",
        )


@final
@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is believed of each value when all are seen together.

    Attributes:
        level: their common level.
        level_error: its standard error.
        spread: the standard deviation of the true values around the level; 0 when the readings
            differ by no more than their errors explain.
        values: one per reading, drawn towards the level; the level itself where there was none.
        errors: their standard errors.
    """

    level: float
    level_error: float
    spread: float
    values: tuple[float, ...]
    errors: tuple[float, ...]


def shrunk(readings: Sequence[Reading | None]) -> Shrunk | None:
    r"""Draw ``readings`` towards their common level, as far as they cannot be told from it.

    The true values are taken to be spread around the level ``m`` with a variance ``t2``, which
    DerSimonian and Laird estimate from the readings ``y`` and their errors ``e``, ``w = 1 / e^2``::

        Q  = sum w (y - mean_w)^2
        t2 = max(0, (Q - (k - 1)) / (sum w - sum w^2 / sum w))
        m  = sum y / (e^2 + t2)  /  sum 1 / (e^2 + t2)
        value_i = m + B_i (y_i - m)      B_i = t2 / (e_i^2 + t2)
        error_i^2 = B_i e_i^2 + (1 - B_i)^2 var(m)

    With ``t2 = 0`` all values are the level: what cannot be told apart gets one rate. ``None``
    stands for a reading that was not to be had; its value is the level, its error
    ``sqrt(t2 + var(m))``.

    Returns:
        None when there is no reading at all.

    Source: DerSimonian & Laird 1986, "Meta-analysis in clinical trials", eqs. 8-9; Morris 1983,
    "Parametric empirical Bayes inference".

    >>> one = shrunk([Reading(-2.0, 0.3), Reading(-1.9, 0.3), None])
    >>> one.spread, [round(value, 3) for value in one.values]
    (0.0, [-1.95, -1.95, -1.95])
    >>> far = shrunk([Reading(-3.0, 0.3), Reading(-1.0, 0.3), None])
    >>> [round(value, 2) for value in far.values]
    [-2.96, -1.04, -2.0]
    """
    known = [reading for reading in readings if reading is not None]
    if not known:
        return None
    variance = _between(known)
    weights = [1.0 / (reading.error**2 + variance) for reading in known]
    level = _mean(known, weights)
    of_level = 1.0 / math.fsum(weights)
    values, errors = [], []
    for reading in readings:
        if reading is None:
            values.append(level)
            errors.append(math.sqrt(variance + of_level))
            continue
        own = variance / (reading.error**2 + variance)
        values.append(level + own * (reading.value - level))
        errors.append(math.sqrt(own * reading.error**2 + (1.0 - own) ** 2 * of_level))
    return Shrunk(level, math.sqrt(of_level), math.sqrt(variance), tuple(values), tuple(errors))


def _between(readings: Sequence[Reading]) -> float:
    """The variance between the true values, by DerSimonian and Laird."""
    weights = [1.0 / reading.error**2 for reading in readings]
    total = math.fsum(weights)
    mean = _mean(readings, weights)
    heterogeneity = math.fsum(
        weight * (reading.value - mean) ** 2
        for reading, weight in zip(readings, weights, strict=True)
    )
    scale = total - math.fsum(weight**2 for weight in weights) / total
    if len(readings) < 2 or scale <= 0.0:
        return 0.0
    return max(0.0, (heterogeneity - (len(readings) - 1)) / scale)


def _mean(readings: Sequence[Reading], weights: Sequence[float]) -> float:
    values = (w * reading.value for reading, w in zip(readings, weights, strict=True))
    return math.fsum(values) / math.fsum(weights)
