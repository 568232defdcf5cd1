"""``RunEngine``: makes the runs of a comparison on the engine that suits them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

from stepsize.adapters.torch.elsewhere.far_runs import far_away
from stepsize.adapters.torch.elsewhere.run_order import Orders
from stepsize.adapters.torch.elsewhere.runs import through_the_store
from stepsize.adapters.torch.engine.choose import choose
from stepsize.adapters.torch.fused.runs import train_together
from stepsize.adapters.torch.trials import train
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import Together, Trial, Watcher, conduct
from stepsize.engines import Crew, EngineChoice
from stepsize.engines.auto import Decision, Work
from stepsize.engines.conducting import conduct_with
from stepsize.engines.opening import crew_of
from stepsize.records import OVER
from stepsize.store import Store


@final
@dataclass
class RunEngine:
    """Makes runs; its workers, once started, stay for the next ones.

    Attributes:
        asked: the engine that the user asked for.
        recipe: how an update is made.
        store: where runs are kept.
        environment: versions, git commit and machine.
        watcher: is told what happens.
        notes: sentences about the engines for a reader of the result.
    """

    asked: EngineChoice
    recipe: Recipe
    store: Store
    environment: Mapping[str, Any]
    watcher: Watcher
    notes: list[str] = field(default_factory=list)
    _crew: Crew | None = None

    def make(self, trials: Sequence[Trial]) -> None:
        """Make every run that is not over yet; see :func:`~stepsize.comparison.conduct`.

        Raises:
            StoreError: the store cannot be written; what was made so far is kept.
            EngineError: there are no workers, or none is left.
        """
        decision = self._decision(trials)
        engine = decision.engine
        rest: dict[str, Any] = {"environment": self.environment, "watcher": self.watcher}
        if engine.name in ("processes", "dask"):
            crew = self._crew = self._crew or crew_of(engine)
            begins = through_the_store if crew.shares_files else far_away
            begin = begins(self.store, Orders(self.recipe), self.environment)
            conduct_with(crew, trials, self.store, begin, **rest)
            return
        together = None
        if engine.name == "fused":
            trained = partial(train_together, recipe=self.recipe, compiled=decision.compiled)
            together = Together(partial(_groups, most=decision.copies), trained)
        trained_alone = partial(train, recipe=self.recipe)
        conduct(trials, self.store, trained_alone, together=together, **rest)

    def close(self) -> None:
        """Stop the workers."""
        if self._crew is not None:
            self._crew.close()

    def _decision(self, trials: Sequence[Trial]) -> Decision:
        """The engine for what is left of ``trials``."""
        left = {trial.key: trial for trial in trials}
        for key in [key for key, trial in left.items() if self._over(trial)]:
            del left[key]
        if not left:
            return Decision(EngineChoice("serial"), "nothing is left to do")
        trial = next(iter(left.values()))
        work = Work(len(left), trial.updates, len(left), trial.epochs)
        decision = choose(self.asked, trial.task, self.recipe, work, trial.seed)
        if self.asked.name != "auto" or len(decision.seconds) > 1:  # else it is as always
            self.watcher.engine(str(decision.engine), decision.reason)
        if decision.engine != self.asked and self.asked.name != "auto":
            self.notes.append(f"Made by engine {decision.engine}, for it {decision.reason}.")
        return decision

    def _over(self, trial: Trial) -> bool:
        run_id = self.store.run_id(trial.key)
        return run_id is not None and self.store.status(run_id) in OVER


def _groups(trials: Sequence[Trial], most: int) -> Iterator[tuple[Trial, ...]]:
    """Runs of one task, recipe and length, as many at a time as fit."""

    def alike(trial: Trial) -> tuple[str, int, int]:
        return trial.source, trial.epochs, trial.updates_per_epoch

    for _, each in itertools.groupby(sorted(trials, key=alike), key=alike):
        group = tuple(each)
        for start in range(0, len(group), most):
            yield group[start : start + most]
