"""The default rule: the rate at which the loss has made nine tenths of its fall.

The lowest point of a curve is badly determined (it is flat there) and lies near the divergence;
the steepest point is as badly determined (a slope is noise divided by a small step). The point
where the smoothed loss crosses a level is well determined, because the curve is steep there, and
nine tenths of the way down it is close below the largest rate that still works.

The figure 0.9 was chosen on twelve small workloads: see benchmarks/regret/default_rule.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import variance

from stepsize.records import Clr, Curve, Suggestion
from stepsize.suggest.pool import pool
from stepsize.suggest.shape import LEAST_POINTS, Shape, shape_of

#: The share of the fall at which the suggested rate lies.
FRACTION = 0.9
#: The share at which learning has visibly begun: the lower bound of a cyclical schedule.
BEGUN = 0.1
#: A fall smaller than this many standard errors is none (more when few points tell the error).
SIGNIFICANT = 4.0
#: An interval wider than this many decades is no answer.
WIDEST = 2.0
#: The noise around one curve counts like this many further repeats when intervals are made.
PRIOR_REPEATS = 5
#: Standard deviation, in decades, of the answers of sweeps that differ by batches and weights, on
#: top of the noise that a sweep sees in itself. Measured, like FRACTION.
BETWEEN_SWEEPS = 0.06
#: Two-sided 95 % points of Student's t, by degrees of freedom, from PRIOR_REPEATS.
_T = (2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def nine_tenths(curves: Sequence[Curve]) -> Suggestion:
    r"""Suggest the rate where the mean of ``curves`` has made nine tenths of its fall.

    With ``s`` the smoothed loss over ``x = log10(rate)``, ``s0`` its level before learning and
    ``s*`` its minimum: the last ``x`` below the minimum with ``s(x) = s0 - 0.9 (s0 - s*)``.
    Unchanged by the number of points and by a constant added to the loss or multiplied with it.

    The 95 % interval joins two variances, weighted as 5 to R - 1 degrees of freedom: of the
    crossing in the mean curve, ``(se(s)^2 + se(level)^2) / slope^2`` and what sweeps usually differ
    by besides, and between the R repeats; never less than the latter alone.

    Args:
        curves: one or more repeats over the same ladder.

    Returns:
        A suggestion, or an abstention: ``too_few_points``, ``diverged_at_start``, ``flat``,
        ``still_falling`` or ``too_noisy``, with the reason and what to try.

    >>> from stepsize.rangetest import Geometric
    >>> rates = [rung.lr for rung in Geometric(1e-6, 1.0).rungs()]
    >>> fall = [2.0 - 1.0 / (1.0 + (0.001 / lr) ** 2) + (lr / 0.1) ** 2 for lr in rates]
    >>> answer = nine_tenths([Curve(tuple(rates), tuple(fall), stop="rise")])
    >>> answer.verdict, 0.001 < answer.lr < 0.01
    ('ok', True)
    >>> nine_tenths([Curve(tuple(rates), (2.3,) * len(rates))]).verdict
    'flat'
    """
    curve = pool(curves)
    shape = shape_of(curve)
    if shape is None:
        return _too_short(curve)
    abstention = _abstain(curve, shape)
    if abstention is not None:
        return abstention
    x = shape.crossing(FRACTION)
    if x is None or _starts_falling(shape, x):
        return _no_start(curve)
    half = _half_interval(curves, shape, x)
    if 2.0 * half > WIDEST:
        return Suggestion(
            "too_noisy",
            f"The loss falls, but the noise leaves {2 * half:.1f} decades of rates to choose from. "
            "Try more repeats, more updates per rate or a larger batch.",
        )
    return Suggestion(
        "ok",
        f"The smoothed loss has made nine tenths of its fall here; it is lowest at "
        f"{10 ** shape.x[shape.lowest]:.2g} and {_beyond(curve)}.",
        lr=10.0**x,
        interval=_measured(shape, x - half, x + half),
        clr=smith_range(shape, curve.diverged),
    )


def smith_range(shape: Shape, diverged: bool) -> Clr | None:
    """Smith's bounds for a cyclical schedule (2015, section 3.3).

    ``base_lr`` where the loss has begun to fall (a tenth of the fall), ``max_lr`` where it stops
    falling: the smoothed minimum, or, where no blow-up ends the bottom, the first rate within
    three standard errors of it (the minimum of a plateau is a place made of noise).
    """
    begun = shape.crossing(BEGUN)
    margin = 0.0 if diverged else 3.0 * shape.error[shape.lowest]
    bottom = shape.value[shape.lowest] + margin
    stops = next(i for i, value in enumerate(shape.value) if value <= bottom)
    crossing = shape.crossing(FRACTION)
    highest = max(shape.x[stops], shape.x[0] if crossing is None else crossing)
    return None if begun is None or begun >= highest else Clr(10.0**begun, 10.0**highest)


def _measured(shape: Shape, low: float, high: float) -> tuple[float, float]:
    """The interval, no wider than what was measured."""
    return 10.0 ** max(low, shape.x[0]), 10.0 ** min(high, shape.x[-1])


def _abstain(curve: Curve, shape: Shape) -> Suggestion | None:
    """The abstention that the shape calls for, if any."""
    if shape.drop <= SIGNIFICANT * (1.0 + 4.0 / len(shape.x)) * shape.drop_error:
        return _no_start(curve) if curve.diverged and _rises_at_once(shape) else _flat(curve)
    tail = next(i for i, x in enumerate(shape.x) if x >= shape.x[-1] - 0.5)
    fall = shape.value[tail] - shape.value[-1]
    noise = math.hypot(shape.error[tail], shape.error[-1])
    if not curve.diverged and fall > 0.05 * shape.drop and fall > 3.0 * noise:
        return Suggestion(
            "still_falling",
            f"The loss is still falling at the highest rate tried, {curve.lr[-1]:.2g}. "
            f"{_cut_short(curve)}End the ladder at a higher rate.",
        )
    return None


def _rises_at_once(shape: Shape) -> bool:
    """Whether the loss ends within a decade, or is above its first value there beyond the noise."""
    if shape.x[-1] - shape.x[0] < 1.0:
        return True
    soon = shape.at(shape.x[0] + 1.0)
    noise = math.hypot(shape.error[0], shape.error[soon])
    return shape.value[soon] - shape.value[0] > SIGNIFICANT * noise


def _starts_falling(shape: Shape, x: float) -> bool:
    """Whether the level before learning was read from the fall itself."""
    end = shape.before - 1
    return x <= shape.x[end] or shape.value[0] - shape.value[end] > 0.5 * shape.drop


def _flat(curve: Curve) -> Suggestion:
    seen = f"The loss never fell by more than its noise between {curve.lr[0]:.2g} and "
    seen += f"{curve.lr[-1]:.2g}"
    if curve.diverged:
        seen += (
            ", where it blew up. Start the ladder at a lower rate; if it starts low enough, check "
            "that the model can learn (labels, loss, frozen layers)."
        )
    else:
        seen += f". {_cut_short(curve)}Check that the model can learn (labels, loss, frozen "
        seen += "layers), or make more updates per rate."
    return Suggestion("flat", seen)


def _too_short(curve: Curve) -> Suggestion:
    finite = curve.finite()
    if len(curve) and curve.diverged and (not finite.lr or finite.lr[-1] < 10.0 * finite.lr[0]):
        return _no_start(curve)
    return Suggestion(
        "too_few_points",
        f"Only {len(finite)} points were measured; at least {LEAST_POINTS} are needed. "
        f"{_cut_short(curve)}Give the ladder more rates.",
    )


def _no_start(curve: Curve) -> Suggestion:
    if len(curve) and not math.isfinite(curve.loss[0]):
        return Suggestion(
            "diverged_at_start",
            "The loss is NaN or infinite before the first update: check the data and the model.",
        )
    return Suggestion(
        "diverged_at_start",
        f"The training already moves or blows up at the lowest rates, from {curve.lr[0]:.2g}. "
        "Start the ladder at a lower rate, and check the loss of an untrained model.",
    )


def _cut_short(curve: Curve) -> str:
    """Names the cap that ended the test, if one did."""
    caps = {
        "max_updates": "its cap on updates",
        "max_seconds": "its cap on seconds",
        "rate_limit": "its limit on the rate",
    }
    return f"The test was cut short by {caps[curve.stop]}. " if curve.stop in caps else ""


def _half_interval(curves: Sequence[Curve], shape: Shape, x: float) -> float:
    """Half the 95 % interval of log10 of the rate, in decades."""
    level_error = math.hypot(
        (1.0 - FRACTION) * shape.start_error, FRACTION * shape.error[shape.lowest]
    )
    slope = abs(shape.slope(x)) or 1e-300
    within = (math.hypot(shape.error[shape.at(x)], level_error) / slope) ** 2
    within += BETWEEN_SWEEPS**2 / len(curves)
    freedom, between = PRIOR_REPEATS, 0.0
    pooled = within * PRIOR_REPEATS
    repeats = curves if len(curves) > 1 else ()
    answers = [answer for answer in map(_crossing, repeats) if answer is not None]
    if len(answers) > 1:
        between = variance(answers) / len(answers)
        pooled += between * (len(answers) - 1)
        freedom += len(answers) - 1
    # Repeats that differ by more than their noise (other batches, other weights) are believed.
    t = _T[min(freedom - PRIOR_REPEATS, len(_T) - 1)]
    return t * math.sqrt(max(pooled / freedom, between))


def _crossing(curve: Curve) -> float | None:
    shape = shape_of(curve)
    return None if shape is None or shape.drop <= 0 else shape.crossing(FRACTION)


def _beyond(curve: Curve) -> str:
    if curve.diverged:
        return f"blows up by {curve.lr[-1]:.2g}"
    return f"the test went up to {curve.lr[-1]:.2g}"
