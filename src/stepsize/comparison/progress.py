"""Progress bars over runs and epochs, and the ranking so far, on standard error, when asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

from stepsize.comparison.result import result_of
from stepsize.comparison.trial import Trial
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
class _Bars(Watcher):
    """One bar over all updates, with the time left, and one over the epochs of the present run."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._all: Any = None
        self._run: Any = None
        self._done = 0
        self._last = math.inf
        self._comparison: tuple[Store, int] | None = None

    def finding(self, task: str) -> None:
        self._tqdm.write(f"range test of {task} ...", file=self._err())

    def entered(self, store: Store, comparison_id: int) -> None:
        self._comparison = store, comparison_id

    def planned(self, trials: Sequence[Trial], over: int) -> None:
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

    def started(self, trial: Trial, run_id: int, done: int) -> None:
        self._run = self._tqdm(
            total=trial.epochs, desc=f"{trial.arm:.40}, seed {trial.seed}", unit="epoch",
            leave=False, position=1, initial=done // trial.updates_per_epoch,
        )  # fmt: skip
        self._done = 0  # the bar over all counts what is made now, so that its time left is right

    def evaluated(self, trial: Trial, run_id: int, evaluation: Evaluation) -> None:
        self._last = evaluation.values["val_loss"]
        self._run.set_postfix_str(f"val_loss {self._last:.4g}", refresh=False)
        self._run.update(evaluation.epoch - self._run.n)
        step = min(trial.updates_per_epoch, evaluation.updates)
        self._done += step
        self._all.update(step)

    def ended(self, trial: Trial, run_id: int, status: str, error: str) -> None:
        self._run.close()
        self._all.update(max(0, trial.updates - self._done))
        outcome = f"val_loss {self._last:.4g}" if status == "finished" else f"{status}: {error}"
        self._all.write(f"{trial.arm}, seed {trial.seed}: {outcome}", file=self._err())
        self._all.set_postfix_str(self._leaders(), refresh=True)

    def waiting(self, trials: Sequence[Trial]) -> None:
        self._all.set_postfix_str(f"waiting for {len(trials)} runs of other processes")

    def close(self) -> None:
        self._close_bars()

    def _close_bars(self) -> None:
        for bar in (self._run, self._all):
            if bar is not None:
                bar.close()

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
