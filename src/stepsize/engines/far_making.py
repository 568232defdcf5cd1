"""A run that is made on a machine without the runs database: what it tells is written down here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, final

from stepsize.comparison.trial import Trial
from stepsize.comparison.watcher import Watcher
from stepsize.engines.crew import Call, Outcome
from stepsize.engines.far_lease import Part
from stepsize.engines.held_back import held_back
from stepsize.errors import LeaseLostError, StoreError
from stepsize.records import OVER, Evaluation
from stepsize.store import Lease, Store
from stepsize.store.whole_file import replacing


@final
class FarMaking:
    """One run while it is made far away; its lease is held here.

    A message that comes twice is written once, and Ctrl-C never leaves one half written.

    Args:
        trial: what is made.
        lease: the right to make it.
        watcher: is told what happens.
        call: makes it, see :class:`~stepsize.engines.far_lease.FarLease`.

    Attributes:
        call: to be submitted.
    """

    def __init__(self, trial: Trial, lease: Lease, watcher: Watcher, call: Call) -> None:
        self.call = call
        self._trial, self._lease, self._watcher = trial, lease, watcher
        self._number, self._written = 0, 0  # of the message at hand; of its parts
        self._held = True
        self._end: tuple[str, str] | None = None

    def hear(self, message: tuple[int, list[Part]]) -> None:
        """Write down what the run has told.

        Raises:
            StoreError: the store cannot be written.
        """
        number, parts = message
        if number < self._number or not self._held:
            return
        if number > self._number:
            self._number, self._written = number, 0
        with held_back():
            try:
                for what, content in parts[self._written :]:
                    getattr(self, f"_{what}")(*content)
                    self._written += 1
                if self._held:
                    self._lease.flush()
            except LeaseLostError:
                self._held = False  # another process makes it

    def over(self, outcome: Outcome) -> bool:
        """The call has ended; whether the run is done with.

        Raises:
            BaseException: what concerns all runs.
        """
        end = self._end
        self._give_back(outcome.lost or str(outcome.error or "it ended without a word"))
        if outcome.error is not None:
            raise outcome.error
        if end is None or end[0] == "interrupted":
            return False
        self._watcher.ended(self._trial, self._lease.run_id, *end)
        return True

    def drop(self) -> None:
        """Give the run back as it is."""
        self._give_back("it was left alone")

    def _give_back(self, why: str) -> None:
        if not self._held:
            return
        self._held = False
        with held_back():
            try:
                self._lease.finish("interrupted", error=why)
            except LeaseLostError:
                return

    # -- parts that are more than a method of the lease ---------------------------------------

    def _log(self, update: int, lr: float, loss: float) -> None:
        self._lease.log(update, lr, loss)

    def _evaluate(self, evaluation: Evaluation) -> None:
        self._lease.evaluate(evaluation)
        self._watcher.evaluated(self._trial, self._lease.run_id, evaluation)

    def _rewind(self, updates: int) -> None:
        self._lease.rewind(updates)

    def _facts(self, facts: Mapping[str, Any]) -> None:
        self._lease.facts(**facts)

    def _event(self, kind: str, text: str) -> None:
        self._lease.event(kind, text)

    def _checkpoint(self, content: bytes | None) -> None:
        self._lease.flush()  # what it counts as done must be in the store before
        path = self._lease.checkpoint
        try:
            if content is not None:
                with replacing(path) as file:
                    file.write(content)
            elif path.exists():
                os.replace(path, path.with_name(f"{path.name}.unreadable"))
        except OSError as error:
            self._lease.event("checkpoint", f"could not be written: {error}")

    def _weights(self, content: bytes) -> None:
        try:
            with replacing(self._lease.weights) as file:
                file.write(content)
        except OSError as error:
            raise StoreError(f"The weights of a run cannot be written: {error}.") from error

    def _finish(self, status: str, error: str, seconds: float) -> None:
        self._lease.finish(status, error, seconds)
        self._held, self._end = False, (status, error)
        if status in OVER:
            self._lease.checkpoint.unlink(missing_ok=True)


def far_begin(
    store: Store,
    environment: Mapping[str, Any],
    call_of: Callable[[Trial, Lease, bytes | None], Call],
) -> Callable[[Trial, int, Watcher], FarMaking | None]:
    """What begins runs for :func:`stepsize.engines.conducting.conduct_with`.

    Args:
        store: where the runs are kept.
        environment: versions, git commit and machine, for the record of each run.
        call_of: the call that makes a trial, of its lease and the content of its last checkpoint.
    """

    def begin(trial: Trial, run_id: int, watcher: Watcher) -> FarMaking | None:
        lease = store.claim(run_id, environment)
        if lease is None:
            return None
        try:
            checkpoint = lease.checkpoint.read_bytes() if lease.checkpoint.exists() else None
            making = FarMaking(trial, lease, watcher, call_of(trial, lease, checkpoint))
            watcher.started(trial, run_id, lease.done)
        except BaseException as error:
            lease.finish("interrupted", error=f"{type(error).__name__} {error}")
            raise
        return making

    return begin
