"""Reading a layer group's curve: the rate at which the loss has made a share of its fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import variance
from typing import NamedTuple

from stepsize.records import Curve, Suggestion
from stepsize.suggest import pool
from stepsize.suggest.shape import Shape, shape_of

#: The share of the fall at which groups are compared.
SHARE = 0.7
#: The share that gives the rate of all groups together: the finder's own.
LEVEL_SHARE = 0.9
#: A fall smaller than this many standard errors is none.
SIGNIFICANT = 3.0
#: Standard deviation, in decades, between the readings of sweeps over other batches, on top of the
#: noise that a sweep sees in itself.
BETWEEN_SWEEPS = 0.15
#: An interval wider than this many decades is no answer.
WIDEST = 2.0


class Fall(NamedTuple):
    """Where a curve has made a share of its fall.

    Attributes:
        x: log10 of that rate.
        error: the standard error of ``x``, in decades.
        drop: how far the loss falls.
        drop_error: its standard error.
    """

    x: float
    error: float
    drop: float
    drop_error: float


def fall(curves: Sequence[Curve], share: float = SHARE) -> Suggestion:
    """The lowest rate at which the smoothed loss has made ``share`` of its fall.

    The default rule of the finder reads nine tenths, for the last time before the minimum: a rate
    that is close below the largest one that works. Layer groups in front of a normalisation have
    no largest one (their gradients shrink as their weights grow, and the loss stays on a plateau
    of noise), so their curves are compared where they first get there.

    Args:
        curves: one or more repeats over the same ladder.
        share: of the fall, between 0 and 1.

    Returns:
        A suggestion, or an abstention: ``too_few_points``, ``flat``, ``still_falling``,
        ``diverged_at_start`` or ``too_noisy``.

    >>> rates = tuple(10.0 ** (i / 12 - 5) for i in range(60))
    >>> losses = [2.0 - 1.0 / (1.0 + (0.001 / lr) ** 2) for lr in rates]
    >>> answer = fall([Curve(rates, tuple(losses))])
    >>> answer.verdict, 0.001 < answer.lr < 0.003
    ('ok', True)
    """
    curve = pool(curves)
    shape = shape_of(curve)
    if shape is None:
        return _no("too_few_points", "Too few rates were measured before the loss blew up.", share)
    reason = _abstains(curve, shape)
    if reason is not None:
        return _no(*reason, share)
    seen = _seen(curves, shape, share)
    if seen is None:
        return _no("diverged_at_start", "The loss already falls at the lowest rates.", share)
    half = 1.96 * seen.error
    if 2.0 * half > WIDEST:
        return _no("too_noisy", f"The noise leaves {2 * half:.1f} decades to choose from.", share)
    return Suggestion(
        "ok",
        f"The loss falls by {seen.drop:.2g} ± {2 * seen.drop_error:.1g} and has made "
        f"{share:.0%} of it here.",
        lr=10.0**seen.x,
        interval=(10.0 ** (seen.x - half), 10.0 ** (seen.x + half)),
        rule=_name(share),
    )


def _abstains(curve: Curve, shape: Shape) -> tuple[str, str] | None:
    """The verdict and the reason where a curve shows no fall, or not all of it."""
    if shape.drop <= SIGNIFICANT * shape.drop_error:
        return "flat", "The loss does not fall by more than its noise: only the ceiling is seen."
    last = len(shape.x) - 1
    tail = next(i for i, x in enumerate(shape.x) if x >= shape.x[-1] - 0.5)
    gain = shape.value[tail] - shape.value[last]
    noise = math.hypot(shape.error[tail], shape.error[last])
    if not curve.diverged and gain > 0.2 * shape.drop and gain > 3.0 * noise:
        return "still_falling", f"The loss still falls at the highest rate, {curve.lr[-1]:.2g}."
    return None


def _seen(curves: Sequence[Curve], shape: Shape, share: float) -> Fall | None:
    x = _first(shape, share)
    if x is None:
        return None
    level = math.hypot((1.0 - share) * shape.start_error, share * shape.error[shape.lowest])
    slope = abs(shape.slope(x)) or 1e-300
    own = (math.hypot(shape.error[shape.at(x)], level) / slope) ** 2
    own += BETWEEN_SWEEPS**2 / len(curves)
    repeats = [shape_of(curve) for curve in curves] if len(curves) > 1 else []
    places = [_first(each, share) for each in repeats if each is not None and each.drop > 0.0]
    found = [place for place in places if place is not None]
    between = variance(found) / len(found) if len(found) > 1 else 0.0
    return Fall(x, math.sqrt(max(own, between)), shape.drop, shape.drop_error)


def _first(shape: Shape, share: float) -> float | None:
    """log10 of the rate where ``share`` of the fall is made for the first time."""
    level = shape.start - share * shape.drop
    i = next((i for i in range(len(shape.x)) if shape.value[i] <= level), 0)
    if i < shape.before:
        return None
    above, below = shape.value[i - 1], shape.value[i]
    return shape.x[i - 1] + (above - level) / (above - below) * (shape.x[i] - shape.x[i - 1])


def _no(verdict: str, reason: str, share: float) -> Suggestion:
    return Suggestion(verdict, reason, rule=_name(share))


def _name(share: float) -> str:
    return f"{share:.0%} of the fall"
