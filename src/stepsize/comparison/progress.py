"""Progress bars over runs and epochs, and the ranking so far, on standard error, when asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

from stepsize.comparison.result import result_of
from stepsize.comparison.trial import AnyTrial
from stepsize.comparison.watcher import Watcher
from stepsize.progress import need_tqdm
from stepsize.records import Evaluation
from stepsize.store import Store

#: How many arms of the ranking so far are shown.
_LEADERS = 3


@contextmanager
def shown(progress: bool) -> Iterator[tuple[Watcher, ...]]:
    """A watcher with bars; none, and silence, without ``progress``.

    Raises:
        MissingDependencyError: bars are wanted and tqdm is not installed.
    """
    if not progress:
        yield ()
        return
    tqdm = need_tqdm()
    yield (_Bars(tqdm),)


@final
@dataclass
class _Running:
    """A run that is being made.

    Attributes:
        bar: over its epochs; None beside other runs.
        updates: made since it began, as far as is known.
        last: its latest validation loss.
    """

    bar: Any
    updates: int = 0
    last: float = math.inf


@final
class _Bars(Watcher):
    """One bar over all updates, with the time left, and one over the epochs of a run alone."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._all: Any = None
        self._running: dict[int, _Running] = {}
        self._comparison: tuple[Store, int] | None = None

    def finding(self, task: str) -> None:
        self._tqdm.write(f"range test of {task} ...", file=self._err())

    def entered(self, store: Store, comparison_id: int) -> None:
        self._comparison = store, comparison_id

    def engine(self, name: str, reason: str) -> None:
        self._tqdm.write(f"engine {name}: {reason}", file=self._err())

    def planned(self, trials: Sequence[AnyTrial], over: int) -> None:
        self._close_bars()
        runs = {trial.key: trial for trial in trials}
        updates = sum(trial.updates for trial in runs.values())
        made = round(updates * over / max(len(runs), 1))
        self._all = self._tqdm(
            total=updates, initial=made, desc=f"{len(runs)} runs", unit="update", unit_scale=True,
            leave=False, position=0,
        )  # fmt: skip
        if over:
            self._all.write(f"{over} of {len(runs)} runs are finished already", file=self._err())

    def started(self, trial: AnyTrial, run_id: int, done: int) -> None:
        before = self._running.pop(run_id, None)  # it goes on after its worker was lost
        if before is not None:
            if before.bar is not None:
                before.bar.close()
            self._all.update(-before.updates)
        alone = not self._running
        bar = self._tqdm(
            total=trial.epochs, desc=f"{trial.arm:.40}, seed {trial.seed}", unit="epoch",
            leave=False, position=1, initial=done // trial.updates_per_epoch,
        ) if alone else None  # fmt: skip
        # What is made now counts in the bar over all, so that its time left is right.
        self._running[run_id] = _Running(bar)

    def evaluated(self, trial: AnyTrial, run_id: int, evaluation: Evaluation) -> None:
        run = self._running[run_id]
        run.last = evaluation.values["val_loss"]
        if run.bar is not None:
            run.bar.set_postfix_str(f"val_loss {run.last:.4g}", refresh=False)
            run.bar.update(evaluation.epoch - run.bar.n)
        step = min(trial.updates_per_epoch, evaluation.updates)
        run.updates += step
        self._all.update(step)

    def ended(self, trial: AnyTrial, run_id: int, status: str, error: str) -> None:
        run = self._running.pop(run_id)
        if run.bar is not None:
            run.bar.close()
        self._all.update(max(0, trial.updates - run.updates))
        outcome = f"val_loss {run.last:.4g}" if status == "finished" else f"{status}: {error}"
        self._all.write(f"{trial.arm}, seed {trial.seed}: {outcome}", file=self._err())
        self._all.set_postfix_str(self._leaders(), refresh=True)

    def waiting(self, trials: Sequence[AnyTrial]) -> None:
        self._all.set_postfix_str(f"waiting for {len(trials)} runs of other processes")

    def close(self) -> None:
        self._close_bars()

    def _close_bars(self) -> None:
        for bar in (*(run.bar for run in self._running.values()), self._all):
            if bar is not None:
                bar.close()
        self._running = {}

    def _leaders(self) -> str:
        """The head of the ranking as it stands, by the comparison's own metric."""
        if self._comparison is None:  # rates are still being tuned
            return ""
        result = result_of(*self._comparison)
        rows = [row for row in result.ranking if row.mean is not None][:_LEADERS]
        told = ", ".join(f"{row.arm:.24} {row.mean:.4g}" for row in rows)
        return f"{result.metric} so far: {told}" if rows else ""

    def _err(self) -> Any:
        import sys

        return sys.stderr
