"""Trackers beside a comparison: told what happens, in a process of their own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, final

from stepsize import errors
from stepsize.comparison import AnyTrial, Watcher
from stepsize.errors import StepsizeError
from stepsize.records import Comparison, Evaluation
from stepsize.store import Store
from stepsize.trackers.base import TrackerWarning
from stepsize.trackers.names import line
from stepsize.trackers.registry import checked

#: A process that was silent for so long is given up.
SILENCE_SECONDS = 300.0
#: After an exception or Ctrl-C nobody waits longer; the process sends the rest by itself.
_HURRY_SECONDS = 10.0
#: Set for that process alone: no telemetry, no questions, no long tries to reach a server.
_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
}


class Mirrored:
    """What :func:`mirrored` gives: watchers for the comparison, and a place for its end.

    Attributes:
        watchers: for ``compare(..., watchers=...)``.
        process_id: of the process that sends; None without trackers.
    """

    watchers: tuple[Watcher, ...] = ()
    process_id: int | None = None

    def finish(self, result: Comparison, files: Mapping[str, bytes]) -> None:
        """Send what is missing, the ranking, and the files by their names; wait for the end."""

    def wait(self) -> None:
        """Wait until everything that happened until now was sent."""


@contextmanager
def mirrored(trackers: Iterable[str], store: str | Path) -> Iterator[Mirrored]:
    """Send a comparison on to trackers while it is made.

    The tools run in a process of their own, which reads the store: they cost the training nothing
    but a core's time, and whatever they do to random states, logging, the environment or signals
    is not seen here. A tracker that fails gets nothing more, with one warning; the store has
    everything, and the same call again sends what is missing.

    Args:
        trackers: such as ``"tensorboard:runs"``, see :func:`~stepsize.trackers.open_tracker`.
        store: the database's file.

    Raises:
        InputError: no tracker of that name.
        MissingDependencyError: its package is not installed.
        StepsizeError: its place cannot be used.

    >>> with mirrored([], "stepsize.db") as mirror:
    ...     mirror.watchers
    ()
    """
    texts = tuple(trackers)
    for text in texts:
        checked(text)
    if not texts:
        yield Mirrored()
        return
    process = _Process(texts, Path(os.path.abspath(store)))
    done = False
    try:
        yield _Told(process)
        done = True
    finally:
        process.close(SILENCE_SECONDS if done else _HURRY_SECONDS)


@final
class _Told(Mirrored):
    def __init__(self, process: _Process) -> None:
        self._process = process
        self.watchers = (_Sender(process),)
        self.process_id = process.id

    def finish(self, result: Comparison, files: Mapping[str, bytes]) -> None:
        texts = {name: base64.b64encode(data).decode() for name, data in files.items()}
        self._process.order("finish", result.to_dict(), texts)
        self._process.wait("finish")

    def wait(self) -> None:
        self._process.order("alive")
        self._process.wait("alive")


@final
class _Sender(Watcher):
    """Passes on what happens; it never waits and never raises."""

    def __init__(self, process: _Process) -> None:
        self._process = process

    def entered(self, store: Store, comparison_id: int) -> None:
        """Send this comparison from now on."""
        self._process.order("comparison", comparison_id)

    def evaluated(self, trial: AnyTrial, run_id: int, evaluation: Evaluation) -> None:
        """Send the epoch."""
        self._process.order("sync", run_id)

    def ended(self, trial: AnyTrial, run_id: int, status: str, error: str) -> None:
        """Send the end."""
        self._process.order("end", run_id)


@final
class _Process:
    """The process that sends, and two threads that talk to it, so that nobody here has to wait."""

    def __init__(self, trackers: tuple[str, ...], store: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._orders: SimpleQueue[str | None] = SimpleQueue()
        self._replies: SimpleQueue[list[Any] | None] = SimpleQueue()
        self._unsaid: list[str] = []
        self._over = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "stepsize.trackers.worker", str(store), *trackers],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                env=_environment(), start_new_session=True, encoding="utf-8",
            )  # fmt: skip
        except OSError as error:
            self._log.close()
            raise StepsizeError(f"Cannot start a process for the trackers: {error}.") from error
        self.id = self._process.pid
        self._threads = [Thread(target=each, daemon=True) for each in (self._write, self._read)]
        for thread in self._threads:
            thread.start()
        try:
            self._greet()
        except BaseException:
            self.close(_HURRY_SECONDS)
            raise

    def order(self, what: str, *values: Any) -> None:
        """Ask for something without waiting; say what went wrong until now."""
        self._orders.put(json.dumps([what, *values]))
        while not self._over:
            try:
                self._hear(self._replies.get_nowait())
            except Empty:
                break
        self._say()

    def wait(self, what: str, seconds: float = SILENCE_SECONDS) -> None:
        """Wait until that order is done, as long as there are signs of life."""
        while not self._over:
            try:
                reply = self._replies.get(timeout=seconds)
            except Empty:
                self._lose(f"they have been silent for {seconds:g} s")
                break
            self._hear(reply)
            if reply == ["done", what]:
                break
        self._say()

    def close(self, seconds: float) -> None:
        """Let it send what is left; after that many silent seconds it is left to itself."""
        self._orders.put(None)
        end = False
        while not end:
            try:
                reply = self._replies.get(timeout=seconds)
            except Empty:
                break
            end = reply is None
            if reply is not None:
                self._hear(reply)
        if end:
            self._process.wait()
            for thread in self._threads:
                thread.join()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # orders that nobody reads any more
                    pipe.close()  # type: ignore[union-attr]
        else:
            self._process.returncode = 0  # it ends by itself; Python shall not ask for it
        self._log.close()
        self._say()

    def _greet(self) -> None:
        """Wait until all trackers are open.

        Raises:
            StepsizeError: one of them cannot be used.
        """
        while True:
            try:
                reply = self._replies.get(timeout=SILENCE_SECONDS)
            except Empty:
                reply = None
            if reply == ["ready"]:
                return
            if reply is None:
                self._over = True
                raise StepsizeError(f"The trackers did not start: {self._last_words()}")
            if reply[0] == "error":
                _, kind, message = reply
                raise getattr(errors, kind, StepsizeError)(message)

    def _hear(self, reply: list[Any] | None) -> None:
        if reply is None:
            self._lose(f"their process ended: {self._last_words()}")
            self._replies.put(None)  # for whoever asks next
        elif reply[0] == "failed":
            self._unsaid.append(f"The tracker {reply[1]} failed ({reply[2]}) and gets no more.")

    def _lose(self, why: str) -> None:
        self._over = True
        self._unsaid.append(f"The trackers get no more: {why}.")

    def _say(self) -> None:
        """Warn; where warnings are errors they must not end a training, so they are dropped."""
        while self._unsaid:
            text = f"{self._unsaid.pop(0)} The store has everything: the same again sends the rest."
            try:
                warnings.warn(text, TrackerWarning, stacklevel=5)
            except TrackerWarning:
                continue

    def _last_words(self) -> str:
        self._log.seek(0)
        text = self._log.read().decode("utf-8", "replace").strip()
        return line(text.splitlines()[-1], 300) if text else "it said nothing"

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            for order in iter(self._orders.get, None):
                pipe.write(f"{order}\n")
                pipe.flush()
            pipe.close()
        except (OSError, ValueError):  # it is gone; the reader notices
            return

    def _read(self) -> None:
        assert self._process.stdout is not None
        for words in self._process.stdout:
            self._replies.put(json.loads(words))
        self._replies.put(None)


def _environment() -> dict[str, str]:
    """The user's, with settings that only that process gets; what the user set stays."""
    found = {**_SETTINGS, **os.environ, "OMP_NUM_THREADS": "1"}
    found["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in sys.path)
    return found
