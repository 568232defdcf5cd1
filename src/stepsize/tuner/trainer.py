"""What a race drives: something that trains arms, any number of them, a part at a time."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stepsize.records import Reading
from stepsize.schedules import Schedule


class Entry(NamedTuple):
    """What an arm is trained under.

    Attributes:
        schedule: resolved to the whole training's updates.
        lr: its peak.
        optimizer: another optimizer than the task's own, by its name; empty for its own.
        seed: decides the initial weights and the order of the batches; arms of one seed have them
            in common.
    """

    schedule: Schedule
    lr: float
    optimizer: str = ""
    seed: int = 0


class ArmTrainer(Protocol):
    """Trains entries of one task; each goes on from where it was left.

    Attributes:
        updates: of one whole training.
        updates_per_epoch: optimizer updates in a pass.
        evaluation_updates: what one evaluation costs, as the number of updates that compute as
            much.
        spent: updates made so far, in all arms together.
        evaluations: how many evaluations were made.
    """

    updates: int
    updates_per_epoch: int
    evaluation_updates: float
    spent: int
    evaluations: int

    def start_loss(self, seed: int = 0) -> float:
        """The validation loss before any update."""
        ...

    def advance(self, entry: Entry, updates: int) -> Reading:
        """Train ``entry`` until it has made ``updates`` in all, and evaluate it.

        A loss that is not finite ends the training early; the reading's ``val_loss`` is infinite
        then, and the arm cannot be advanced again.
        """
        ...

    def branch(self, entry: Entry, onto: Entry) -> None:
        """Let ``onto`` begin where ``entry`` stands now; ``entry`` itself stays as it is."""
        ...

    def drop(self, entry: Entry) -> None:
        """Forget the state of ``entry``; nothing happens if there is none."""
        ...
