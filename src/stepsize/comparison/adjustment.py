"""p values of several comparisons at once, so that luck among many is not taken for merit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Adjust for comparisons that were fixed beforehand (Holm, Scand. J. Statistics 6, 1979).

    The smallest of ``m`` is multiplied by ``m``, the next by ``m - 1``, and so on; none ends below
    one before it. Of all arms that are called different at 0.05, any is so wrongly in at most 5 %
    of all comparisons. None stays None and does not count.

    >>> holm([0.01, 0.04, None, 0.03])
    (0.03, 0.06, None, 0.06)
    """
    return _step_down(p_values, lambda left: left)


def against_the_best(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Adjust for comparisons with the arm that came out best of the same runs.

    That arm is best partly by luck, which makes all others look worse than they are: any of the
    ``m (m + 1) / 2`` pairs of ``m + 1`` arms could have become one of the ``m`` comparisons, and
    each counts. The smallest p value is multiplied by that; the next as if its arm had not taken
    part; and so on; none ends below one before it. None stays None and does not count.

    >>> [round(p, 3) for p in against_the_best([0.01, 0.04, 0.001])]
    [0.03, 0.04, 0.006]
    """
    return _step_down(p_values, lambda left: math.comb(left + 1, 2))


def _step_down(
    p_values: Sequence[float | None], factor: Callable[[int], int]
) -> tuple[float | None, ...]:
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    reached = 0.0
    for done, (p, i) in enumerate(known):
        reached = min(1.0, max(reached, p * factor(len(known) - done)))
        adjusted[i] = reached
    return tuple(adjusted)
