"""What trains the arms of ``tune``: this process, one batched model, or workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.arms import TorchArmTrainer
from stepsize.adapters.torch.arms.crew_trainer import CrewArmTrainer
from stepsize.adapters.torch.arms.validation import validation_of
from stepsize.adapters.torch.elsewhere.numerics import Numerics
from stepsize.adapters.torch.elsewhere.opening import opened
from stepsize.adapters.torch.engine.choose import check_alone, choose, note_of
from stepsize.adapters.torch.fused.arms import LEAST_TOGETHER, FusedArmTrainer
from stepsize.adapters.torch.trials import fresh_task, updates_per_epoch
from stepsize.adapters.torch.update import Recipe
from stepsize.engines import EngineChoice
from stepsize.engines.auto import Decision, Work
from stepsize.tasks import LoadedTask
from stepsize.tasks.explain import explained
from stepsize.tasks.packing import packed
from stepsize.tasks.sending import definition_of
from stepsize.tuner import ArmTrainer

#: One evaluation computes at most as much as this share of a whole training.
EVALUATION_SHARE = 0.005
#: A race is as quick with several workers as this part of it one after the other, and the rest in
#: as many arms as may be together: 1.75 times as quick with 2 workers, 2.0 times with 3, and 2.15
#: times with 8 were measured at a budget of 1.
ALONE = 0.2
#: Of the arms of a race so many are trained at the same time, most of the time.
AT_ONCE = LEAST_TOGETHER
#: Parts of a race that 2 and 3 workers can share.
PARTS = 2 * AT_ONCE
#: Readings of a race: 16 to 18 were counted, at budgets of 1 and 2.
EVALUATIONS = 3 * PARTS


class TaskTrainer(ArmTrainer, Protocol):
    """Trains the arms of a task, and tells of it what a record needs.

    Attributes:
        optimizer: the class of the task's own.
        family: its kind, as far as its rates go.
        validation_batches: the first so many judge; None for all.
    """

    optimizer: str
    family: str
    validation_batches: int | None

    def prepare(self, optimizers: Iterable[str], seed: int = 0) -> None:
        """Make other optimizers, so that what is wrong shows at once."""
        ...


class ChosenTrainer(NamedTuple):
    """What trains.

    Attributes:
        trainer: of the arms.
        engine: its name.
        notes: what a reader should know of the choice.
    """

    trainer: TaskTrainer
    engine: EngineChoice
    notes: tuple[str, ...] = ()


@contextmanager
def trainer_for(
    asked: EngineChoice,
    loaded: LoadedTask,
    epochs: int,
    recipe: Recipe,
    seed: int,
    *,
    budget: float = 1.0,
) -> Iterator[ChosenTrainer]:
    """What trains arms on the engine ``asked`` for; it is let go of in the end.

    Arms that cannot be fused are trained as ``auto`` would have them trained.

    Args:
        asked: the engine.
        loaded: the task.
        epochs, recipe, seed: as for :class:`TorchArmTrainer`.
        budget: what the race may cost, in trainings.

    Raises:
        InputError: several ranks of ``torch.distributed``, or a task that cannot be sent.
        EngineError: no worker can be had.
    """
    check_alone(asked)
    decision = Decision(asked, "asked for")
    if asked.name in ("auto", "fused"):
        decision = _decision(asked, loaded, epochs, recipe, seed, budget)
    engine, notes = decision.engine, note_of(asked, decision)
    given: dict[str, Any] = {"recipe": recipe, "evaluation_share": EVALUATION_SHARE, "seed": seed}
    if engine.name == "serial":
        with TorchArmTrainer(loaded, epochs, **given) as serial:
            yield ChosenTrainer(serial, engine, notes)
    elif engine.name == "fused":
        with FusedArmTrainer(loaded, epochs, compiled=decision.compiled, **given) as fused:
            yield ChosenTrainer(fused, engine, notes)
    else:
        definition = definition_of(loaded)  # before any worker is started
        with opened(engine, definition, tried=engine != asked) as workers:
            notes = (*notes, *workers.notes)
            if workers.crew is None:
                with TorchArmTrainer(loaded, epochs, **given) as serial:
                    yield ChosenTrainer(serial, workers.engine, notes)
            else:
                far = CrewArmTrainer(workers.crew, definition, epochs, **given)
                yield ChosenTrainer(far, engine, notes)


def _decision(
    asked: EngineChoice, loaded: LoadedTask, epochs: int, recipe: Recipe, seed: int, budget: float
) -> Decision:
    """The engine for a race."""

    def send() -> object:
        return packed((definition_of(loaded), recipe, Numerics.here()), "what a race is")

    work = _work(loaded, epochs, recipe, seed, budget)
    return choose(asked, loaded, recipe, work, seed, sendable=send)


def _work(loaded: LoadedTask, epochs: int, recipe: Recipe, seed: int, budget: float) -> Work:
    """What a race comes to: as many updates, in parts that are made a few at a time.

    Raises:
        TaskError: the task cannot be made, or its code raised.
    """
    back = random_state.remember()
    try:
        with explained(loaded, "when it was looked at before any training"):
            task = fresh_task(loaded, seed)
            updates = epochs * updates_per_epoch(task, recipe)
            validation = validation_of(task, recipe, EVALUATION_SHARE * updates)
    finally:
        back()
    trained = max(1.0, budget * updates - EVALUATIONS * validation.updates)  # the rest is theirs
    return Work(
        PARTS,
        round(trained / PARTS),
        AT_ONCE,
        evaluations=EVALUATIONS // PARTS,
        evaluation_batches=validation.batches,
        alone=ALONE,
    )
