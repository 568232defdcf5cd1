"""What a Dask worker does for a crew: it carries out calls, each in a process of its own.

A call does not run in the Dask worker itself. There it would share its random generators, its
memory and a GPU's with whatever else the worker does, would hear of no signal, could not start a
loader's processes (a Dask worker is daemonic), and nothing could stop it.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import pickle
import threading
import time
from operator import attrgetter
from typing import Any

from stepsize.engines.crew import Call, Outcome
from stepsize.engines.dask_letters import (
    AGAIN,
    BEGUN,
    ENDED,
    LEFT,
    PIECE_BYTES,
    REFUSED,
    TOLD,
    CrewOrders,
    Job,
    Letter,
    mail,
    place,
    taken,
    versions,
)
from stepsize.engines.processes import CLOSE_SECONDS, ProcessCrew
from stepsize.engines.telling import said_through
from stepsize.errors import EngineError
from stepsize.tasks.packing import unpacked

#: A worker looks for the crew's orders this often.
LOOK_SECONDS = 0.5
#: How long a worker waits for room for a piece before it looks whether anybody listens.
ROOM_SECONDS = 5.0
_MOMENT_SECONDS = 0.1


def carry_out(job: Job) -> None:
    """Carry a call out; a Dask task. All that comes of it is said by letters, in order.

    When Dask has lost a worker it begins the task anew elsewhere. That is refused: whoever has
    submitted the call hears that it was lost, and decides.
    """
    from distributed import get_client, get_worker

    worker: Any = get_worker()
    client = get_client()
    keeper = _keeper_of(job, client, worker)
    line = _Line(keeper, job.key)
    begun = place(job.key, client)
    with contextlib.suppress(_GoneError):
        if versions() != job.versions:
            line.send(REFUSED, (worker.address, versions()))
        elif taken(begun):
            line.send(AGAIN, None)
        else:
            line.send(BEGUN, worker.address)
            line.send(ENDED, _followed(job, keeper, line))
    begun.close()


def carry_out_here(call: bytes) -> bytes:
    """Carry out a pickled call in this process, telling it pickled; its value, pickled."""
    wanted: Call = unpacked(call)
    module, _, name = wanted.function.partition(":")
    with said_through(_pickled):
        return _pickled(attrgetter(name)(importlib.import_module(module))(*wanted.arguments))


class _GoneError(Exception):
    """The crew is gone; nobody listens any more."""


class _Keeper:
    """What a Dask worker has for one crew: its orders, its queue, and processes for its calls."""

    def __init__(self, job: Job, client: Any, worker: Any) -> None:
        self.queue, self._variable = mail(job.crew, client)
        self.gone = False
        self._crew, self._worker, self._silence = job.crew, worker, job.silence_seconds
        self._orders = CrewOrders(-1)
        self._lock = threading.Lock()
        self._free: list[ProcessCrew] = []
        self._busy = 0
        threading.Thread(target=self._look_after, name=job.crew, daemon=True).start()

    def stops(self, job: Job) -> bool:
        """Whether the call is to be stopped."""
        return job.ticket <= self._orders.stop_until or job.key in self._orders.stop

    def take(self) -> ProcessCrew:
        """A process of its own for a call; :meth:`give_back` follows."""
        with self._lock:
            self._busy += 1
            return self._free.pop() if self._free else ProcessCrew(1, _threads())

    def give_back(self, process: ProcessCrew) -> None:
        """Keep the process for the next call, unless the crew is gone."""
        with self._lock:
            if not self.gone:
                self._free.append(process)
                self._busy -= 1
                return
        process.close()
        with self._lock:
            self._busy -= 1

    def _look_after(self) -> None:
        """Read the orders until the crew is gone; then leave nothing behind."""
        heard = time.monotonic()
        while not self._orders.closed and time.monotonic() - heard < self._silence:
            time.sleep(LOOK_SECONDS)
            if self._worker.status.name not in ("running", "paused"):
                break
            with contextlib.suppress(Exception):  # no news
                orders = CrewOrders(*self._variable.get(timeout=self._silence))
                if orders.beat != self._orders.beat:
                    self._orders, heard = orders, time.monotonic()
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self.gone = True
            free, self._free = self._free, []
        for process in free:
            process.close()
        deadline = time.monotonic() + 2.0 * CLOSE_SECONDS
        while self._busy and time.monotonic() < deadline:
            time.sleep(_MOMENT_SECONDS)
        with _lock:
            if _keepers.get(self._crew) is self:
                del _keepers[self._crew]
        with contextlib.suppress(Exception):  # the scheduler may be gone, too
            if self._orders.closed:
                self.queue.put(list(Letter(self._worker.address, 0, LEFT, True, b"")))
            else:
                self.queue.get(batch=True)
                self._variable.delete()
            self.queue.close()


_lock = threading.Lock()
_keepers: dict[str, _Keeper] = {}


def _keeper_of(job: Job, client: Any, worker: Any) -> _Keeper:
    with _lock:
        keeper = _keepers.get(job.crew)
        if keeper is None or keeper.gone:
            keeper = _keepers[job.crew] = _Keeper(job, client, worker)
        return keeper


class _Line:
    """From a call to its crew."""

    def __init__(self, keeper: _Keeper, key: str) -> None:
        self._keeper, self._key = keeper, key
        self._numbers = itertools.count()

    def send(self, kind: str, value: Any) -> None:
        """Say something; waits until there is room for it.

        Raises:
            _GoneError: nobody listens any more.
        """
        self.send_pickled(kind, _pickled(value))

    def send_pickled(self, kind: str, content: bytes) -> None:
        """As :meth:`send`, of a value that is pickled already."""
        for start in range(0, len(content), PIECE_BYTES):
            piece = content[start : start + PIECE_BYTES]
            last = start + PIECE_BYTES >= len(content)
            self._put(Letter(self._key, next(self._numbers), kind, last, piece))

    def _put(self, letter: Letter) -> None:
        while not self._keeper.gone:
            try:
                self._keeper.queue.put(list(letter), timeout=ROOM_SECONDS)
            except TimeoutError:
                continue  # if it was put nevertheless, its number tells
            except OSError:  # the scheduler is gone
                break
            return
        raise _GoneError


def _followed(job: Job, keeper: _Keeper, line: _Line) -> Outcome:
    """Have the call carried out by a process, pass on what it tells, stop it if need be.

    Raises:
        _GoneError: nobody listens any more.
    """
    process, told_to_stop = keeper.take(), False
    call = Call(f"{__name__}:{carry_out_here.__name__}", (job.call,))
    try:
        process.submit(call, lambda message: line.send_pickled(TOLD, message))
        while not keeper.gone:
            for outcome in process.wait(_MOMENT_SECONDS):
                return outcome
            if keeper.stops(job) and not told_to_stop:
                told_to_stop = True
                process.interrupt()  # and it is killed if it does not end soon
    except EngineError as error:  # no process can be started
        return Outcome(0, error=error)
    finally:
        keeper.give_back(process)
    raise _GoneError


def _threads() -> int:
    """How many threads a call computes with: one, unless the worker was started otherwise.

    Dask's nannies set ``OMP_NUM_THREADS`` to 1 for their workers; ``0``, words or nothing is 1.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, int(given)) if given.isdecimal() else 1


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
