"""p values of several comparisons at once, so that luck among many is not taken for merit.

Why these, and how often they are wrong: docs/adr/0013-how-arms-are-ranked.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from stepsize.comparison.intervals import mean_of, p_of, paired_p


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Adjust for comparisons that were fixed beforehand (Holm, Scand. J. Statistics 6, 1979).

    The smallest of ``m`` is multiplied by ``m``, the next by ``m - 1``, and so on; none ends below
    one before it. Of all that are then at most 0.05, any is so by chance in at most 5 % of all
    comparisons. None stays None and does not count.

    >>> holm([0.01, 0.04, None, 0.03])
    (0.03, 0.06, None, 0.06)
    """
    return _step_down(p_values, lambda left: left)


def every_pair(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Adjust for comparisons with the arm that came out best of the same runs.

    Any pair of the ``m + 1`` arms could have become one of the ``m`` comparisons, so the smallest
    is multiplied by ``m (m + 1) / 2``; the next as if its arm had not taken part; and so on; none
    ends below one before it. None stays None and does not count.

    >>> [round(p, 3) for p in every_pair([0.01, 0.04, 0.001])]
    [0.03, 0.04, 0.006]
    """
    return _step_down(p_values, lambda left: math.comb(left + 1, 2))


def shared_noise(arms: Sequence[Sequence[float]]) -> tuple[float | None, ...]:
    """Test each later arm against the first, the best, by the noise of all that are as near.

    The arm farthest from the best comes first. The noise is what is left of the values without the
    means of arms and seeds (two-way analysis of variance), with ``(arms - 1) (seeds - 1)`` degrees
    of freedom; the p value is multiplied by the number of pairs. Then the next, as if that arm had
    not taken part; and so on; none ends below one before it.

    Args:
        arms: the values of each, in the same order of seeds.

    Returns:
        The adjusted p values; None with one seed.

    >>> [round(p, 4) for p in shared_noise([[1.0, 2.0, 3.0], [1.1, 2.0, 3.2], [1.9, 3.1, 4.0]])]
    [0.2254, 0.0005]
    """
    means = [mean_of(values) for values in arms]
    adjusted: list[float | None] = [None] * (len(arms) - 1)
    if len(arms[0]) < 2:
        return tuple(adjusted)
    reached = 0.0
    left = sorted(range(1, len(arms)), key=lambda i: abs(means[i] - means[0]))
    while left:
        pairs = math.comb(len(left) + 1, 2)
        error, degrees = _noise([arms[0], *(arms[i] for i in left)])
        farthest = left.pop()
        p = p_of(means[farthest] - means[0], error, degrees)
        reached = 1.0 if p is None else min(1.0, max(reached, pairs * p))
        adjusted[farthest - 1] = reached
    return tuple(adjusted)


def against_the_best(arms: Sequence[Sequence[float]]) -> tuple[float | None, ...]:
    """Test each later arm against the first, which came out best of them, seed by seed.

    The middle one of three p values: :func:`holm` of the paired t tests, which is too small,
    because the best was chosen; :func:`every_pair` of them, which holds whatever the arms' noise is
    like, but with few seeds and many arms tells nothing apart; and :func:`shared_noise`, which
    knows the noise well where it is much the same in all arms. So it is never below Holm's, and
    with two arms it is that of the paired t test.

    Args:
        arms: the values of each, in the same order of seeds.

    Returns:
        The adjusted p values; None with one seed.

    >>> [round(p, 4) for p in against_the_best(
    ...     [[1.0, 2.0, 3.0], [1.1, 2.0, 3.2], [1.9, 3.1, 4.0]])]
    [0.2254, 0.0066]
    """
    own = [paired_p([a - b for a, b in zip(arm, arms[0], strict=True)]) for arm in arms[1:]]
    return tuple(
        None if low is None or high is None or shared is None else sorted((low, high, shared))[1]
        for low, high, shared in zip(holm(own), every_pair(own), shared_noise(arms), strict=True)
    )


def _noise(arms: Sequence[Sequence[float]]) -> tuple[float, int]:
    """The standard error of a difference between two means, and its degrees of freedom."""
    seeds = range(len(arms[0]))
    means = [mean_of(values) for values in arms]
    whole = mean_of(means)
    shifts = [mean_of([values[seed] for values in arms]) - whole for seed in seeds]
    squares = math.fsum(
        (values[seed] - mean - shifts[seed]) ** 2
        for values, mean in zip(arms, means, strict=True)
        for seed in seeds
    )
    degrees = (len(arms) - 1) * (len(seeds) - 1)
    return math.sqrt(2.0 * squares / degrees / len(seeds)), degrees


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
