"""``CrewArmTrainer``: the arms of a race, trained by workers elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

from stepsize.adapters.torch.arms.stands import Stand, Stands, kin
from stepsize.adapters.torch.arms.vessel import same_loss
from stepsize.adapters.torch.elsewhere import arms
from stepsize.adapters.torch.elsewhere.numerics import Numerics
from stepsize.adapters.torch.update import Recipe
from stepsize.engines import Call, Crew, carried_out
from stepsize.errors import EngineError
from stepsize.tuner.trainer import Advanced, Entry

if TYPE_CHECKING:
    from stepsize.tasks.sending import TaskDefinition


@final
class CrewArmTrainer:
    """Trains entries of one task on a crew's workers; see :class:`~stepsize.tuner.ArmTrainer`.

    The numbers are those of a :class:`TorchArmTrainer`, bit for bit if the workers use as many
    threads. Every worker keeps a task to train arms in. Where an arm stands is kept here: a worker
    is told with each call, and so may be lost. What a lost worker has made is made again, and
    counted once.

    Args:
        crew: whose workers train; it is not closed.
        definition: the task, as it is sent to them.
        epochs, recipe, evaluation_share, seed: as for :class:`TorchArmTrainer`.

    Raises:
        InputError, TaskError: as by :class:`TorchArmTrainer`.
        EngineError: no worker is left.
    """

    def __init__(
        self,
        crew: Crew,
        definition: TaskDefinition,
        epochs: int,
        *,
        recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
        evaluation_share: float = 0.005,
        seed: int = 0,
    ) -> None:
        self._crew = crew
        self._setting = arms.ArmSetting(
            uuid.uuid4().hex, definition, epochs, recipe, evaluation_share, seed, Numerics.here()
        )
        self.spent = self.evaluations = 0
        self._start_losses: dict[int, float] = {}
        self._first_losses: dict[tuple[int, str], float] = {}
        found: arms.Facts = self._one("facts")
        self.updates, self.updates_per_epoch = found.updates, found.updates_per_epoch
        self.evaluation_updates = found.evaluation_updates
        self.validation_batches = found.validation_batches
        self.optimizer, self.family = found.optimizer, found.family
        self._stands = Stands(self.updates)

    @property
    def at_once(self) -> int:
        """As many as there are workers."""
        return max(1, self._crew.workers)

    def prepare(self, optimizers: Iterable[str], seed: int = 0) -> None:
        """Have other optimizers made, so that what is wrong shows at once.

        Raises:
            InputError: the task's own optimizer is of that kind already, or cannot be replaced.
            MissingDependencyError: its package is not installed.
        """
        if names := tuple(optimizers):
            self._one("prepare", names, seed)

    def start_loss(self, seed: int = 0) -> float:
        """The validation loss before any update; infinite if it is not finite."""
        if seed not in self._start_losses:
            start: arms.Start = self._one("start_loss", seed)
            self._count(start.spent, start.evaluations)
            self._start_losses[seed] = start.loss
        return self._start_losses[seed]

    def advance_all(self, requests: Sequence[tuple[Entry, int]]) -> Iterator[Advanced]:
        """Train each entry until it has made so many updates in all, and evaluate it.

        Raises:
            InputError: as :meth:`TorchArmTrainer.advance`.
            TaskError: the task's code raised something.
            EngineError: no worker is left, or the task is another one for some of them.
        """
        stands = [self._stands.before(entry, updates) for entry, updates in requests]
        longest_first = sorted(
            range(len(requests)), key=lambda place: stands[place].updates - requests[place][1]
        )
        places = []
        for place in longest_first:
            reading = stands[place].reading
            if reading is not None and reading.updates == requests[place][1]:
                yield Advanced(place, reading, 0)
            else:
                places.append(place)
        calls = [self._advance(*requests[place], stands[place]) for place in places]
        for number, value in carried_out(self._crew, calls):
            made: arms.Made = value
            place = places[number]
            self._check_alike(requests[place][0], made)
            self._stands.put(requests[place][0], Stand(made.reading, made.state))
            self._count(made.spent, made.evaluations)
            yield Advanced(place, made.reading, made.spent)

    def branch(self, entry: Entry, onto: Entry) -> None:
        """Let ``onto`` begin where ``entry`` stands now; ``entry`` itself stays as it is.

        Raises:
            InputError: another seed or optimizer, or an arm that has ended.
        """
        self._stands.branch(entry, onto)

    def drop(self, entry: Entry) -> None:
        """Forget the state of ``entry``; nothing happens if there is none."""
        self._stands.drop(entry)

    def _count(self, spent: int, evaluations: int) -> None:
        self.spent += spent
        self.evaluations += evaluations

    def _advance(self, entry: Entry, updates: int, stand: Stand) -> Call:
        given = (self._setting, entry, stand.reading, stand.state, updates)
        return Call(f"{arms.__name__}:advance", given)

    def _check_alike(self, entry: Entry, made: arms.Made) -> None:
        """Raise EngineError if arms begin otherwise where this one was trained."""
        if made.first_loss is None:
            return
        expected = self._first_losses.setdefault(kin(entry), made.first_loss)
        if not same_loss(expected, made.first_loss):
            raise EngineError(
                f"The task {self._setting.definition.name} is not the same for all workers: its "
                f"trainings begin with the losses {expected:.6g} and {made.first_loss:.6g}. Does "
                "it read a file, a setting or the time? Mend that, or say engine='serial'."
            )

    def _one(self, name: str, *given: Any) -> Any:
        """What a single call returns."""
        call = Call(f"{arms.__name__}:{name}", (self._setting, *given))
        [(_, value)] = carried_out(self._crew, [call])
        return value
