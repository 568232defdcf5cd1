"""Range tests with fewer points: enough for a picture, small enough to keep with every run."""

from __future__ import annotations

import math
from dataclasses import replace

from stepsize.fine_tuning.layer_tests import LayerRangeTests
from stepsize.records import Curve, FindResult, Recommendation

#: Points of a curve that is kept.
MOST_POINTS = 120
#: Digits of a number in it.
_DIGITS = 5


def thin(find: FindResult, most: int = MOST_POINTS) -> FindResult:
    """The same answer with at most ``most`` points of its curve, and without the repeats.

    Points are left out evenly; their updates are counted with the one before.

    >>> from stepsize.records import Suggestion
    >>> curve = Curve([0.001 * 2**i for i in range(8)], [1.0] * 8)
    >>> whole = FindResult(Suggestion("flat", "no fall"), curve, tuple(curve.loss), (curve,))
    >>> small = thin(whole, 4); small.curve.lr, small.curve.updates, small.repeats
    ((0.001, 0.004, 0.016, 0.064), (2, 2, 2, 2), ())
    """
    step = max(1, math.ceil(len(find.curve) / most))
    at = range(0, len(find.curve), step)
    curve = find.curve
    thinned = Curve(
        lr=tuple(_short(curve.lr[i]) for i in at),
        loss=tuple(_short(curve.loss[i]) for i in at),
        updates=tuple(sum(curve.updates[i : i + step]) for i in at),
        lag=curve.lag,
        stop=curve.stop,
        spent=curve.spent,
        seconds=curve.seconds,
    )
    smoothed = tuple(_short(find.smoothed[i]) for i in at) if find.smoothed else ()
    return replace(find, curve=thinned, smoothed=smoothed, repeats=())


def thin_tests(tests: LayerRangeTests) -> LayerRangeTests:
    """The same tests of the layer groups, each curve thinned."""
    return replace(
        tests,
        tests=tuple(
            test if test.find is None else replace(test, find=thin(test.find))
            for test in tests.tests
        ),
        common=None if tests.common is None else thin(tests.common),
    )


def thin_recommendation(answer: Recommendation) -> Recommendation:
    """The same recommendation, the curve of its range test thinned."""
    return answer if answer.find is None else replace(answer, find=thin(answer.find))


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
