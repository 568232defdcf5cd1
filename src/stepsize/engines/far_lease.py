"""The right to make a run on a machine that does not see the runs database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from stepsize.errors import StoreError, require
from stepsize.records import Evaluation
from stepsize.store.lease import ENDS

#: What happens is told about this often: as much as a lost worker costs, beside its checkpoint.
TELL_SECONDS = 1.0
#: A run's checkpoints are told at most at this rate, so that those of many runs fit through one
#: connection and none pile up.
BYTES_PER_SECOND = 5e6

#: A part of a message: the name of what :class:`~stepsize.store.Lease` does, and with what.
Part = tuple[str, tuple[Any, ...]]


@final
class FarLease:
    """A lease whose holder is elsewhere: everything that is written through it is told there.

    It has the methods of :class:`~stepsize.store.Lease`; the checkpoint and the weights are files
    here, which are told when they have changed. Each message is a number, 0 first, and parts in
    the order in which they happened.

    Args:
        run_id: the run's number in its store.
        done: how many updates the store holds.
        folder: for the run's files; the one of the last checkpoint is put there.
        checkpoint: the content of that file, if there is one.
        tell: says a message to the holder of the lease.
        checkpoint_seconds: at least this long between two checkpoints that are told.

    Attributes:
        status: ``running``, and what it was finished as.
        error: what went wrong, in one line.

    >>> from pathlib import Path
    >>> told = []
    >>> with FarLease(3, 0, Path("."), None, told.append) as lease:
    ...     lease.log(0, 0.1, 2.5)
    ...     lease.finish("finished")
    >>> told[0]
    (0, [('log', (0, 0.1, 2.5)), ('finish', ('finished', '', 0.0))])
    """

    def __init__(
        self,
        run_id: int,
        done: int,
        folder: Path,
        checkpoint: bytes | None,
        tell: Callable[[tuple[int, list[Part]]], None],
        *,
        checkpoint_seconds: float = 10.0,
    ) -> None:
        self.run_id, self.done, self.status, self.error = run_id, done, "running", ""
        self._folder, self._tell, self._checkpoint_seconds = folder, tell, checkpoint_seconds
        if checkpoint is not None:
            self.checkpoint.write_bytes(checkpoint)
        self._known = _version(self.checkpoint)
        self._parts: list[Part] = []
        self._number = 0
        self._due = time.monotonic() + TELL_SECONDS
        self._checkpoint_due = time.monotonic()

    def __repr__(self) -> str:
        return f"FarLease(run {self.run_id})"

    @property
    def checkpoint(self) -> Path:
        """Where this run's checkpoint belongs, here."""
        return self._folder / "run.checkpoint"

    @property
    def weights(self) -> Path:
        """Where this run's final weights belong, here."""
        return self._folder / "run.weights"

    def log(self, update: int, lr: float, loss: float) -> None:
        """Note the rate that an update used and the training loss of its batch."""
        self.done = max(self.done, update + 1)
        self._add("log", int(update), float(lr), float(loss))

    def flush(self) -> None:
        """Tell what waits, at once."""
        self._require_running()
        self._look()
        self._send()

    def evaluate(self, evaluation: Evaluation) -> None:
        """Note the values of an evaluation."""
        self._add("evaluate", evaluation)

    def rewind(self, updates: int) -> None:
        """Forget the updates from number ``updates`` on, and the evaluations made after them."""
        self.done = min(self.done, updates)
        self._add("rewind", updates)

    def facts(self, **facts: Any) -> None:
        """Add JSON facts to the run's; a fact of the same name is replaced."""
        self._add("facts", facts)

    def event(self, kind: str, text: str) -> None:
        """Add a dated line to the run's history."""
        self._add("event", kind, text)

    def finish(self, status: str, error: str = "", seconds: float = 0.0) -> None:
        """Tell everything, and give the run back.

        Args:
            status: ``finished``, ``diverged``, ``failed`` or ``interrupted``.
            error: what went wrong, in one line.
            seconds: spent training.

        Raises:
            InputError: another status.
        """
        require(status in ENDS, f"A lease ends {', '.join(ENDS)}; got {status!r}.")
        self._require_running()
        if status in ("failed", "interrupted"):
            self._add_checkpoint()
        elif self.weights.exists():
            self._parts.append(("weights", (self.weights.read_bytes(),)))
        self._parts.append(("finish", (status, error, seconds)))
        self.status, self.error = status, error
        self._send()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.status == "running":
            self.finish("interrupted", "" if error is None else f"{type(error).__name__} {error}")

    def _add(self, what: str, *content: Any) -> None:
        self._require_running()
        self._parts.append((what, content))
        if time.monotonic() >= self._due:
            self._look()
            self._send()

    def _look(self) -> None:
        """Add the checkpoint, if it is time for one."""
        if time.monotonic() >= self._checkpoint_due:
            self._add_checkpoint()

    def _add_checkpoint(self) -> None:
        """Its content if the file has changed; None if it was set aside."""
        version = _version(self.checkpoint)
        if version == self._known:
            return
        content = None if version is None else self.checkpoint.read_bytes()
        self._parts.append(("checkpoint", (content,)))
        self._known = version
        wait = max(self._checkpoint_seconds, len(content or b"") / BYTES_PER_SECOND)
        self._checkpoint_due = time.monotonic() + wait

    def _send(self) -> None:
        self._tell((self._number, self._parts))
        self._number, self._parts = self._number + 1, []
        self._due = time.monotonic() + TELL_SECONDS

    def _require_running(self) -> None:
        if self.status != "running":
            raise StoreError(f"The run {self.run_id} was given back ({self.status}).")


def _version(path: Path) -> tuple[int, int, int] | None:
    """Another one each time that the file was written anew; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
