"""Fixed random splits that every machine and version draws alike."""

from __future__ import annotations

import random


def fixed_order(count: int, seed: int) -> list[int]:
    """The numbers ``0 ... count - 1`` in a random order that depends on ``seed`` alone.

    Python guarantees the sequence of ``random.Random(seed).random()`` for all its versions; no
    such promise covers ``shuffle``, ``torch.randperm`` or ``numpy.random.default_rng``. So the
    numbers are sorted by keys drawn from it.

    >>> fixed_order(5, seed=0)
    [3, 2, 4, 1, 0]
    """
    draw = random.Random(seed)
    keys = [draw.random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)
