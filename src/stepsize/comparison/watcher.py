"""Who looks on while a comparison is made: progress bars, trackers, tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepsize.comparison.trial import Trial
from stepsize.records import Evaluation
from stepsize.store import Store


class Watcher:
    """Is told what happens; does nothing by itself. Override what is of interest."""

    def finding(self, task: str) -> None:
        """A range test looks for the task's rate."""

    def entered(self, store: Store, comparison_id: int) -> None:
        """The comparison is in the store, under that number; its runs come next."""

    def planned(self, trials: Sequence[Trial], over: int) -> None:
        """These runs are to be made; ``over`` of them are over already."""

    def started(self, trial: Trial, run_id: int, done: int) -> None:
        """A run begins, or goes on after ``done`` updates."""

    def evaluated(self, trial: Trial, run_id: int, evaluation: Evaluation) -> None:
        """An epoch is done."""

    def ended(self, trial: Trial, run_id: int, status: str, error: str) -> None:
        """A run is over, or cannot go on: its status and what went wrong."""

    def waiting(self, trials: Sequence[Trial]) -> None:
        """Nothing is left but runs that other processes are making."""

    def close(self) -> None:
        """Nothing more will come, for whatever reason."""


class Watchers(Watcher):
    """Several watchers as one.

    >>> Watchers([Watcher(), Watcher()]).close()
    """

    def __init__(self, watchers: Iterable[Watcher]) -> None:
        self._all = tuple(watchers)

    def finding(self, task: str) -> None:
        """Tell all."""
        for each in self._all:
            each.finding(task)

    def entered(self, store: Store, comparison_id: int) -> None:
        """Tell all."""
        for each in self._all:
            each.entered(store, comparison_id)

    def planned(self, trials: Sequence[Trial], over: int) -> None:
        """Tell all."""
        for each in self._all:
            each.planned(trials, over)

    def started(self, trial: Trial, run_id: int, done: int) -> None:
        """Tell all."""
        for each in self._all:
            each.started(trial, run_id, done)

    def evaluated(self, trial: Trial, run_id: int, evaluation: Evaluation) -> None:
        """Tell all."""
        for each in self._all:
            each.evaluated(trial, run_id, evaluation)

    def ended(self, trial: Trial, run_id: int, status: str, error: str) -> None:
        """Tell all."""
        for each in self._all:
            each.ended(trial, run_id, status, error)

    def waiting(self, trials: Sequence[Trial]) -> None:
        """Tell all."""
        for each in self._all:
            each.waiting(trials)

    def close(self) -> None:
        """Tell all."""
        for each in self._all:
            each.close()
