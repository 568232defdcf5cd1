"""What a race consists of: parts of trainings, some of which begin where others stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from stepsize.tuner.seen import Place
from stepsize.tuner.trainer import Entry


@final
@dataclass(frozen=True, slots=True)
class Part:
    """An arm, trained until it has made so many updates.

    Attributes:
        entry: which arm.
        updates: those that it has made in all by then.
        stage: what it is trained for, one of :data:`stepsize.records.STAGES`.
        fork_of: the arm that it begins from, where that one stands at its turn; None for an arm
            that goes on from where it was left.
        place: where the race keeps what it has seen of it; None for an arm beside the race.
    """

    entry: Entry
    updates: int
    stage: str
    fork_of: Entry | None = None
    place: Place | None = None

    @property
    def origin(self) -> Entry:
        """The arm whose state it needs."""
        return self.entry if self.fork_of is None else self.fork_of
