"""The arms of a race, each part of them trained by a worker that is told where to begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

from stepsize.adapters.torch import threads
from stepsize.adapters.torch.arms import aside
from stepsize.adapters.torch.arms.arm_trainer import TorchArmTrainer
from stepsize.adapters.torch.arms.stands import Stand
from stepsize.adapters.torch.elsewhere.numerics import Numerics
from stepsize.adapters.torch.update import Recipe
from stepsize.records import Reading
from stepsize.tuner.trainer import Entry

if TYPE_CHECKING:
    from stepsize.tasks.sending import TaskDefinition

#: A worker keeps so many trainers, each with the living tasks of a race.
MOST_TRAINERS = 2


@final
@dataclass(frozen=True)
class ArmSetting:
    """What all arms of a race have in common.

    Attributes:
        race: a name that no other race has.
        definition: the task.
        epochs, recipe, evaluation_share, seed: as for :class:`TorchArmTrainer`.
        numerics: torch's settings.
    """

    race: str
    definition: TaskDefinition
    epochs: int
    recipe: Recipe
    evaluation_share: float
    seed: int
    numerics: Numerics


class Facts(NamedTuple):
    """What is known of a race's trainings before the first; see :class:`TorchArmTrainer`."""

    updates: int
    updates_per_epoch: int
    evaluation_updates: float
    validation_batches: int | None
    optimizer: str
    family: str


class Made(NamedTuple):
    """What a part of an arm has come to.

    Attributes:
        reading: of the arm.
        state: where it stands now; None if it cannot go on.
        spent: updates that were made for it.
        evaluations: how many were made.
        first_loss: of the arms here, before any update; None if none has begun here.
    """

    reading: Reading
    state: bytes | None
    spent: int
    evaluations: int
    first_loss: float | None


class Start(NamedTuple):
    """The validation loss before any update, and what it has cost."""

    loss: float
    spent: int
    evaluations: int


def facts(setting: ArmSetting) -> Facts:
    """Make the task and look at it."""
    trainer = _trainer(setting)
    return Facts(
        trainer.updates,
        trainer.updates_per_epoch,
        trainer.evaluation_updates,
        trainer.validation_batches,
        trainer.optimizer,
        trainer.family,
    )


def prepare(setting: ArmSetting, optimizers: Sequence[str], seed: int) -> None:
    """Make the other optimizers; see :meth:`TorchArmTrainer.prepare`."""
    _trainer(setting).prepare(optimizers, seed)


def start_loss(setting: ArmSetting, seed: int) -> Start:
    """The validation loss before any update."""
    trainer = _trainer(setting)
    spent, evaluations = trainer.spent, trainer.evaluations
    loss = trainer.start_loss(seed)
    return Start(loss, trainer.spent - spent, trainer.evaluations - evaluations)


def advance(
    setting: ArmSetting, entry: Entry, reading: Reading | None, state: bytes | None, updates: int
) -> Made:
    """Train an arm from where it stands; nothing of it is left here.

    Args:
        setting: of the race.
        entry: which arm.
        reading: the last of it; None at the start.
        state: where it stands; None at the start.
        updates: that it has made in all by the end.
    """
    trainer = _trainer(setting)
    spent, evaluations = trainer.spent, trainer.evaluations
    trainer.put(entry, Stand(reading, None if state is None else aside.from_bytes(state)))
    try:
        new = trainer.advance(entry, updates)
        after = trainer.stand(entry).state
    finally:
        trainer.drop(entry)
    content = None if after is None else aside.to_bytes(after)
    made = trainer.spent - spent, trainer.evaluations - evaluations
    return Made(new, content, *made, trainer.first_loss(entry))


_trainers: dict[str, TorchArmTrainer] = {}


def _trainer(setting: ArmSetting) -> TorchArmTrainer:
    """The race's trainer in this process, made when it is first asked for."""
    setting.numerics.apply()
    trainer = _trainers.pop(setting.race, None)
    if trainer is None:
        while len(_trainers) >= MOST_TRAINERS:
            _trainers.pop(next(iter(_trainers))).close()
        with threads.making():
            loaded = setting.definition.load()
        trainer = TorchArmTrainer(
            loaded,
            setting.epochs,
            recipe=setting.recipe,
            evaluation_share=setting.evaluation_share,
            seed=setting.seed,
        )
    _trainers[setting.race] = trainer  # the last one used is the last to go
    return trainer
