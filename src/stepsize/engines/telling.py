"""What a call says on the way to the process that asked for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

_say: Callable[[Any], None] | None = None


def tell(message: Any) -> None:
    """Say something to who asked for the call that is being carried out; nobody may listen.

    Args:
        message: anything that can be pickled, and small.
    """
    if _say is not None:
        _say(message)


def set_say(say: Callable[[Any], None] | None) -> None:
    """What :func:`tell` does in this process; a worker sets it around each call."""
    global _say  # noqa: PLW0603 - a worker carries out one call at a time
    _say = say


@contextlib.contextmanager
def said_through(change: Callable[[Any], Any]) -> Iterator[None]:
    """Let everything that is told inside go through ``change`` first."""
    say = _say
    if say is not None:
        set_say(lambda message: say(change(message)))
    try:
        yield
    finally:
        set_say(say)
