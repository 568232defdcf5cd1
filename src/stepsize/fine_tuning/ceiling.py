"""The ceiling of a layer group: the highest rate that does no harm."""

from __future__ import annotations

import math

from stepsize.records import Curve
from stepsize.suggest.shape import shape_of

#: The loss has left its level when it is above it by this many standard errors.
CLEARLY = 3.0


def ceiling(curve: Curve) -> float | None:
    """The rate at which the smoothed loss, after its lowest point, rises above where it began.

    Read also where there is no fall: a curve that is level and then rises says nothing of the best
    rate, but it says which rates are too high. Above its beginning means by more than three
    standard errors, or that the loss blew up.

    Returns:
        None where the loss never rises above its beginning, or where too few points are left.

    >>> rates = tuple(10.0 ** (i / 10 - 5) for i in range(60))
    >>> level = tuple(2.0 + 0.01 * (-1) ** i for i in range(60))
    >>> rises = tuple(loss + (lr / 0.1) ** 2 for loss, lr in zip(level, rates))
    >>> ceiling(Curve(rates, level)), 0.003 < ceiling(Curve(rates, rises, stop="rise")) < 0.1
    (None, True)
    """
    shape = shape_of(curve)
    if shape is None:
        return None
    margins = [CLEARLY * math.hypot(error, shape.start_error) for error in shape.error]
    begin = shape.lowest if shape.drop > 0.0 else 0
    for i in range(begin, len(shape.x)):
        if shape.value[i] > shape.start + margins[i]:
            return math.pow(10.0, shape.x[max(i - 1, 0)])
    return math.pow(10.0, shape.x[-1]) if curve.diverged else None
