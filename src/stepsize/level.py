"""The running level of a noisy loss, as stop rules and the range's extension see it."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from statistics import median

#: A level is the median over this many decades of rate ...
WINDOW_DECADES = 0.25
#: ... but never over fewer points than this.
WINDOW_POINTS = 3
_WINDOW_RATIO = 10.0**-WINDOW_DECADES


class Level:
    """Follows the median loss of the last quarter decade, its best so far and the noise.

    A median, because one bad batch must not end a test; a window in decades, because the answer
    must not move with the number of points.

    >>> level = Level()
    >>> for i, loss in enumerate([2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.5, 1.5]):
    ...     level.see(10.0 ** (i - 5), loss)
    >>> level.start, level.best, level.now, level.drop
    (2.0, 1.0, 1.5, 1.0)
    """

    def __init__(self) -> None:
        self.start = math.nan
        self.best = math.inf
        self.now = math.nan
        self._window: deque[tuple[float, float]] = deque()
        self._steps: list[float] = []
        self._last = math.nan

    def see(self, lr: float, loss: float) -> None:
        """Take in the next point."""
        if not math.isnan(self._last):
            insort(self._steps, abs(loss - self._last))
        self._last = loss
        window = self._window
        window.append((lr, loss))
        while len(window) > WINDOW_POINTS and window[0][0] < lr * _WINDOW_RATIO:
            window.popleft()
        if len(window) < WINDOW_POINTS:
            return
        self.now = median([loss for _, loss in window])
        if math.isnan(self.start):
            self.start = self.now
        self.best = min(self.best, self.now)

    @property
    def ready(self) -> bool:
        """Whether there is a level yet."""
        return not math.isnan(self.start)

    @property
    def drop(self) -> float:
        """How far the level has fallen from its start."""
        return max(0.0, self.start - self.best) if self.ready else 0.0

    @property
    def noise(self) -> float:
        """The standard deviation of one loss around its level.

        From the median step between neighbours: for Gaussian noise it is 0.6745 sqrt(2) standard
        deviations. A median of few steps is uncertain, so it is taken (1 + 8 / steps) times. Never
        below what single precision can resolve.
        """
        resolution = 1e-7 * max(abs(self.start), abs(self.best)) if self.ready else 0.0
        if not self._steps:
            return resolution
        steps = len(self._steps)
        sigma = self._steps[steps // 2] / (0.6745 * math.sqrt(2.0))
        return max(sigma * (1.0 + 8.0 / steps), resolution)

    def at_edge(self) -> bool:
        """Whether the level is still, within the noise, at its lowest: the fall has no far side."""
        return not self.ready or self.now <= self.best + 0.1 * self.drop + 3.0 * self.noise
