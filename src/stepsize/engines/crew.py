"""What carries out calls elsewhere: worker processes on this machine, or on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from stepsize.errors import EngineError

#: A call whose worker was lost is tried so often in all.
TRIES = 3


class Call(NamedTuple):
    """A function to call elsewhere.

    Attributes:
        function: ``package.module:name``; the module is imported where the call is carried out.
        arguments: anything that can be pickled.
    """

    function: str
    arguments: tuple[Any, ...] = ()


class Outcome(NamedTuple):
    """How a call has ended.

    Attributes:
        ticket: which call it was, as ``submit`` said.
        value: what it returned.
        error: what it raised, with the worker's traceback as a note; None if it returned.
        lost: how its worker was lost, in words; empty if it was not. Such a call has no value and
            no error; whatever it had done by then stays done.
    """

    ticket: int
    value: Any = None
    error: BaseException | None = None
    lost: str = ""


class Crew(Protocol):
    """Workers that carry out calls, each of them one at a time.

    A call may say something on the way, through :func:`stepsize.engines.telling.tell`.

    """

    @property
    def workers(self) -> int:
        """How many calls are carried out at once; it may change, as workers join and leave."""
        ...

    @property
    def shares_files(self) -> bool:
        """Whether the workers see this machine's files, the runs database too."""
        ...

    def submit(self, call: Call, hear: Callable[[Any], None] | None = None) -> int:
        """Have a call carried out as soon as a worker is free; returns its ticket.

        Args:
            call: what to do.
            hear: given what the call tells, from inside :meth:`wait`.
        """
        ...

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """The calls that have ended since the last time; waits for one, so long at most.

        Raises:
            EngineError: no worker is left, and none can be started.
        """
        ...

    def interrupt(self) -> None:
        """Let every call that is being carried out end as Ctrl-C ends it; those waiting never are.

        They end with a KeyboardInterrupt as error, or lost.
        """
        ...

    def close(self) -> None:
        """Stop all workers, whatever they do."""
        ...


def carried_out(
    crew: Crew, calls: Sequence[Call], hear: Callable[[Any], None] | None = None
) -> Iterator[tuple[int, Any]]:
    """Have all calls carried out; yields their places and values as they come.

    A call whose worker is lost is tried again, :data:`TRIES` times in all. When the caller stops
    (an error, Ctrl-C), the calls that are left are interrupted.

    Args:
        crew: who carries them out.
        calls: what to do.
        hear: given what the calls tell, those that are tried again too.

    Raises:
        EngineError: a call's worker was lost each time.
        Exception: whatever a call has raised.
    """
    waiting = {crew.submit(call, hear): place for place, call in enumerate(calls)}
    tries = dict.fromkeys(range(len(calls)), 1)
    try:
        while waiting:
            for outcome in crew.wait():
                place = waiting.pop(outcome.ticket, None)
                if place is None:
                    continue  # another's
                if outcome.error is not None:
                    raise outcome.error
                if not outcome.lost:
                    yield place, outcome.value
                    continue
                if tries[place] == TRIES:
                    raise EngineError(
                        f"A worker was lost {TRIES} times while it carried out the same call "
                        f"({outcome.lost}). Is it out of memory? Give fewer workers, or serial."
                    )
                tries[place] += 1
                waiting[crew.submit(calls[place], hear)] = place
    finally:
        if waiting:
            crew.interrupt()
