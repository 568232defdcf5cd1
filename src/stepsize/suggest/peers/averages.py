"""The moving averages of the peers, and the numerical gradient they take of them."""

from __future__ import annotations

from collections.abc import Sequence


def debiased(losses: Sequence[float], beta: float = 0.98, exponent_shift: int = 0) -> list[float]:
    """``m = beta m + (1 - beta) loss``, divided by ``1 - beta^(t + 1 + exponent_shift)``.

    >>> debiased([2.0, 2.0], beta=0.5)
    [2.0, 2.0]
    """
    mean, out = 0.0, []
    for t, loss in enumerate(losses):
        mean = beta * mean + (1.0 - beta) * loss
        out.append(mean / (1.0 - beta ** (t + 1 + exponent_shift)))
    return out


def seeded(losses: Sequence[float], weight: float = 0.05) -> list[float]:
    """``s = weight loss + (1 - weight) s``, begun with the first loss.

    >>> seeded([2.0, 4.0])
    [2.0, 2.1]
    """
    out: list[float] = []
    for loss in losses:
        out.append(loss if not out else weight * loss + (1.0 - weight) * out[-1])
    return out


def gradient(values: Sequence[float]) -> list[float]:
    """NumPy's ``gradient`` per index: central differences, one-sided at the ends.

    >>> gradient([0.0, 1.0, 4.0])
    [1.0, 2.0, 3.0]
    """
    inner = [(after - before) / 2.0 for before, after in zip(values, values[2:], strict=False)]
    return [values[1] - values[0], *inner, values[-1] - values[-2]]


def argmin(values: Sequence[float]) -> int:
    """The index of the first smallest value."""
    return min(range(len(values)), key=values.__getitem__)
