"""The rule of pytorch-ignite 0.5.5 (``ignite/handlers/lr_finder.py``, lines 334-354)."""

from __future__ import annotations

from stepsize.records import Curve
from stepsize.suggest.peers.averages import argmin, seeded


def ignite(curve: Curve) -> float | None:
    """The steepest fall per index before the minimum; None where it asks for a U-shaped curve."""
    curve = curve.finite()
    losses = seeded(curve.loss)
    falling = losses[: argmin(losses) + 1] if losses else []
    if len(falling) < 3:
        return None
    slopes = [(after - before) / 2.0 for before, after in zip(falling, falling[2:], strict=False)]
    return curve.lr[argmin(slopes) + 1]
