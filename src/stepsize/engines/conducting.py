"""The runs of a comparison, made by a crew."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, final

from stepsize.comparison import AnyTrial, Trial, Watcher
from stepsize.comparison.conduct import POLL_SECONDS, enter
from stepsize.comparison.make_one import make_one
from stepsize.engines.crew import TRIES, Call, Crew, Outcome
from stepsize.engines.telling import tell
from stepsize.engines.worker import GRACE_SECONDS
from stepsize.errors import EngineError
from stepsize.records import OVER, Evaluation
from stepsize.store import Store

#: Workers that were interrupted are waited for a little longer than they are given.
_MARGIN_SECONDS = 5.0


class Making(Protocol):
    """A run while it is made elsewhere."""

    @property
    def call(self) -> Call:
        """What a worker has to do."""
        ...

    def hear(self, message: Any) -> None:
        """What the worker tells."""
        ...

    def over(self, outcome: Outcome) -> bool:
        """The call has ended, or its worker was lost; what is held of the run is given back.

        Returns:
            Whether the run is done with: False if another process has it, or nobody.

        Raises:
            Exception: what the call has raised, which concerns all runs.
        """
        ...

    def drop(self) -> None:
        """Nothing more is heard of the call; what is held of the run is given back."""
        ...


#: ``begin(trial, run_id, watcher)``; None while another process makes the run.
Begin = Callable[[Trial, int, Watcher], Making | None]


def conduct_with(
    crew: Crew,
    trials: Sequence[Trial],
    store: Store,
    begin: Begin,
    *,
    environment: Mapping[str, Any],
    watcher: Watcher | None = None,
) -> tuple[int, ...]:
    """Have a crew make every run that is not over yet; the ids in the order of ``trials``.

    As :func:`stepsize.comparison.conduct`: each run is made once, whoever makes it, and a run that
    fails spoils no other. A run whose worker is lost is taken up again from its last checkpoint;
    one that costs :data:`~stepsize.engines.crew.TRIES` workers without getting on is ``failed``.
    When the caller stops (Ctrl-C, an error that concerns all runs), all workers save what they
    have, and stop.

    Args:
        crew: who makes them.
        trials: what to make; begun in this order.
        store: where it is kept.
        begin: says how a run is made by the crew.
        environment: versions, git commit and machine, for the record of each run.
        watcher: is told what happens.

    Raises:
        StoreError: the store cannot be written; what was made so far is kept.
        EngineError: no worker is left, or a worker has another task than this process.
        InputError: something cannot be sent to a worker.
    """
    watcher = watcher or Watcher()
    ids, left = enter(trials, store, watcher)
    work = _Work(crew, store, begin, environment, watcher, left)
    try:
        work.make()
    except BaseException:
        work.stop()
        raise
    return ids


@final
class _Work:
    """The runs that are left, and those that are being made."""

    def __init__(
        self,
        crew: Crew,
        store: Store,
        begin: Begin,
        environment: Mapping[str, Any],
        watcher: Watcher,
        left: dict[int, Trial],
    ) -> None:
        self.crew, self.store, self.begin = crew, store, begin
        self.environment, self.watcher, self.left = environment, watcher, left
        self._made: dict[int, tuple[int, Making]] = {}  # by ticket, with the run's id
        self._losses: Counter[int] = Counter()  # workers, since the run last got on
        self._done: Counter[int] = Counter()  # updates by then

    def make(self) -> None:
        """Make all that is left."""
        while self.left:
            self._begin()
            if self._made:
                for outcome in self.crew.wait(POLL_SECONDS):
                    self._settle(outcome)
            elif self.left:
                self.watcher.waiting(tuple(self.left.values()))
                time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Let all workers save what they have, and stop; a second Ctrl-C does not wait for it."""
        try:
            self.crew.interrupt()
            end = time.monotonic() + GRACE_SECONDS + _MARGIN_SECONDS
            while self._made and time.monotonic() < end:
                for outcome in self.crew.wait(POLL_SECONDS):
                    _, making = self._made.pop(outcome.ticket, (0, None))
                    if making is not None:
                        with contextlib.suppress(Exception, KeyboardInterrupt):
                            making.over(outcome)
        except Exception as error:  # noqa: BLE001 - the first error is the one to tell
            del error
        finally:
            for _, making in self._made.values():
                making.drop()

    def _begin(self) -> None:
        """Give a run to every worker that is free."""
        busy = {run_id for run_id, _ in self._made.values()}
        for run_id, trial in list(self.left.items()):
            if len(self._made) >= max(1, self.crew.workers):
                return
            status = "busy" if run_id in busy else self.store.status(run_id)
            if status in OVER:
                del self.left[run_id]  # another process has made it
            elif status not in ("busy", "running"):
                making = self.begin(trial, run_id, self.watcher)
                if making is not None:
                    self._submit(run_id, making)

    def _submit(self, run_id: int, making: Making) -> None:
        try:
            self._made[self.crew.submit(making.call, making.hear)] = run_id, making
        except BaseException:
            making.drop()
            raise

    def _settle(self, outcome: Outcome) -> None:
        run_id, making = self._made.pop(outcome.ticket, (0, None))
        if making is None:
            return  # a call of somebody else's
        if making.over(outcome):
            del self.left[run_id]  # also if it failed: the next call tries again
        elif outcome.lost:
            done = self.store.read(run_id).done
            if done > self._done[run_id]:  # it gets on, on machines that come and go
                self._losses[run_id], self._done[run_id] = 0, done
            self._losses[run_id] += 1
            if self._losses[run_id] >= TRIES:
                self._give_up(run_id, outcome.lost)

    def _give_up(self, run_id: int, lost: str) -> None:
        """Record a run that costs every worker its life as failed."""

        def fail(*_: Any, **__: Any) -> None:
            raise EngineError(f"its worker was lost {TRIES} times: {lost}")

        lease = self.store.claim(run_id, self.environment)
        if lease is not None and make_one(self.left[run_id], lease, self.store, fail, self.watcher):
            del self.left[run_id]


def beside(store: Store, call_for: Callable[[Trial, int], Call]) -> Begin:
    """Runs that workers make through the same store, which they open themselves.

    Args:
        store: the one.
        call_for: the call that claims a run, makes it under a :class:`TellingWatcher`, and returns
            whether it is done with.
    """

    def begin(trial: Trial, run_id: int, watcher: Watcher) -> Making:
        return _Beside(call_for(trial, run_id), trial, run_id, store, watcher)

    return begin


@final
class TellingWatcher(Watcher):
    """Tells the process that asked for a run what happens to it."""

    def started(self, trial: AnyTrial, run_id: int, done: int) -> None:
        """Tell it."""
        tell(("started", done))

    def evaluated(self, trial: AnyTrial, run_id: int, evaluation: Evaluation) -> None:
        """Tell it."""
        tell(("evaluated", evaluation))

    def ended(self, trial: AnyTrial, run_id: int, status: str, error: str) -> None:
        """Tell it."""
        tell(("ended", status, error))


@final
class _Beside:
    """A run whose worker writes to the store; nothing is held here."""

    def __init__(
        self, call: Call, trial: Trial, run_id: int, store: Store, watcher: Watcher
    ) -> None:
        self.call = call
        self._trial, self._run_id = trial, run_id
        self._store, self._watcher = store, watcher
        self._ended = False

    def hear(self, message: Any) -> None:
        kind, *words = message
        self._ended = self._ended or kind == "ended"
        getattr(self._watcher, kind)(self._trial, self._run_id, *words)

    def over(self, outcome: Outcome) -> bool:
        if outcome.error is not None:
            raise outcome.error
        if not outcome.lost:
            return bool(outcome.value)
        run = self._store.read(self._run_id)
        if run.status in OVER and not self._ended:  # it was lost on its last way
            self._watcher.ended(self._trial, self._run_id, run.status, run.error)
        return run.status in OVER

    def drop(self) -> None:
        pass
