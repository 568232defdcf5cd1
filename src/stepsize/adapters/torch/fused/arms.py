"""``FusedArmTrainer``: the arms of a race as one batched model, as far as they stand together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import final

from stepsize.adapters.torch.arms.arm_trainer import TorchArmTrainer
from stepsize.adapters.torch.arms.stands import kin
from stepsize.adapters.torch.arms.vessel import Vessel
from stepsize.adapters.torch.fused.arm_stack import ArmStack, Asked, stream_of
from stepsize.adapters.torch.fused.detect import why_not
from stepsize.adapters.torch.fused.gradients import UnevenGradientsError
from stepsize.adapters.torch.fused.memory import most_copies
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import StepsizeError
from stepsize.tasks import LoadedTask
from stepsize.tuner.trainer import Advanced, Entry

#: A race never asks for more arms at once.
MOST_AT_ONCE = 64
#: Fewer arms are trained one after the other: that is quicker.
LEAST_TOGETHER = 3


@final
class FusedArmTrainer(TorchArmTrainer):
    """Trains arms of one task together; see :class:`~stepsize.tuner.ArmTrainer`.

    Arms of one seed and one optimizer that have made equally many updates are one batched model for
    as long as they are trained at the same time. Their numbers are those of a
    :class:`TorchArmTrainer` to float tolerance. What cannot be fused is trained one arm after the
    other, and so is an arm that is alone.

    Args:
        loaded, epochs, recipe, evaluation_share, seed: as for :class:`TorchArmTrainer`.
        compiled: compile the updates of batched models.

    Raises:
        InputError, TaskError: as by :class:`TorchArmTrainer`.

    >>> from stepsize.schedules import Constant
    >>> from stepsize.tasks import load
    >>> with FusedArmTrainer(load("digits"), epochs=2) as trainer:
    ...     low, high = Entry(Constant(0.001), 0.001), Entry(Constant(0.1), 0.1)
    ...     found = {each.place: each for each in trainer.advance_all([(low, 22), (high, 22)])}
    ...     found[1].reading.val_loss < found[0].reading.val_loss, trainer.spent
    (True, 44)
    """

    at_once = MOST_AT_ONCE

    def __init__(
        self,
        loaded: LoadedTask,
        epochs: int,
        *,
        recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
        evaluation_share: float = 0.005,
        seed: int = 0,
        compiled: bool = False,
    ) -> None:
        super().__init__(
            loaded, epochs, recipe=recipe, evaluation_share=evaluation_share, seed=seed
        )
        self._compiled = compiled
        self._why_not: dict[tuple[int, str], str] = {}
        self._most: dict[tuple[int, str], int] = {}

    def why_not(self, seed: int = 0, optimizer: str = "") -> str:
        """Why arms of a seed and an optimizer cannot be trained together; empty if they can."""
        key = (seed, optimizer)
        if key not in self._why_not:
            with self._at_work("when it was tried as a batched model"):
                task = self._made(seed, optimizer)  # no arm's: a trial may leave traces in it
                stream = stream_of(task, partial(next, iter(())))
                self._why_not[key] = why_not(stream, self._recipe)
                if not self._why_not[key]:
                    self._most[key] = max(1, most_copies(stream, self._recipe))
        return self._why_not[key]

    def advance_all(self, requests: Sequence[tuple[Entry, int]]) -> Iterator[Advanced]:
        """Train each entry until it has made so many updates in all, and evaluate it.

        Raises:
            InputError: as :meth:`advance`.
            TaskError: the task's code raised something.
        """
        asked = [
            Asked(place, entry, self._stands.before(entry, updates), updates)
            for place, (entry, updates) in enumerate(requests)
        ]
        for group in self._groups(asked):
            left = group
            if len(group) > 1:
                came: list[Advanced] = []
                stopped: BaseException | None = None
                try:
                    left = self._together(group, came)
                except (StepsizeError, KeyboardInterrupt) as error:
                    stopped = error
                yield from came
                if stopped is not None:
                    raise stopped
            yield from self._one_by_one(left)

    def _one_by_one(self, asked: Sequence[Asked]) -> Iterator[Advanced]:
        requests = [(one.entry, one.updates) for one in asked]
        for place, reading, spent in super().advance_all(requests):
            yield Advanced(asked[place].place, reading, spent)

    def _groups(self, asked: Sequence[Asked]) -> list[list[Asked]]:
        """What can be trained together, in groups that fit into the memory."""
        alike: dict[object, list[Asked]] = {}
        for one in asked:
            done = one.stand.updates == one.updates  # nothing is to be made
            alike.setdefault((kin(one.entry), one.stand.updates, done), []).append(one)
        found: list[list[Asked]] = []
        for group in alike.values():
            most = self._most_of(group)
            found += [group[begin : begin + most] for begin in range(0, len(group), most)]
        return found

    def _most_of(self, group: Sequence[Asked]) -> int:
        """How many of arms that have made equally many updates can be trained at once."""
        key = kin(group[0].entry)
        one_by_one = (
            len(group) < LEAST_TOGETHER
            or group[0].stand.updates == group[0].updates
            or bool(self.why_not(*key))
        )
        return 1 if one_by_one else self._most[key]

    def _together(self, group: Sequence[Asked], came: list[Advanced]) -> list[Asked]:
        """Train a group; what has come of each goes to ``came``, what could not be made is left."""
        with self._at_work("while its arms were trained together") as interrupts:
            vessel = self._vessel(*kin(group[0].entry))
            stack = ArmStack(vessel, group, self._recipe, compiled=self._compiled)

            def after_update(made: int) -> None:
                self.spent += made
                interrupts.deliver()

            if not stack.whole:
                return list(group)
            if group[0].stand.state is None:
                stack.train(1, after_update)
                if not vessel.begins_alike(stack.losses[group[0].place][0]):
                    return list(group)
            try:
                for updates in sorted({one.updates for one in group}):
                    stack.train(updates, after_update)
                    for one in stack.ended(updates):
                        came.append(self._came(vessel, stack, one))
            except UnevenGradientsError as error:
                self._why_not[kin(group[0].entry)] = str(error)
                over = {each.place for each in came}
                left = [one for one in group if one.place not in over]
                self.spent -= sum(len(stack.losses[one.place]) for one in left)
                return left
        return []

    def _came(self, vessel: Vessel, stack: ArmStack, one: Asked) -> Advanced:
        """What has come of an arm that has ended."""
        losses = stack.losses[one.place]
        if math.isfinite(losses[-1]):
            stack.bring(one)
        made = one.stand.updates + len(losses)
        return Advanced(one.place, self._read(vessel, one.entry, losses, made), len(losses))
