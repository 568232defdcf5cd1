"""One living task, in which now one arm stands and now another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from stepsize.adapters.torch.arms.aside import put_aside, taken_back
from stepsize.adapters.torch.arms.modes import has_modes, move_to_mean
from stepsize.adapters.torch.arms.validation import PASSES, Validation
from stepsize.adapters.torch.trials.training import Training
from stepsize.adapters.torch.update import Recipe
from stepsize.schedules import Constant, Schedule
from stepsize.tasks import Task

#: First losses that differ by less are the same: devices may add in another order each time.
SAME_LOSS = 1e-5


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What all arms have in common.

    Attributes:
        updates: of one whole training.
        updates_per_epoch: in a pass.
        recipe: how an update is made.
        validation: what arms are judged by.
    """

    updates: int
    updates_per_epoch: int
    recipe: Recipe
    validation: Validation


class Judged(NamedTuple):
    """What an evaluation gave.

    Attributes:
        loss: on the validation.
        state: the state of the arm, if it was wanted.
        updates: what making the weights ready has cost, as updates that compute as much.
    """

    loss: float
    state: Any
    updates: float


@final
class Vessel:
    """Trains arm after arm of one seed without making the task, and loading its data, for each.

    What an arm has changed is put back before the next one comes. Where that cannot be (a large
    tensor of the user's own is written to in place, an object is not looked into and shows by
    another first loss), each arm gets a task that is made anew.

    The global random generators are part of the training: the caller remembers its own.

    Args:
        make: makes the task, the same each time.
        seed: of the training's random numbers.
        plan: what all arms have in common.
        task: the first that was made, if there is one already.

    Attributes:
        start: the state before any update.
        first_loss: that arms begin with; None before the first.
    """

    def __init__(
        self, make: Callable[[], Task], seed: int, plan: Plan, task: Task | None = None
    ) -> None:
        self._make, self._seed, self._plan = make, seed, plan
        self.first_loss: float | None = None
        self._anew = False  # for every arm
        self._training: Training | None = self._begun(task or make())
        self.start = self._here = self.state()

    def stand(self, state: Any, schedule: Schedule) -> None:
        """Go to ``state``, to be trained under ``schedule`` from there on."""
        training = self._training
        at_once = state is self._here
        if training is None or (not at_once and (self._anew or not training.can_go_back)):
            self.close()
            self._training = training = self._begun(self._make())
        self._here = None  # until all is done
        training.follow(schedule)
        if at_once:
            training.put_globals(*map(taken_back, (state["random"], state["state"]["scaler"])))
        else:
            training.task.optimizer.state.clear()  # its memory is needed for the state that comes
            content = taken_back(state)
            training.resume(content, on_change="ignore")
            training.replay(content)
        self._here = state

    def train(self, updates: int, after_update: Callable[[], None]) -> list[float]:
        """Train until ``updates`` are made in all, or a loss is not finite; returns the losses."""
        training = self._standing()
        self._here = None
        losses: list[float] = []
        finite = True
        while training.updates < updates and finite:
            read = training.update()
            if training.at_end_of_epoch or training.updates == updates:
                read += training.read()
            if training.at_end_of_epoch:
                training.end_epoch()
            losses += [each.loss for each in read]
            finite = all(math.isfinite(each.loss) for each in read)
            after_update()
        return losses

    def begins_alike(self, first_loss: float) -> bool:
        """Whether an arm has begun as the first one did; if not, tasks are made anew from now on.

        The first loss is measured before any update: it is the same under every schedule.
        """
        expected = self.first_loss
        if expected is None or self._anew:
            self.first_loss = first_loss
            return True
        self._anew = not same_loss(first_loss, expected)
        return not self._anew

    def lend(self) -> Training:
        """The living training; whoever has it moves it on, and may have arms :meth:`judged` in it.

        It is where the arm stands that stood last, and stands nowhere from then on.
        """
        self._here = None
        return self._standing()

    @property
    def updates(self) -> int:
        """Made by the arm that stands here."""
        return self._standing().updates

    def state(self) -> Any:
        """The state of the arm that stands here; it does not change any more."""
        self._here = put_aside(self._standing().content())
        return self._here

    def judged(self, keep: bool) -> Judged:
        """Evaluate the arm that stands here, where its optimizer wants to be judged.

        Args:
            keep: whether the state is wanted.
        """
        training, plan = self._standing(), self._plan
        moved = has_modes(training.task.optimizer)
        state = self.state() if keep and moved else None
        self._here = None  # what evaluating has changed all the same is part of the state
        batches = move_to_mean(training.task, plan.recipe) if moved else 0
        loss = plan.validation.loss(training.task, plan.recipe)
        if keep and not moved:
            state = self.state()
        return Judged(loss, state, batches / (PASSES * plan.recipe.accumulate))

    def close(self) -> None:
        """Let go of the task, its loader and its worker processes."""
        if self._training is not None:
            self._training.close()
        self._training = None

    def _standing(self) -> Training:
        assert self._training is not None  # stand() has made it
        return self._training

    def _begun(self, task: Task) -> Training:
        plan = self._plan
        placeholder = Constant(1.0)  # each arm brings its own
        return Training(
            task,
            placeholder,
            seed=self._seed,
            steps=plan.updates,
            updates_per_epoch=plan.updates_per_epoch,
            recipe=plan.recipe,
        )


def same_loss(one: float, other: float) -> bool:
    """Whether two losses are the same to :data:`SAME_LOSS`, or neither is finite.

    >>> same_loss(2.3, 2.300001), same_loss(2.3, 2.31), same_loss(math.nan, math.inf)
    (True, False, True)
    """
    alike = math.isclose(one, other, rel_tol=SAME_LOSS, abs_tol=SAME_LOSS)
    return alike or not (math.isfinite(one) or math.isfinite(other))
