"""The test set, read once, for the arm that validation has chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from stepsize.adapters.torch.trials import test_values
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import AnyTrial, result_of
from stepsize.records import OVER, Comparison
from stepsize.store import Store
from stepsize.tasks.blame import blame
from stepsize.tasks.filelock import locked


@final
@dataclass(frozen=True)
class ChosenRuns:
    """The runs of a comparison, out of which those of the chosen arm are tested.

    Attributes:
        store: where they are.
        comparison: its number there.
        key: its key.
        trials, ids: all its runs.
        sources: for each trial, the digest of its task, by which readings are counted.
        recipe: how an update is made.
    """

    store: Store
    comparison: int
    key: str
    trials: Sequence[AnyTrial]
    ids: Sequence[int]
    sources: Sequence[str]
    recipe: Recipe

    def tested(self) -> Comparison:
        """The comparison as it stands, with the test set's values of the chosen arm.

        They are read if there is a chosen arm, all runs are over, and they were not read before;
        by one process of several that come to the same point.
        """
        result = result_of(self.store, self.comparison)
        if not self._chosen(result):
            return result
        with locked(self._lock()):  # another process may be at the same point
            chosen = self._chosen(result)
            why = self._read(chosen) if chosen else ()
        result = result_of(self.store, self.comparison)
        return replace(result, notes=(*result.notes, *why))

    def _chosen(self, result: Comparison) -> list[int]:
        """The places of the chosen arm's runs, if the test set is to be read for them."""
        best = result.best
        over = all(run.status in OVER for run in result.runs)
        if best is None or not over or self.store.kept("test", self.key):
            return []
        return [
            place
            for place, trial in enumerate(self.trials)
            if trial.arm == best.arm and self.store.weights(self.ids[place]).is_file()
        ]

    def _read(self, chosen: Sequence[int]) -> tuple[str, ...]:
        """Read the test set and keep what it says; notes on what went wrong."""
        first, source = self.trials[chosen[0]], self.sources[chosen[0]]
        try:
            seeds = {
                str(self.trials[i].seed): test_values(
                    self.trials[i], self.store.weights(self.ids[i]), recipe=self.recipe
                )
                for i in chosen
            }
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code raises anything
            return (f"The test set could not be read: {blame(error, first.task.files)}.",)
        if not all(math.isfinite(v) for values in seeds.values() for v in values.values()):
            return ("The test set gave a value that is not finite; nothing is kept of it.",)
        mean = {
            name: math.fsum(values[name] for values in seeds.values()) / len(seeds)
            for name in next(iter(seeds.values()))
        }
        reads = [*(self.store.kept("test reads", source) or []), first.arm]
        self.store.keep("test reads", source, reads)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        said = {"arm": first.arm, "seeds": seeds, "mean": mean, "read": now, "reads": len(reads)}
        self.store.keep("test", self.key, said)
        return ()

    def _lock(self) -> Path:
        self.store.files.mkdir(parents=True, exist_ok=True)
        return self.store.files / "test-set.lock"
