"""The rules of fastai 2.8.12 (``fastai/callback/schedule.py``, lines 216-267).

``Learner.lr_find`` hands them the debiased moving average (0.98) of the losses, without the first
tenth and the last five points (lines 299-304).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from stepsize.records import Curve
from stepsize.suggest.peers.averages import argmin, debiased, gradient


def valley(curve: Curve) -> float | None:
    """About half-way through the longest falling subsequence; fastai's default."""
    lrs, losses = _trimmed(curve)
    return lrs[valley_index(losses)] if losses else None


def slide(curve: Curve) -> float | None:
    """The left edge of a window slid down from the right until the slope is alike at both ends."""
    lrs, losses = _trimmed(curve)
    index = slide_index(losses)
    return None if index is None else lrs[index]


def minimum_over_ten(curve: Curve) -> float | None:
    """A tenth of the rate with the lowest loss."""
    lrs, losses = _trimmed(curve)
    return lrs[argmin(losses)] / 10.0 if losses else None


def valley_index(losses: Sequence[float]) -> int:
    """fastai's ``valley``, in n log n instead of n^2 steps.

    ``lengths[i]`` is the length of the longest strictly falling subsequence that ends at i.
    """
    tails: list[float] = []  # tails[k]: the largest last element, negated, of a fall of length k+1
    lengths = []
    for loss in losses:
        k = bisect_left(tails, -loss)
        tails[k : k + 1] = [-loss]
        lengths.append(k + 1)
    end = lengths.index(max(lengths))
    start = end - lengths[end] if end else 0
    sections = (end - start) / 3
    return start + int(sections) + int(sections / 2)


def slide_index(losses: Sequence[float], width: int = 15, threshold: float = 0.005) -> int | None:
    """fastai's ``slide``; None where the original raises an IndexError (fewer than 16 points)."""
    if len(losses) <= width:
        return None
    slopes = gradient(losses)
    right = len(losses) - 1
    left = right - width
    answer = left
    while left >= 0 and abs(slopes[right] - slopes[left]) > threshold:
        answer = left
        right -= 1
        left -= 1
    return answer


def _trimmed(curve: Curve) -> tuple[Sequence[float], Sequence[float]]:
    first = len(curve) // 10
    whole = curve.finite()
    last = min(len(whole), len(curve) - 5)
    return whole.lr[first:last], debiased(whole.loss)[first:last]
