"""Arms of one seed in one stack, from the update at which all of them stand."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

import torch

from stepsize.adapters.torch.arms.stands import Stand
from stepsize.adapters.torch.arms.vessel import Vessel
from stepsize.adapters.torch.fused.stack import Stack
from stepsize.adapters.torch.fused.streams import Stream
from stepsize.adapters.torch.setting import other_device
from stepsize.adapters.torch.trials.training import READ_TOGETHER, Training
from stepsize.adapters.torch.update import Recipe
from stepsize.tasks import Task
from stepsize.tuner.trainer import Entry

#: Of living trainings.
_streams: weakref.WeakKeyDictionary[Training, Stream] = weakref.WeakKeyDictionary()


class Asked(NamedTuple):
    """An arm that is to be trained on.

    Attributes:
        place: of the request.
        entry: which arm.
        stand: where it stands.
        updates: that it is to have made by the end.
    """

    place: int
    entry: Entry
    stand: Stand
    updates: int


@final
class ArmStack:
    """Trains arms together; each of them can then be brought into the vessel that they share.

    Args:
        vessel: of their seed and optimizer; its living task gives batches and random numbers.
        arms: that have made equally many updates.
        recipe: how an update is made.
        compiled: compile it.

    Attributes:
        losses: of each arm since it was asked for, by its place; one that is not finite is the
            last.
        whole: whether all arms are in it. If not, the living task could not be put back from arm
            to arm, and nothing can be trained.
    """

    def __init__(
        self, vessel: Vessel, arms: Sequence[Asked], recipe: Recipe, *, compiled: bool
    ) -> None:
        self._vessel = vessel
        self._copies: list[Asked] = list(arms)
        self.losses: dict[int, list[float]] = {one.place: [] for one in arms}
        self._unread: list[torch.Tensor] = []
        self._diverged: list[Asked] = []
        self._last: Asked | None = None  # that is trained in the vessel
        first = arms[0]
        self._stand(first)
        training = vessel.lend()
        stream = _stream_in(training)
        self._block = 1 if other_device(training.task.model) is None else READ_TOGETHER
        self._stack = Stack([stream], [0] * len(arms), recipe, compiled=compiled)
        for copy, one in enumerate(arms):
            if one.stand.state is not first.stand.state:
                self._stand(one)
                self._stack.scoop(copy)
        self.whole = vessel.lend() is training

    def train(self, updates: int, after_update: Callable[[int], None]) -> None:
        """Train until each arm has made ``updates`` in all, or a loss that is not finite.

        Args:
            updates: at most as many as the next arm asks for.
            after_update: told how many updates of arms were found to be made, between two updates.
        """
        training = self._vessel.lend()
        while training.updates < updates and self._copies:
            if len(self._copies) == 1:
                self._train_the_last(updates, after_update)
                break
            if training.done == 0:
                training.batches.begin(training.epoch + 1)
            step = training.updates
            self._unread.append(
                self._stack.update([one.entry.schedule(step) for one in self._copies])
            )
            training.done += 1
            read = 0
            if len(self._unread) == self._block or training.updates == updates:
                read = self._read()
            if training.at_end_of_epoch:
                training.end_epoch()
            after_update(read)

    def ended(self, updates: int) -> Iterator[Asked]:
        """The arms that are to make no more than ``updates``, or have diverged; each given once.

        They are not trained any further. One that has not diverged can be :meth:`bring`-ed until
        the next is given.
        """
        yield from self._diverged
        self._diverged = []
        arrived = [one for one in self._copies if one.updates == updates]
        yield from arrived
        self._leave(arrived)

    def bring(self, arm: Asked) -> None:
        """Have an arm stand in the vessel, where it is now."""
        if arm is not self._last:
            training = self._vessel.lend()
            self._stack.pour(self._copies.index(arm))
            training.stand_at(arm.entry.schedule, training.epoch, training.done)

    def _train_the_last(self, updates: int, after_update: Callable[[int], None]) -> None:
        """In the vessel, as any arm that is alone: that is quicker than a stack of one."""
        [last] = self._copies
        self.bring(last)
        self._last = last
        losses = self._vessel.train(updates, lambda: after_update(1))
        self.losses[last.place] += losses
        if not all(map(math.isfinite, losses)):
            self._copies = []
            self._diverged.append(last)

    def _leave(self, arms: Sequence[Asked]) -> None:
        """Train these no further."""
        places = {one.place for one in arms}
        kept = [copy for copy, one in enumerate(self._copies) if one.place not in places]
        self._copies = [self._copies[copy] for copy in kept]
        if 0 < len(kept) < len(self._stack):
            self._stack.keep(kept)

    def _stand(self, one: Asked) -> None:
        state = self._vessel.start if one.stand.state is None else one.stand.state
        self._vessel.stand(state, one.entry.schedule)

    def _read(self) -> int:
        """Read the losses that are still on their device; arms that have ended leave.

        Returns how many updates they were measured in.
        """
        rows = torch.stack(self._unread, dim=1).tolist()
        self._unread = []
        count = 0
        ended: list[Asked] = []
        for one, row in zip(self._copies, rows, strict=True):
            wrong = next((i for i, loss in enumerate(row) if not math.isfinite(loss)), None)
            made = row if wrong is None else row[: wrong + 1]
            self.losses[one.place] += made
            count += len(made)
            if wrong is not None:
                ended.append(one)
        if ended:
            self._leave(ended)
            self._diverged += ended
        return count


def stream_of(task: Task, draw: Callable[[], Any]) -> Stream:
    """What a stack is made of, out of a task whose batches ``draw`` gives."""
    return Stream(task.model, task.optimizer, task.loss, draw, task.train)


def _stream_in(training: Training) -> Stream:
    """The one stream of a living training, so that what was compiled for it is found again."""
    if training not in _streams:
        _streams[training] = stream_of(training.task, training.batches.next)
    return _streams[training]
