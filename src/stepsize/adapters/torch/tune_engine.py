"""What trains the arms of ``tune``: this process, one batched model, or workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple, Protocol

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.arms import TorchArmTrainer
from stepsize.adapters.torch.arms.crew_trainer import CrewArmTrainer
from stepsize.adapters.torch.engine.choose import check_alone, choose
from stepsize.adapters.torch.fused.arms import FusedArmTrainer
from stepsize.adapters.torch.trials import fresh_task, updates_per_epoch
from stepsize.adapters.torch.update import Recipe
from stepsize.engines import EngineChoice
from stepsize.engines.auto import Work
from stepsize.engines.opening import crew_of
from stepsize.tasks import LoadedTask
from stepsize.tasks.sending import definition_of
from stepsize.tuner import ArmTrainer

#: Arms that a race trains at the same time, most of the time.
AT_ONCE = 2


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


class Chosen(NamedTuple):
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
) -> Iterator[Chosen]:
    """What trains arms on the engine ``asked`` for; it is let go of in the end.

    Arms that cannot be fused are trained one after the other.

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
    compiled = False
    if asked.name == "auto":
        work = _work(loaded, epochs, recipe, seed, budget)
        decision = choose(asked, loaded, recipe, work, seed)
        asked, compiled = decision.engine, decision.compiled
    if asked.name == "serial":
        with TorchArmTrainer(loaded, epochs, recipe=recipe, seed=seed) as serial:
            yield Chosen(serial, EngineChoice("serial"))
    elif asked.name == "fused":
        with FusedArmTrainer(loaded, epochs, recipe=recipe, seed=seed, compiled=compiled) as fused:
            reason = fused.why_not(seed)
            note = f"The arms were trained one after the other, for they cannot be fused: {reason}."
            engine = EngineChoice("serial") if reason else asked
            yield Chosen(fused, engine, (note,) if reason else ())
    else:
        definition = definition_of(loaded)  # before any worker is started
        with closing(crew_of(asked)) as crew:
            yield Chosen(CrewArmTrainer(crew, definition, epochs, recipe=recipe, seed=seed), asked)


def _work(loaded: LoadedTask, epochs: int, recipe: Recipe, seed: int, budget: float) -> Work:
    """What a race comes to: as many updates, in parts that are made a few at a time."""
    with random_state.seeded(seed):
        updates = epochs * updates_per_epoch(fresh_task(loaded, seed), recipe)
    return Work(AT_ONCE, round(budget * updates / AT_ONCE), AT_ONCE)
