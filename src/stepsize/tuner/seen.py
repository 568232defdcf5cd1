"""The losses that a race has seen: what a decision is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from stepsize.records import Reading

#: An arm by its step on the scale of rates, and a rung.
Place = tuple[int, int]


@final
@dataclass
class Seen:
    """The losses that a race has seen; what the decision is made of.

    Attributes:
        start: the validation loss before any update.
        updates: of one whole training.
        rungs: updates at each rung.
        level: validation loss on the level, by arm and rung; infinite for a divergence.
        after_decay: validation loss after a cool-down from there.
        train: the reading of the training loss, by arm and rung.
    """

    start: float
    updates: int
    rungs: tuple[int, ...]
    level: dict[Place, float] = field(default_factory=dict)
    after_decay: dict[Place, float] = field(default_factory=dict)
    train: dict[Place, Reading] = field(default_factory=dict)

    def at(self, rung: int) -> dict[int, float]:
        """The losses on the level at one rung, by arm."""
        return {step: loss for (step, at), loss in self.level.items() if at == rung}

    def decayed_at(self, rung: int) -> dict[int, float]:
        """The losses after a cool-down from one rung, by arm."""
        return {step: loss for (step, at), loss in self.after_decay.items() if at == rung}
