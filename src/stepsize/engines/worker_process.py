"""A worker process as its parent sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from queue import SimpleQueue
from threading import Thread
from typing import Any, final

from stepsize.engines import frames
from stepsize.tasks.leftovers import remove_leftovers

#: Nothing of the user's is run at the start, so a script needs no ``if __name__ == "__main__"``.
_BEGIN = (
    "import json, sys; parent, sys.path[:], sys.argv[:] = json.loads(sys.argv[1]); "
    "from stepsize.engines.worker import main; main(parent)"
)
#: What a worker that was killed may still have said is waited for so long.
_LAST_WORDS_SECONDS = 1.0


@final
class WorkerProcess:
    """A clean interpreter that carries out calls, in a session of its own.

    The terminal's Ctrl-C does not reach it: its parent decides. Three threads write to it, read
    from it and wait for its end, so that nobody here ever waits for it.

    Args:
        threads: how many threads it computes with.
        events: gets ``(worker, words)`` for each of its messages, and ``(worker, None)`` at last.

    Attributes:
        ready: whether it has said that it is there; kept by who reads the events.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, threads: int, events: SimpleQueue[tuple[WorkerProcess, tuple[Any, ...] | None]]
    ) -> None:
        self.ready = False
        self._events = events
        self._orders: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        begin = json.dumps([os.getpid(), sys.path, sys.argv])
        self._process = subprocess.Popen(
            [sys.executable, *flags, "-c", _BEGIN, begin],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=_environment(threads), start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
        self.id = self._process.pid
        self._reader = Thread(target=self._read, daemon=True)
        self._threads = [self._reader] + [
            Thread(target=each, daemon=True) for each in (self._write, self._wait)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, *words: Any) -> None:
        """Give it an order, see :mod:`stepsize.engines.worker`; returns at once."""
        self._orders.put(words)

    def end(self) -> None:
        """Give it no more orders: it ends, and saves what it does before."""
        self._orders.put(None)

    def kill(self) -> None:
        """End it and its children at once."""
        with contextlib.suppress(OSError):
            _kill_group(self._process)

    def join(self, seconds: float) -> bool:
        """Wait for its end; whether it has ended."""
        for thread in reversed(self._threads):  # first the one that waits for it
            thread.join(max(0.0, seconds))
        return not self._threads[-1].is_alive()

    @property
    def failed(self) -> bool:
        """Whether it has ended by itself before it was ready, as another one would."""
        return not self.ready and (self._process.returncode or 0) > 0

    def how_it_ended(self) -> str:
        """In words, once it has ended."""
        code = self._process.returncode
        who = f"the worker process {self.id}"
        if code is None or code >= 0:
            return f"{who} ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"{who} was ended by {name}"

    def _write(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone; who waits for it notices
            for words in iter(self._orders.get, None):
                frames.write(self._process.stdin, *words)  # type: ignore[arg-type]
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for words in frames.messages(said):  # type: ignore[arg-type]
                self._events.put((self, words))

    def _wait(self) -> None:
        if hasattr(os, "waitid"):  # while its number is not another's yet
            os.waitid(os.P_PID, self.id, os.WEXITED | os.WNOWAIT)
            self.kill()  # the processes of its loaders
        self._process.wait()
        remove_leftovers(self.id)
        self._reader.join(_LAST_WORDS_SECONDS)
        self._orders.put(None)
        self._events.put((self, None))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _environment(threads: int) -> dict[str, str]:
    """The user's, with threads that leave the other workers their cores; read by torch's import."""
    count = str(threads)
    return {
        # Threads that spin while they wait take the cores from the other workers.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
    }
