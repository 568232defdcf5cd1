"""Where the arms of a race stand, and what may be asked of them."""

from __future__ import annotations

from typing import Any, NamedTuple, final

from stepsize.errors import require
from stepsize.records import Reading
from stepsize.tuner.trainer import Entry


class Stand(NamedTuple):
    """Where an arm stands: its last reading (None right at the start) and its state, if kept."""

    reading: Reading | None = None
    state: Any = None

    @property
    def updates(self) -> int:
        """Those that it has made."""
        return 0 if self.reading is None else self.reading.updates


@final
class Stands:
    """Where each arm stands that was advanced and not dropped.

    Args:
        updates: of a whole training.
    """

    def __init__(self, updates: int) -> None:
        self._updates = updates
        self._stands: dict[Entry, Stand] = {}

    def of(self, entry: Entry) -> Stand:
        """Where ``entry`` stands: at the start, if it was never advanced."""
        return self._stands.get(entry, Stand())

    def before(self, entry: Entry, updates: int) -> Stand:
        """Where ``entry`` stands, if it can be advanced to ``updates`` from there.

        Raises:
            InputError: fewer updates than the arm has made, or more than a training has; an arm
                that has ended.
        """
        stand = self.of(entry)
        require(
            stand.updates <= updates <= self._updates and updates > 0,
            f"The arm {entry.schedule} has made {stand.updates} updates, and a training "
            f"{self._updates}; it cannot be advanced to {updates}.",
        )
        ended = stand.reading is not None and stand.state is None and stand.updates < updates
        require(
            not ended,
            f"The arm {entry.schedule} has ended after {stand.updates} updates: it diverged.",
        )
        return stand

    def put(self, entry: Entry, stand: Stand) -> None:
        """Say where ``entry`` stands from now on."""
        self._stands[entry] = stand

    def branch(self, entry: Entry, onto: Entry) -> None:
        """Let ``onto`` begin where ``entry`` stands now.

        Raises:
            InputError: another seed or optimizer, or an arm that has ended.
        """
        require(
            kin(entry) == kin(onto),
            f"An arm goes on with its own seed and optimizer {kin(entry)}, got {kin(onto)}.",
        )
        self.drop(onto)
        if entry in self._stands:
            self._stands[onto] = self.before(entry, self._updates)

    def drop(self, entry: Entry) -> None:
        """Forget where ``entry`` stands; nothing happens if it is not known."""
        self._stands.pop(entry, None)

    def clear(self) -> None:
        """Forget where all arms stand."""
        self._stands.clear()


def kin(entry: Entry) -> tuple[int, str]:
    """What arms must have in common to stand in one living task."""
    return entry.seed, entry.optimizer
