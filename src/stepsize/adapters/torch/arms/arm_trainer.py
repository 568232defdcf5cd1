"""``TorchArmTrainer``: what a race drives, for tasks of PyTorch."""

from __future__ import annotations

import contextlib
import functools
import math
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.arms.family import optimizer_family
from stepsize.adapters.torch.arms.optimizers import with_optimizer
from stepsize.adapters.torch.arms.stands import Stand, Stands, kin
from stepsize.adapters.torch.arms.validation import validation_of
from stepsize.adapters.torch.arms.vessel import Plan, Vessel
from stepsize.adapters.torch.memento import Memento
from stepsize.adapters.torch.trials import fresh_task, updates_per_epoch
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import TaskError, require
from stepsize.records import Reading
from stepsize.schedules import Constant
from stepsize.tasks import LoadedTask, Task
from stepsize.tasks.explain import explained
from stepsize.tuner.trainer import Advanced, Entry


class TorchArmTrainer:
    """Trains entries of one task, each a part at a time; see :class:`~stepsize.tuner.ArmTrainer`.

    An arm's numbers are those that :func:`stepsize.compare` logs for the same schedule, seed and
    epochs, bit for bit, in whatever order the arms are trained. All arms of a seed share one living
    task; the states of those that may go on are kept in the CPU's memory. The caller's random
    states are untouched, and the recipe's scaler is given back as it was.

    ``spent`` also counts what schedule-free optimizers need before they are judged: forward passes
    that renew the statistics of batch normalisation, as updates that compute as much.

    After an error or a Ctrl-C, which waits for the end of an update, every arm stands where its
    last reading was taken.

    Args:
        loaded: the task.
        epochs: passes through the training batches in a whole training.
        recipe: accumulation, precision and clipping.
        evaluation_share: one evaluation computes at most as much as this share of a whole
            training: where the validation is larger, its first batches are used.
        seed: what the first task is made with; give the one that the race begins with.

    Raises:
        InputError: epochs or a share that make no sense.
        TaskError: the task cannot be made, or has no validation data.

    >>> from stepsize.schedules import Constant
    >>> from stepsize.tasks import load
    >>> with TorchArmTrainer(load("digits"), epochs=2) as trainer:
    ...     low, high = Entry(Constant(0.001), 0.001), Entry(Constant(0.1), 0.1)
    ...     losses = [trainer.advance(entry, 22).val_loss for entry in (low, high)]
    ...     losses[1] < losses[0] < trainer.start_loss(), trainer.spent
    (True, 44)
    """

    at_once = 1

    def __init__(
        self,
        loaded: LoadedTask,
        epochs: int,
        *,
        recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
        evaluation_share: float = 0.005,
        seed: int = 0,
    ) -> None:
        whole: Any = epochs
        require(
            isinstance(whole, int) and whole >= 1,
            f"epochs must be a whole number, at least 1, got {epochs!r}.",
        )
        require(evaluation_share > 0, f"evaluation_share must be positive, got {evaluation_share}.")
        self._loaded, self._recipe = loaded, recipe
        self._start_losses: dict[int, float] = {}
        self.spent = self.evaluations = 0
        with self._at_work("when it was looked at before any training"):
            task = self._made(seed)
            loader = ObjectState(task.train)
            untouched = loader.take()
            self.updates_per_epoch = updates_per_epoch(task, recipe)
            self.updates = epochs * self.updates_per_epoch
            self._stands = Stands(self.updates)
            self.optimizer = type(task.optimizer).__name__
            self.family = optimizer_family(task.optimizer)
            validation = validation_of(task, recipe, evaluation_share * self.updates)
            loader.put(untouched)
            self.evaluation_updates = validation.updates
            self.validation_batches = validation.batches
            self._plan = Plan(self.updates, self.updates_per_epoch, recipe, validation)
            first = Vessel(
                functools.partial(self._made, seed),
                seed,
                self._plan,
                task if loader.can_go_back else None,
            )
        self._vessels = {(seed, ""): first}

    def prepare(self, optimizers: Iterable[str], seed: int = 0) -> None:
        """Make the other optimizers that will be asked for, so that what is wrong shows at once.

        Raises:
            InputError: the task's own optimizer is of that kind already, or cannot be replaced.
            MissingDependencyError: its package is not installed.
        """
        for name in optimizers:
            require(
                name != self.optimizer.lower(),
                f"The task's own optimizer is {self.optimizer} already; leave {name!r} out.",
            )
            with self._at_work(f"when it was given the optimizer {name}"):
                self._vessel(seed, name)

    def start_loss(self, seed: int = 0) -> float:
        """The validation loss before any update; infinite if it is not finite."""
        if seed not in self._start_losses:
            with self._at_work("when it was evaluated before any update"):
                vessel = self._vessel(seed)
                vessel.stand(vessel.start, Constant(1.0))
                self._start_losses[seed], _ = self._evaluated(vessel, keep=False)
        return self._start_losses[seed]

    def advance(self, entry: Entry, updates: int) -> Reading:
        """Train ``entry`` until it has made ``updates`` in all, and evaluate it.

        The reading's training loss is the mean since the reading before. A loss that is not finite,
        in training or of the validation, ends the arm: it is infinite in the reading, and a
        training loss that is not finite leaves no validation loss either.

        Raises:
            InputError: fewer updates than the arm has made, or more than a training has; an arm
                that has ended.
            TaskError: the task's code raised something.
        """
        stand = self._stands.before(entry, updates)
        if stand.reading is not None and stand.updates == updates:
            return stand.reading
        with self._at_work(f"while it was trained under {entry.schedule}") as interrupts:
            vessel = self._vessel(*kin(entry))
            losses = self._trained(vessel, entry, stand, updates, interrupts)
            return self._read(vessel, entry, losses, vessel.updates)

    def advance_all(self, requests: Sequence[tuple[Entry, int]]) -> Iterator[Advanced]:
        """Advance one arm after the other; see :meth:`advance`."""
        for place, (entry, updates) in enumerate(requests):
            before = self.spent
            reading = self.advance(entry, updates)
            yield Advanced(place, reading, self.spent - before)

    def branch(self, entry: Entry, onto: Entry) -> None:
        """Let ``onto`` begin where ``entry`` stands now; ``entry`` itself stays as it is.

        What ``onto`` was before is forgotten.

        Raises:
            InputError: another seed or optimizer, or an arm that has ended.
        """
        self._stands.branch(entry, onto)

    def drop(self, entry: Entry) -> None:
        """Forget the state of ``entry``; nothing happens if there is none."""
        self._stands.drop(entry)

    def stand(self, entry: Entry) -> Stand:
        """Where ``entry`` stands, for :meth:`put` of another trainer of the same task."""
        return self._stands.of(entry)

    def put(self, entry: Entry, stand: Stand) -> None:
        """Let ``entry`` go on from where it stands elsewhere."""
        self._stands.put(entry, stand)

    def first_loss(self, entry: Entry) -> float | None:
        """The training loss that arms such as ``entry`` begin with; None before the first."""
        vessel = self._vessels.get(kin(entry))
        return None if vessel is None else vessel.first_loss

    def close(self) -> None:
        """Let go of the tasks, the states and all worker processes."""
        for vessel in self._vessels.values():
            vessel.close()
        self._vessels = {}
        self._stands.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- one part of a training ---------------------------------------------------------------

    def _trained(
        self, vessel: Vessel, entry: Entry, stand: Stand, updates: int, interrupts: Interrupts
    ) -> list[float]:
        """The losses of a part of a training, made in the arm's vessel."""
        fresh = stand.state is None

        def after_update() -> None:
            self.spent += 1
            interrupts.deliver()

        vessel.stand(vessel.start if fresh else stand.state, entry.schedule)
        losses = vessel.train(updates, after_update)
        if fresh and not vessel.begins_alike(losses[0]):
            vessel.stand(vessel.start, entry.schedule)  # in a task that is made anew
            losses = vessel.train(updates, after_update)
        return losses

    def _read(self, vessel: Vessel, entry: Entry, losses: Sequence[float], made: int) -> Reading:
        """The reading after a part with these losses; a finite arm stands in the vessel."""
        finite = all(map(math.isfinite, losses))
        train_loss = math.fsum(losses) / len(losses) if finite else math.inf
        val_loss, state = math.inf, None
        if finite:
            val_loss, state = self._evaluated(vessel, keep=made < self.updates)
        error = _standard_error(losses) if finite else math.inf
        reading = Reading(made, val_loss, train_loss, error)
        self._stands.put(entry, Stand(reading, state if math.isfinite(val_loss) else None))
        return reading

    def _evaluated(self, vessel: Vessel, *, keep: bool) -> tuple[float, Any]:
        """The validation loss of the arm in the vessel, and its state if it is wanted."""
        self.evaluations += 1
        loss, state, updates = vessel.judged(keep)
        self.spent += math.ceil(updates)
        return (loss if math.isfinite(loss) else math.inf), state

    def _vessel(self, seed: int, optimizer: str = "") -> Vessel:
        """The vessel of a seed and an optimizer, made when it is first asked for."""
        key = (seed, optimizer)
        if key not in self._vessels:
            self._vessels[key] = Vessel(functools.partial(self._made, *key), seed, self._plan)
        return self._vessels[key]

    def _made(self, seed: int, optimizer: str = "") -> Task:
        return with_optimizer(fresh_task(self._loaded, seed), optimizer)

    @contextlib.contextmanager
    def _at_work(self, when: str) -> Iterator[Interrupts]:
        """Around everything that runs the task's code."""
        back = random_state.remember()
        scaler = Memento()
        scaler.add(self._recipe.scaler)
        try:
            with (
                explained(self._loaded, when),
                torch.inference_mode(mode=False),
                torch.enable_grad(),
                Interrupts() as interrupts,
            ):
                yield interrupts
        except SystemExit as stopped:
            if stopped.code == 128 + signal.SIGTERM:
                raise
            raise TaskError(f"The task called sys.exit({stopped.code!r}).") from stopped
        finally:
            scaler.restore()
            back()


def _standard_error(losses: Sequence[float]) -> float:
    """Of the mean; 0 for a single loss, of which nothing is known."""
    if len(losses) < 2:
        return 0.0
    mean = math.fsum(losses) / len(losses)
    return math.dist(losses, [mean] * len(losses)) / math.sqrt(len(losses) * (len(losses) - 1))
