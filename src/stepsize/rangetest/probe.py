"""What a range test needs from the thing it tests.

Only :class:`Probe` is required: anything with ``step(lr) -> loss``. The other protocols are offers
that a probe may make; the range test uses those it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable


class Probe(Protocol):
    """Anything that can make one training update at a given rate."""

    def step(self, lr: float) -> Any:
        """Make one update at ``lr``; return the loss measured before it.

        The loss is a number, or anything that ``float()`` reads. A probe that is also
        :class:`Deferred` may return whatever its ``read`` understands.
        """
        ...


@runtime_checkable
class Transactional(Protocol):
    """A probe that remembers its state on entry and gives it back on exit, whatever happens."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...


@runtime_checkable
class Restartable(Protocol):
    """A probe that can go back to its start, batches included, in the middle of a test."""

    def restart(self) -> None:
        """Return to the state and the batches of the start."""
        ...


@runtime_checkable
class Deferred(Protocol):
    """A probe whose losses stay on a device and are cheaper to read in blocks."""

    #: How many losses to leave unread at most.
    block: int

    def read(self, losses: Sequence[Any]) -> list[float]:
        """The values of ``losses`` as floats."""
        ...


@runtime_checkable
class HeldOut(Protocol):
    """A probe that can measure the loss of a few fixed held-out batches."""

    def held_out_loss(self) -> Any:
        """The mean loss of the held-out batches, without learning from them."""
        ...
