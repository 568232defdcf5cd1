"""The mean curve of several repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stepsize.errors import require
from stepsize.records import Curve


def pool(curves: Sequence[Curve]) -> Curve:
    """The mean loss at each rate that every repeat reached.

    The mean curve ends where the first repeat ended, with that repeat's stop: a rate at which one
    batch order blows up is not a safe rate.

    Raises:
        InputError: no curves, or repeats over different rates.

    >>> pool([Curve((0.1, 0.2), (2.0, 1.0)), Curve((0.1,), (4.0,), stop="rise")])
    Curve(1 points, lr 0.1 to 0.1, loss 3 to 3, stop='rise')
    """
    require(len(curves) > 0, "There is no curve to read a learning rate from.")
    if len(curves) == 1:
        return curves[0]
    shortest = min(curves, key=lambda curve: (len(curve), not curve.diverged))
    n = len(shortest)
    require(
        all(curve.lr[:n] == shortest.lr for curve in curves),
        "Repeats must be range tests over the same learning rates.",
    )
    return Curve(
        lr=shortest.lr,
        loss=tuple(
            math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.inf
            for losses in zip(*(curve.loss[:n] for curve in curves), strict=True)
        ),
        updates=shortest.updates,
        lag=shortest.lag,
        stop=shortest.stop,
        spent=sum(curve.spent for curve in curves),
        seconds=math.fsum(curve.seconds for curve in curves),
    )
