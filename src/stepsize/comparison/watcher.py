"""Who looks on while a comparison is made: progress bars, trackers, tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from stepsize.comparison.trial import AnyTrial
from stepsize.records import Evaluation
from stepsize.store import Store


class Watcher:
    """Is told what happens; does nothing by itself. Override what is of interest."""

    def finding(self, task: str) -> None:
        """A range test looks for the task's rate."""

    def entered(self, store: Store, comparison_id: int) -> None:
        """The comparison is in the store, under that number; its runs come next."""

    def planned(self, trials: Sequence[AnyTrial], over: int) -> None:
        """These runs are to be made; ``over`` of them are over already."""

    def engine(self, name: str, reason: str) -> None:
        """That engine makes them, for that reason."""

    def started(self, trial: AnyTrial, run_id: int, done: int) -> None:
        """A run begins, or goes on after ``done`` updates."""

    def evaluated(self, trial: AnyTrial, run_id: int, evaluation: Evaluation) -> None:
        """An epoch is done."""

    def ended(self, trial: AnyTrial, run_id: int, status: str, error: str) -> None:
        """A run is over, or cannot go on: its status and what went wrong."""

    def waiting(self, trials: Sequence[AnyTrial]) -> None:
        """Nothing is left but runs that other processes are making."""

    def close(self) -> None:
        """Nothing more will come, for whatever reason."""


class Watchers(Watcher):
    """Several watchers as one; one that raises is warned about and never spoils a run.

    >>> Watchers([Watcher(), Watcher()]).close()
    """

    def __init__(self, watchers: Iterable[Watcher]) -> None:
        self._all = tuple(watchers)

    def finding(self, task: str) -> None:
        """Tell all."""
        self._tell("finding", task)

    def entered(self, store: Store, comparison_id: int) -> None:
        """Tell all."""
        self._tell("entered", store, comparison_id)

    def planned(self, trials: Sequence[AnyTrial], over: int) -> None:
        """Tell all."""
        self._tell("planned", trials, over)

    def engine(self, name: str, reason: str) -> None:
        """Tell all."""
        self._tell("engine", name, reason)

    def started(self, trial: AnyTrial, run_id: int, done: int) -> None:
        """Tell all."""
        self._tell("started", trial, run_id, done)

    def evaluated(self, trial: AnyTrial, run_id: int, evaluation: Evaluation) -> None:
        """Tell all."""
        self._tell("evaluated", trial, run_id, evaluation)

    def ended(self, trial: AnyTrial, run_id: int, status: str, error: str) -> None:
        """Tell all."""
        self._tell("ended", trial, run_id, status, error)

    def waiting(self, trials: Sequence[AnyTrial]) -> None:
        """Tell all."""
        self._tell("waiting", trials)

    def close(self) -> None:
        """Tell all."""
        self._tell("close")

    def _tell(self, what: str, *words: Any) -> None:
        for each in self._all:
            try:
                getattr(each, what)(*words)
            except Exception as error:  # noqa: BLE001 - whatever it is, the run is not to blame
                name = type(each).__name__
                warnings.warn(f"{name}.{what} raised {error!r:.200}", stacklevel=3)
