"""What a crew on a cluster knows of one of its calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ticket:
    """A call on its way.

    Attributes:
        number: the ticket.
        key: its name at the scheduler.
        hear: given what it tells.
        place: where it is begun.
        future: Dask's.
        worker: the address of the worker that carries it out; empty before.
        pieces: what has come of a message that is not whole yet, by number.
        due: the number of the next piece.
        absences: how often its worker was not there, running.
        last_words: until when its end is waited for; None while its task is not over.
    """

    number: int
    key: str
    hear: Callable[[Any], None] | None
    place: Any = None
    future: Any = None
    worker: str = ""
    pieces: dict[int, bytes] = field(default_factory=dict)
    due: int = 0
    absences: int = 0
    last_words: float | None = None
