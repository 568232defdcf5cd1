"""What a crew and the Dask workers say to each other."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any, NamedTuple

from stepsize.version import __version__

#: A crew that has said nothing for so long is gone, and its calls are stopped.
SILENCE_SECONDS = 20.0
#: Messages travel in pieces of at most so many bytes, at most so many of them at once.
PIECE_BYTES = 16 << 20
PIECES = 64
_FULL_SECONDS = 0.5
# What a letter is.
BEGUN, AGAIN, TOLD, ENDED = "begun", "again", "told", "ended"
REFUSED, LEFT = "refused", "left"


class CrewOrders(NamedTuple):
    """What a crew wants of its workers; kept at the scheduler, renewed as a sign of life.

    Attributes:
        beat: another number each time.
        stop_until: the calls with tickets up to this one are to be stopped.
        stop: keys of further calls that are to be stopped.
        closed: whether everything is to be stopped at once, and nothing comes after it.
    """

    beat: int
    stop_until: int = -1
    stop: tuple[str, ...] = ()
    closed: bool = False


class Letter(NamedTuple):
    """A piece of what a worker says of a call.

    Attributes:
        key: which call; of ``left``: which worker.
        number: 0, 1, 2, ... of the call's pieces.
        kind: what the whole is.
        last: whether the whole is complete with this piece.
        piece: pickled, cut.
    """

    key: str
    number: int
    kind: str
    last: bool
    piece: bytes


class Job(NamedTuple):
    """A call on its way to a worker.

    Attributes:
        crew: names the crew's queue and its orders.
        ticket: the crew's number of the call.
        key: names the call at the scheduler.
        versions: what the numbers depend on, where the crew is.
        silence_seconds: a crew that has said nothing for so long is gone.
        call: pickled.
    """

    crew: str
    ticket: int
    key: str
    versions: dict[str, str]
    silence_seconds: float
    call: bytes


def versions() -> dict[str, str]:
    """What the numbers of a training depend on, here.

    >>> versions()["stepsize"] == __version__
    True
    """
    try:
        torch = metadata.version("torch").partition("+")[
            0
        ]  # the build for another device is as good
    except metadata.PackageNotFoundError:
        torch = "none"
    major, minor, _ = platform.python_version_tuple()
    return {"Python": f"{major}.{minor}", "torch": torch, "stepsize": __version__}


def mail(crew: str, client: Any) -> tuple[Any, Any]:
    """The queue of a crew's letters and the variable of its orders, both at the scheduler.

    The queue is a Dask Queue: a letter takes 1 to 2 ms and 50 MB a quarter of a second, through a
    connection that is there anyway; its order is kept, and who writes waits while it is full.
    Dask's events would stay in the scheduler's memory.
    """
    import distributed

    made: Any = distributed  # its constructors have no types
    return made.Queue(crew, client=client, maxsize=PIECES), made.Variable(crew, client=client)


def place(job_key: str, client: Any) -> Any:
    """The place at the scheduler where a call is begun; :func:`taken` by the first who comes.

    A Dask Queue with room for one.
    """
    import distributed

    made: Any = distributed
    return made.Queue(job_key, client=client, maxsize=1)


def taken(place: Any) -> bool:
    """Whether somebody has taken the place before; it is taken now."""
    try:
        place.put(True, timeout=_FULL_SECONDS)
    except TimeoutError:
        return True
    return False
