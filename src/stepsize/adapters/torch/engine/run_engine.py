"""``RunEngine``: makes the runs of a comparison on the engine that suits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

from stepsize.adapters.torch.elsewhere.far_runs import far_away
from stepsize.adapters.torch.elsewhere.run_order import Orders
from stepsize.adapters.torch.elsewhere.runs import through_the_store
from stepsize.adapters.torch.engine.choose import choose, note_of
from stepsize.adapters.torch.fused.runs import train_together
from stepsize.adapters.torch.trials import train
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import Together, Trial, Watcher, conduct
from stepsize.engines import Crew, EngineChoice
from stepsize.engines.auto import Decision, Work
from stepsize.engines.conducting import conduct_with
from stepsize.engines.opening import crew_of
from stepsize.errors import EngineError, InputError
from stepsize.records import OVER
from stepsize.store import Store
from stepsize.tasks.packing import packed


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

        Arms may have tasks of their own; the engine is chosen for each task.

        Raises:
            StoreError: the store cannot be written; what was made so far is kept.
            EngineError: there are no workers, or none is left.
        """
        by_task: dict[str, list[Trial]] = {}
        for trial in trials:
            by_task.setdefault(trial.source, []).append(trial)
        for group in by_task.values():
            self._make(group)

    def close(self) -> None:
        """Stop the workers."""
        if self._crew is not None:
            self._crew.close()

    def _make(self, trials: Sequence[Trial]) -> None:
        """Make the runs of one task."""
        decision = self._decision(trials)
        if decision.engine.name in ("processes", "dask"):
            try:
                self._make_elsewhere(trials, decision.engine)
                return
            except (EngineError, InputError) as error:
                if self.asked.name != "auto":
                    raise
                self.notes.append(
                    f"Made one after the other, for {decision.engine} failed: {error}"
                )
        together = None
        if decision.engine.name == "fused":
            trained = partial(train_together, recipe=self.recipe, compiled=decision.compiled)
            together = Together(partial(_groups, most=decision.copies), trained)
        conduct(
            trials,
            self.store,
            partial(train, recipe=self.recipe),
            environment=self.environment,
            watcher=self.watcher,
            together=together,
        )

    def _make_elsewhere(self, trials: Sequence[Trial], engine: EngineChoice) -> None:
        crew = self._crew = self._crew or crew_of(engine)
        begins = through_the_store if crew.shares_files else far_away
        conduct_with(
            crew,
            trials,
            self.store,
            begins(self.store, Orders(self.recipe), self.environment),
            environment=self.environment,
            watcher=self.watcher,
        )

    def _decision(self, trials: Sequence[Trial]) -> Decision:
        """The engine for what is left of the runs of a task."""
        left = {trial.key: trial for trial in trials if not self._over(trial)}
        if not left:
            return Decision(EngineChoice("serial"), "nothing is left to do")
        trial = next(iter(left.values()))
        work = Work(
            trainings=len(left),
            updates=trial.updates,
            at_once=len(left),
            evaluations=trial.epochs,
            seeds=len({each.seed for each in left.values()}),
        )

        def send() -> None:
            orders = Orders(self.recipe)
            for each in left.values():
                packed(orders.of(each), f"the run of {each.arm}")

        decision = choose(self.asked, trial.task, self.recipe, work, trial.seed, sendable=send)
        if self.asked.name != "auto" or len(decision.seconds) > 1:  # else it is as always
            self.watcher.engine(str(decision.engine), decision.reason)
        self.notes += note_of(self.asked, decision)
        return decision

    def _over(self, trial: Trial) -> bool:
        run_id = self.store.run_id(trial.key)
        return run_id is not None and self.store.status(run_id) in OVER


def _groups(trials: Sequence[Trial], most: int) -> Iterator[Sequence[Trial]]:
    """As many at a time as fit."""
    for start in range(0, len(trials), most):
        yield trials[start : start + most]
