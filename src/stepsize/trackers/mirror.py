"""What the store holds of a comparison, sent to a tracker: only what is new."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import final

from stepsize.records import OVER, Comparison
from stepsize.store import Store, StoredRun
from stepsize.tasks.filelock import locked
from stepsize.trackers.base import ComparisonInfo, RunInfo, RunTracker, Summary, Tracker

#: After so many updates it is noted that they were sent.
PIECE = 2000
_KIND = "tracker"


@final
class Mirror:
    """Sends a comparison from the store to a tracker.

    The store remembers what was sent, so every method may be called at any time and again; what a
    tool has lost (its folder was deleted) is sent anew. Processes that mirror the same comparison
    to the same place take turns.

    Args:
        store: where the comparison is.
        tracker: where it goes.
        comparison_id: which one.
        alive: called now and then while something is sent.

    Raises:
        StoreError: there is no such comparison.
    """

    def __init__(
        self,
        store: Store,
        tracker: Tracker,
        comparison_id: int,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        stored = store.comparison(comparison_id)
        task = str(stored.plan.get("task", ""))
        self._store = store
        self._tracker = tracker
        self._runs = stored.runs
        self._alive = alive
        self._info = ComparisonInfo(stored.name or task, stored.key, task, stored.plan)
        self._open: tuple[int, str, RunTracker] | None = None

    def sync(self, run_id: int) -> None:
        """Send what is new of a run; nothing if it is none of the comparison's.

        The last update of a run that may go on waits until the next one, because the evaluation
        after it may still be on its way.
        """
        for arm in self._arms(run_id):
            with self._turn():
                self._send(self._store.read(run_id), arm)

    def end(self, run_id: int) -> None:
        """Send what is new of a run, and how it ended."""
        for arm in self._arms(run_id):
            with self._turn():
                run = self._store.read(run_id)
                new = self._send(run, arm)
                name = f"{self._key(arm)} {run_id}"
                if new or self._store.kept(_KIND, name) != run.status:
                    sent = self._store.exported(run.id, self._key(arm))
                    self._session(run, arm, sent).end(run.status, self._summary(run))
                    self._open = None
                    self._store.keep(_KIND, name, run.status)

    def finish(self, result: Comparison, files: Mapping[str, bytes]) -> None:
        """Send what is missing of all runs, the ranking, and the files by their names."""
        for run_id in dict.fromkeys(run_id for run_id, _ in self._runs):
            if self._store.status(run_id) not in ("waiting", "running"):
                self.end(run_id)
        with self._turn():
            name = f"{self._key('')} result"
            digest = _digest(result)
            if self._store.kept(_KIND, name) != digest or not self._has_first():
                self._tracker.finish(self._info, result, files)
                self._store.keep(_KIND, name, digest)

    def close(self) -> None:
        """End the run that is open, as the store says it stands."""
        if self._open is not None:
            self.end(self._open[0])

    def _arms(self, run_id: int) -> list[str]:
        return [arm for number, arm in self._runs if number == run_id]

    def _key(self, arm: str) -> str:
        """Under what the store remembers what was sent: a run may be in several comparisons."""
        return f"{self._tracker.target} {self._info.key} {arm}"

    def _has_first(self) -> bool:
        return all(self._there(self._store.read(run_id), arm) for run_id, arm in self._runs[:1])

    def _send(self, run: StoredRun, arm: str) -> bool:
        """Send what is new; whether anything was."""
        last = max((each.updates for each in run.history), default=0)
        limit = run.done if run.status in OVER else max(last, run.done - 1)
        there = self._there(run, arm)
        sent = self._store.exported(run.id, self._key(arm)) if there else 0
        if there and limit <= sent:
            return False
        session = self._session(run, arm, sent)
        evaluations = {each.updates - 1: each for each in run.history}
        for update, lr, loss in self._store.updates(run.id, sent):
            if update >= limit:
                break
            values = {"lr": lr, "loss": loss}
            if (evaluation := evaluations.get(update)) is not None:
                values |= {"epoch": evaluation.epoch, **evaluation.values}
            session.log(update, values)
            if (update + 1) % PIECE == 0:
                self._note(session, run, arm, update + 1)
        self._note(session, run, arm, limit)
        return True

    def _there(self, run: StoredRun, arm: str) -> bool:
        """Whether the tracker has the run, or had it and lost it."""
        if self._open is not None and self._open[:2] == (run.id, arm):
            return True
        return self._tracker.has(self._of(run, arm))

    def _note(self, session: RunTracker, run: StoredRun, arm: str, updates: int) -> None:
        session.flush()
        self._alive()
        self._store.set_exported(run.id, self._key(arm), updates)

    def _session(self, run: StoredRun, arm: str, sent: int) -> RunTracker:
        """The run as the tracker has it open; one that was open before is ended."""
        if self._open is not None:
            run_id, name, session = self._open
            if (run_id, name) == (run.id, arm):
                return session
            other = self._store.read(run_id)
            session.end(other.status, self._summary(other))
        session = self._tracker.open(self._of(run, arm), sent)
        self._open = (run.id, arm, session)
        return session

    def _of(self, run: StoredRun, arm: str) -> RunInfo:
        definition = run.definition
        return RunInfo(
            comparison=self._info,
            arm=arm,
            schedule=definition["schedule"],
            seed=definition["seed"],
            key=run.key,
            updates=definition["updates"],
            definition=definition,
            environment=run.environment,
        )

    def _summary(self, run: StoredRun) -> Summary:
        """The run's end and best in named values."""
        metric = str(self._info.plan.get("metric", "val_loss"))
        seen = run.as_run("")
        summary: dict[str, float | int | str] = {f"final_{n}": v for n, v in seen.final.items()}
        best = seen.best(metric, bool(self._info.plan.get("higher", False)))
        if best is not None:
            summary |= {f"best_{n}": v for n, v in best.values.items()} | {"best_epoch": best.epoch}
        summary |= {"status": run.status, "updates_done": run.done, "seconds": run.seconds}
        return summary | ({"error": run.error} if run.error else {})

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other process sends anything to this place."""
        folder = self._store.files
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{self._tracker.name}.lock"):
            yield


def _digest(result: Comparison) -> str:
    """Of everything in a result but the times."""
    data = result.to_dict()
    for run in data["runs"]:
        run["seconds"] = math.nan
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
