"""A crew on a Dask cluster that is already there."""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import threading
import time
import uuid
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, final

from stepsize.engines.crew import Call, Outcome
from stepsize.engines.dask_cluster import ADVICE, check_workers, connected, differing
from stepsize.engines.dask_letters import (
    AGAIN,
    BEGUN,
    ENDED,
    LEFT,
    PIECES,
    REFUSED,
    SILENCE_SECONDS,
    TOLD,
    CrewOrders,
    Job,
    Letter,
    mail,
    place,
    taken,
    versions,
)
from stepsize.engines.dask_ticket import Ticket
from stepsize.engines.dask_worker import carry_out
from stepsize.errors import EngineError
from stepsize.tasks.packing import packed, unpacked

#: The scheduler and a first worker are waited for so long, and later on a worker when none is left.
PATIENCE_SECONDS = 30.0
#: The crew gives a sign of life, and looks which workers are there, this often.
BEAT_SECONDS = 1.0
#: A worker is lost when it was not among the cluster's so many times running.
ABSENCES = 2
#: What a worker has said before it ended its task arrives in this time, or is lost.
LAST_WORDS_SECONDS = 10.0
#: How long closing waits for the workers to have stopped everything.
CLOSE_SECONDS = 10.0


@final
class DaskCrew:
    """The workers of a Dask cluster, each of whose threads carries out one call at a time.

    A call runs in a process of its own beside its Dask worker and is begun once: when its worker
    is lost, Dask would begin the task anew elsewhere, and that is refused; whoever submitted it
    hears that it was lost, and decides. All that is said goes through the scheduler, so no other
    connection is needed. When this process is gone the workers stop its calls by themselves.

    Args:
        address: of the scheduler, ``host:port``; ``tls://host:port`` with Dask's own
            configuration of certificates.
        patience: seconds to wait for the scheduler and for a worker.
        silence: seconds without a sign of life after which the workers take this process for
            gone.

    Attributes:
        shares_files: False: workers may be anywhere.

    Raises:
        MissingDependencyError: distributed is not installed.
        EngineError: the scheduler cannot be reached, has no worker, or a worker's Python, torch
            or stepsize is another one than here.
    """

    shares_files = False

    def __init__(
        self,
        address: str,
        *,
        patience: float = PATIENCE_SECONDS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._address, self._patience, self._silence = address, patience, silence
        self._versions = versions()
        self._name = f"stepsize-{uuid.uuid4().hex}"
        self._tickets: dict[str, Ticket] = {}
        self._numbers = itertools.count()
        # Ctrl-C may come anywhere: an event is taken away once it was seen to, and what is shared
        # with the threads beside has no lock that could be left closed.
        self._events: deque[tuple[str, Any]] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._outcomes: list[Outcome] = []
        self._client = connected(address, patience)
        self._threads: Mapping[str, int] = {}
        self._keepers: set[str] = set()  # the workers that have begun a call of ours
        self._left: set[str] = set()
        self._alone_since: float | None = None
        self._orders = CrewOrders(0)
        try:
            self._open()
        except BaseException:
            self._client.close()
            raise

    def _open(self) -> None:
        check_workers(self._client, self._address, self._versions, self._patience)
        self._threads = self._client.nthreads()
        self._queue, self._variable = mail(self._name, self._client)
        self._variable.set(list(self._orders))
        for _ in range(PIECES):
            self._room.put(None)
        for work in (self._listen, self._beat):
            threading.Thread(target=work, name=self._name, daemon=True).start()

    def __repr__(self) -> str:
        return f"DaskCrew({self._address!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """How many calls are carried out at once, just now."""
        return sum(self._threads.values())

    def submit(self, call: Call, hear: Callable[[Any], None] | None = None) -> int:
        """Have a call carried out as soon as a worker is free; returns its ticket.

        Raises:
            InputError: its arguments cannot be sent.
            EngineError: the crew is closed, or the scheduler is gone.
        """
        import dask.config

        if self._orders.closed:
            raise EngineError(f"{self!r} was closed. Begin with a new one.")
        number = next(self._numbers)
        ticket = Ticket(number, f"{self._name}-{number}", hear)
        content = packed(call, f"what is sent for {call.function}")
        job = Job(self._name, number, ticket.key, self._versions, self._silence, content)
        unwarned = {"distributed.admin.large-graph-warning-threshold": "1 TB"}  # of checkpoints
        try:
            ticket.place = place(ticket.key, self._client)
            with dask.config.set(unwarned):
                ticket.future = self._client.submit(
                    carry_out, job, key=ticket.key, pure=False, retries=0
                )
        except OSError as error:
            raise self._gone(error) from error
        self._tickets[ticket.key] = ticket
        ticket.future.add_done_callback(lambda future: self._happens("over", ticket.key))
        return number

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """The calls that have ended since the last time; waits for one, so long at most.

        What is told is heard in order; a message at which Ctrl-C comes is heard again.

        Raises:
            EngineError: the scheduler or all workers are gone, or a worker's versions are others.
        """
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        for _ in range(len(self._events)):
            self._next_event(0.0)
        while self._tickets and not self._outcomes and (left := deadline - time.monotonic()) > 0.0:
            self._next_event(min(left, BEAT_SECONDS))
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def interrupt(self) -> None:
        """Let every call that is being carried out end as by Ctrl-C; those waiting never begin."""
        last = max((ticket.number for ticket in self._tickets.values()), default=-1)
        self._order(stop_until=max(last, self._orders.stop_until))
        for _ in range(len(self._events)):
            self._next_event(0.0)
        for ticket in [each for each in self._tickets.values() if not each.worker]:
            if not self._has_begun(ticket):
                self._end(ticket, Outcome(ticket.number, error=KeyboardInterrupt()))

    def _has_begun(self, ticket: Ticket) -> bool:
        """Whether a worker carries the call out; if not, none ever will."""
        try:
            return taken(ticket.place)
        except OSError as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Stop all workers, whatever they do; returns when they have stopped."""
        if self._orders.closed:
            return
        for ticket in list(self._tickets.values()):
            self._forget(ticket)
        self._order(closed=True)
        deadline = time.monotonic() + CLOSE_SECONDS
        try:
            with contextlib.suppress(EngineError):  # the scheduler is gone
                while self._keepers & set(self._threads) - self._left:
                    if not self._next_event(deadline - time.monotonic()):
                        break
            with contextlib.suppress(Exception):
                self._variable.delete()
                self._queue.close()
        finally:
            with contextlib.suppress(Exception):  # it closes itself when it finds no scheduler
                self._client.close()

    # -- what happens -------------------------------------------------------------------------

    def _next_event(self, seconds: float) -> bool:
        """Wait for the next event, so long at most, and see to it; whether there was one."""
        end = time.monotonic() + seconds
        while not self._events:
            try:
                self._bell.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return False
        kind, content = self._events[0]
        try:
            getattr(self, f"_see_{kind}")(content)
        except Exception:
            self._events.popleft()
            raise
        self._events.popleft()
        return True

    def _happens(self, kind: str, content: Any) -> None:
        """From any thread: something for :meth:`wait` to see to."""
        self._events.append((kind, content))
        self._bell.put(None)

    def _see_letter(self, letter: Letter) -> None:
        self._room.put(None)
        ticket = self._tickets.get(letter.key)
        if letter.kind == LEFT:
            self._left.add(letter.key)
        elif ticket is None:
            pass  # it is over for us
        elif letter.kind == AGAIN:
            self._lose(ticket, f"the Dask worker {ticket.worker} is gone")
        elif letter.number < ticket.due:
            pass  # it came before
        elif letter.number > ticket.due:
            self._lose(ticket, "a part of what it said has not come")
        else:
            ticket.pieces[letter.number] = letter.piece
            if letter.last:
                self._see_whole(ticket, letter, b"".join(ticket.pieces.values()))
                ticket.pieces = {}
            ticket.due = letter.number + 1

    def _see_whole(self, ticket: Ticket, letter: Letter, content: bytes) -> None:
        if letter.kind == TOLD:
            if ticket.hear is not None:
                ticket.hear(unpacked(content))
            return
        said = unpacked(content)
        if letter.kind == BEGUN:
            ticket.worker = said
            self._keepers.add(said)
        elif letter.kind == ENDED:
            value = None if said.value is None else unpacked(said.value)
            self._end(ticket, said._replace(ticket=ticket.number, value=value))
        elif letter.kind == REFUSED:
            worker, theirs = said
            raise EngineError(differing(worker, theirs, self._versions))

    def _see_over(self, key: str) -> None:
        """A task is over for Dask."""
        ticket = self._tickets.get(key)
        if ticket is None:
            return
        if ticket.future.status == "finished":
            ticket.last_words = time.monotonic() + LAST_WORDS_SECONDS
            return
        if ticket.future.status == "error":
            error = ticket.future.exception()
            if type(error).__name__ != "KilledWorker":
                raise EngineError(
                    f"The Dask cluster {self._address} cannot carry out a call: "
                    f"{type(error).__name__}: {error}"
                ) from error
        self._lose(ticket, "Dask has given its task up")

    def _see_workers(self, threads: Mapping[str, int]) -> None:
        """Who belongs to the cluster just now."""
        now = time.monotonic()
        for ticket in list(self._tickets.values()):
            ticket.absences = ticket.absences + 1 if {ticket.worker} - {"", *threads} else 0
            if ticket.absences >= ABSENCES:
                self._lose(ticket, f"the Dask worker {ticket.worker} is gone")
            elif ticket.last_words is not None and now > ticket.last_words:
                self._lose(ticket, "its last words have not come")
        self._alone_since = None if threads else self._alone_since or now
        if self._tickets and self._alone_since and now - self._alone_since > self._patience:
            raise EngineError(
                f"The Dask cluster {self._address} has had no worker for {self._patience:g} "
                f"seconds. {ADVICE}"
            )

    def _see_broken(self, error: BaseException) -> None:
        """The scheduler is away."""
        raise self._gone(error)

    def _gone(self, error: BaseException) -> EngineError:
        return EngineError(
            f"The Dask scheduler {self._address} is gone ({type(error).__name__}: {error}). "
            "What has come from its workers is kept; start it again, and go on."
        )

    # -- what is done -------------------------------------------------------------------------

    def _lose(self, ticket: Ticket, why: str) -> None:
        self._order(stop=(*self._orders.stop, ticket.key))  # should it live on after all
        self._end(ticket, Outcome(ticket.number, lost=why))

    def _end(self, ticket: Ticket, outcome: Outcome) -> None:
        if all(each.ticket != outcome.ticket for each in self._outcomes):
            self._outcomes.append(outcome)
        self._forget(ticket)

    def _forget(self, ticket: Ticket) -> None:
        if self._client.status == "running":
            ticket.future.cancel()
            ticket.place.close()
        self._tickets.pop(ticket.key, None)

    def _order(self, **changes: Any) -> None:
        self._orders = self._orders._replace(**changes)
        self._wake.put(None)

    # -- threads beside -----------------------------------------------------------------------

    def _listen(self) -> None:
        """Take letters, no more than can be seen to."""
        try:
            while not self._orders.closed or self._keepers:
                self._room.get()
                self._happens("letter", Letter(*self._queue.get()))
        except (Exception, CancelledError) as error:  # noqa: BLE001 - to be raised where it is heard
            self._happens("broken", error)

    def _beat(self) -> None:
        """Tell the workers that this process lives and what it wants; see which there are."""
        for beat in itertools.count(1):
            orders = self._orders
            with contextlib.suppress(Exception, CancelledError):  # _listen tells of it
                self._variable.set(list(orders._replace(beat=beat)))
                self._threads = self._client.nthreads()
                self._happens("workers", self._threads)
            if orders.closed:
                return
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=BEAT_SECONDS)
