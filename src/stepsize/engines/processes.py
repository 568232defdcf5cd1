"""Worker processes on this machine."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, final

from stepsize.engines.crew import Call, Outcome
from stepsize.engines.held_back import held_back
from stepsize.engines.machine import sizes
from stepsize.engines.worker import GRACE_SECONDS
from stepsize.engines.worker_process import WorkerProcess
from stepsize.errors import EngineError
from stepsize.tasks.packing import packed, unpacked

#: Workers that are busy when the crew is closed are killed after this long.
CLOSE_SECONDS = 5.0


@dataclass(eq=False)
class _Asked:
    """A call that has not ended; ``until``: when its worker is killed, as it was interrupted."""

    ticket: int
    function: str
    arguments: bytes
    hear: Callable[[Any], None] | None
    until: float = math.inf


@final
class ProcessCrew:
    """Worker processes on this machine, started when there are calls for them.

    Each is a clean interpreter with this one's ``sys.path``, current folder and environment; a
    script needs no ``if __name__ == "__main__"``. A worker that dies is noticed at once, and
    another one is started for the next call. Used by one thread at a time.

    Args:
        workers: how many; None for as many as there are cores for.
        threads: of each worker; None for its share of the cores (see
            :func:`stepsize.engines.machine.sizes`).

    Raises:
        InputError: less than one of either.

    >>> with ProcessCrew(2, threads=1) as crew:
    ...     crew.workers, crew.wait()  # nothing is started yet
    (2, [])
    """

    shares_files = True

    def __init__(self, workers: int | None = None, threads: int | None = None) -> None:
        self.workers, self.threads = sizes(workers, threads)
        self._tickets = itertools.count()
        self._events: SimpleQueue[tuple[WorkerProcess, tuple[Any, ...] | None]] = SimpleQueue()
        self._at_hand: tuple[WorkerProcess, tuple[Any, ...] | None] | None = None
        self._there: list[WorkerProcess] = []
        self._leaving: list[WorkerProcess] = []
        self._doing: dict[WorkerProcess, _Asked] = {}
        self._waiting: deque[_Asked] = deque()
        self._ended: list[Outcome] = []
        self._closed = False

    def submit(self, call: Call, hear: Callable[[Any], None] | None = None) -> int:
        """Have a call carried out as soon as a worker is free; returns its ticket.

        Raises:
            InputError: its arguments cannot be sent.
            EngineError: the crew is closed, or no worker can be started.
        """
        if self._closed:
            raise EngineError("The worker processes were stopped. Begin with new ones.")
        arguments = packed(call.arguments, f"what is sent for {call.function}")
        asked = _Asked(next(self._tickets), call.function, arguments, hear)
        self._waiting.append(asked)
        self._hand_out()
        return asked.ticket

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """The calls that have ended since the last time; waits for one, so long at most.

        Raises:
            EngineError: a worker has ended at its very start, so that others would.
        """
        end = math.inf if seconds is None else time.monotonic() + seconds
        while not self._ended and (self._doing or self._at_hand or not self._events.empty()):
            due = min([end, *(asked.until for asked in self._doing.values())])
            patience = None if due == math.inf else max(0.0, due - time.monotonic())
            with contextlib.suppress(Empty):
                self._at_hand = self._at_hand or self._events.get(timeout=patience)
            if self._at_hand is not None:
                with held_back():  # half of it would be lost
                    event, self._at_hand = self._at_hand, None
                    self._take_in(*event)
            self._kill_overdue()
            if time.monotonic() >= end and self._events.empty():
                break
        ended, self._ended = self._ended, []
        return ended

    def interrupt(self) -> None:
        """Let every call that is being carried out end as Ctrl-C ends it; those waiting never are.

        One that has not ended after :data:`~stepsize.engines.worker.GRACE_SECONDS` is killed.
        """
        while self._waiting:
            stopped = KeyboardInterrupt()
            self._ended.append(Outcome(self._waiting.popleft().ticket, error=stopped))
        for worker, asked in self._doing.items():
            if asked.until == math.inf:
                asked.until = time.monotonic() + GRACE_SECONDS
                worker.send("interrupt", asked.ticket)

    def close(self) -> None:
        """Stop all workers: idle ones at once, busy ones after a few seconds for what they hold."""
        self._closed = True
        self._waiting.clear()
        everyone = [*self._there, *self._leaving]
        for worker in everyone:
            worker.end()
        end = time.monotonic() + CLOSE_SECONDS
        try:
            for worker in everyone:
                worker.join(end - time.monotonic())
        finally:
            for worker in everyone:
                worker.kill()
            for worker in everyone:
                worker.join(CLOSE_SECONDS)
        self._there, self._leaving, self._doing = [], [], {}
        self._events = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _hand_out(self) -> None:
        """Give the calls that wait to free workers, and to new ones while there may be more."""
        while self._waiting:
            free = next((each for each in self._there if each not in self._doing), None)
            if free is None and len(self._there) < self.workers:
                free = self._started()
            if free is None:
                return
            asked = self._waiting.popleft()
            self._doing[free] = asked
            free.send("call", asked.ticket, asked.function, asked.arguments)

    def _started(self) -> WorkerProcess | None:
        """A new worker; None if there is no room for another one, and there are some."""
        try:
            worker = WorkerProcess(self.threads, self._events)
        except OSError as error:
            if not self._there:
                raise EngineError(f"No worker process can be started: {error}.") from error
            return None
        self._there.append(worker)
        return worker

    def _take_in(self, worker: WorkerProcess, words: tuple[Any, ...] | None) -> None:
        """What a worker has said; None: it is gone."""
        if words is None:
            self._lose(worker)
            return
        kind, *rest = words
        if kind == "ready":
            worker.ready = True
            return
        ticket, content, *more = rest
        if kind == "told":
            hear = self._doing[worker].hear
            if hear is not None:
                hear(unpacked(content))
            return
        self._ended.append(
            _returned(ticket, content)
            if kind == "returned"
            else Outcome(ticket, error=_error(worker, content, *more))
        )
        if self._doing.pop(worker).until < math.inf:  # it may have been in the midst of an import
            self._there.remove(worker)
            self._leaving.append(worker)
            worker.end()
        self._hand_out()

    def _lose(self, worker: WorkerProcess) -> None:
        """A worker has ended.

        Raises:
            EngineError: it never was ready.
        """
        for known in (self._there, self._leaving):
            if worker in known:
                known.remove(worker)
        asked = self._doing.pop(worker, None)
        if asked is not None:
            self._ended.append(Outcome(asked.ticket, lost=worker.how_it_ended()))
        if worker.failed and not self._closed:
            raise EngineError(
                f"No worker process can be started: {worker.how_it_ended()}. What it said is on "
                "standard error."
            )
        self._hand_out()

    def _kill_overdue(self) -> None:
        for worker, asked in self._doing.items():
            if time.monotonic() >= asked.until:
                worker.kill()
                asked.until = time.monotonic() + GRACE_SECONDS  # until that is noticed


def _returned(ticket: int, content: bytes) -> Outcome:
    try:
        return Outcome(ticket, value=unpacked(content))
    except Exception as error:  # noqa: BLE001 - the user's classes raise what they like
        said = f"What a worker process has returned cannot be read here: {error}."
        return Outcome(ticket, error=EngineError(said))


def _error(worker: WorkerProcess, content: bytes, said: str, traceback: str) -> BaseException:
    """What a call has raised, or an error that says it, with the traceback from there."""
    error: BaseException = EngineError(f"A call in a worker process raised {said}")
    if content:
        with contextlib.suppress(Exception):
            error = unpacked(content)
    error.add_note(f"In the worker process {worker.id}:\n{traceback.rstrip()}")
    return error
