"""What a race drives: something that trains arms, any number of them, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class Advanced(NamedTuple):
    """An arm that has been trained on.

    Attributes:
        place: of the request among those that were made with it.
        reading: of the arm.
        spent: updates that were made for it.
    """

    place: int
    reading: Reading
    spent: int


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

    @property
    def at_once(self) -> int:
        """How many arms it trains at the same time; a race asks one that says 1 for one only."""
        ...

    def start_loss(self, seed: int = 0) -> float:
        """The validation loss before any update."""
        ...

    def advance_all(self, requests: Sequence[tuple[Entry, int]]) -> Iterator[Advanced]:
        """Train each entry until it has made so many updates in all, and evaluate it.

        What has ended is given at once, in any order; ``spent`` and ``evaluations`` count it by
        then. A loss that is not finite ends a training early; the reading's ``val_loss`` is
        infinite then, and the arm cannot be advanced again.

        Args:
            requests: different arms, and their updates.
        """
        ...

    def branch(self, entry: Entry, onto: Entry) -> None:
        """Let ``onto`` begin where ``entry`` stands now; ``entry`` itself stays as it is."""
        ...

    def drop(self, entry: Entry) -> None:
        """Forget the state of ``entry``; nothing happens if there is none."""
        ...
