"""The batches of a training, one pass of the loader to an epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.loader_state import set_workers_aside
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.trial_facts import tensor_bytes
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import TaskError
from stepsize.tasks import Task

#: Values of a tensor that enter the digest: enough to tell batches apart, cheap for large ones.
DIGESTED = 65_536
#: A loader without a length that gives more batches than this is taken for an endless one.
MOST_BATCHES = 10_000_000


class EpochBatches:
    """Batch after batch of one epoch; :meth:`begin` starts the next one.

    Worker processes are started anew for every epoch, also those that a loader would keep: their
    random states cannot be saved, and an epoch that was cut short would be left in their queues.

    Args:
        loader: the training batches of a task.
        device: where tensors inside the batches go; None leaves them where they are.
        expected: batches that an epoch needs.

    Attributes:
        digest: names the first batch of every epoch so far, in order.
    """

    def __init__(self, loader: Iterable[Any], device: torch.device | None, expected: int) -> None:
        self.loader, self.device, self.expected = loader, device, expected
        self.epoch = self.drawn = 0
        self.digest = ""
        self._pass: Iterator[Any] = iter(())
        self._give_workers_back: Callable[[], None] | None = None

    def begin(self, epoch: int, skip: int = 0) -> None:
        """Start epoch ``epoch`` (the first is 1) behind its first ``skip`` batches."""
        give_back = set_workers_aside(self.loader)
        self._give_workers_back = self._give_workers_back or give_back
        self.epoch, self.drawn = epoch, 0
        self._pass = iter(self.loader)
        for _ in range(skip):
            self._draw()

    def next(self) -> Any:
        """The next batch of the epoch.

        Raises:
            TaskError: the loader has ended early.
        """
        batch = self._draw()
        if self.drawn == 1:
            self.digest = digest(batch, self.digest)
        return batch if self.device is None else to_device(batch, self.device)

    def end(self, most: int) -> None:
        """Let the loader finish its pass, so that what it does after its last batch is done.

        At most ``most`` batches are asked for; what is left after these is left.
        """
        for _, _ in zip(range(most), self._pass, strict=False):
            pass
        self.leave()

    def leave(self) -> None:
        """Let go of the pass that is under way."""
        self._pass = iter(())

    def close(self) -> None:
        """Let go of the loader and its worker processes."""
        self.leave()
        if self._give_workers_back is not None:
            self._give_workers_back()

    def _draw(self) -> Any:
        for batch in self._pass:
            self.drawn += 1
            return batch
        raise TaskError(
            f"The training loader ({type(self.loader).__name__}) gave {self.drawn} batches in "
            f"epoch {self.epoch}, and {self.expected} were expected from its length or its first "
            "pass. Every epoch must have as many, or runs cannot be compared."
        )


def updates_per_epoch(task: Task, recipe: Recipe = Recipe()) -> int:  # noqa: B008  (frozen)
    """Optimizer updates in one pass through the training batches.

    Where the loader does not tell its length, one pass is counted, leaving no trace.

    Raises:
        TaskError: too few batches for one update, or more than :data:`MOST_BATCHES`.

    >>> updates_per_epoch(Task("model", "optimizer", max, train=[1, 2, 3]), Recipe(accumulate=2))
    1
    """
    batches = _count(task.train)
    updates = batches // recipe.accumulate
    if updates == 0:
        raise TaskError(
            f"An epoch has {batches} batches, too few for one update of {recipe.accumulate}."
        )
    return updates


def _count(loader: Any) -> int:
    try:
        return len(loader)
    except (TypeError, NotImplementedError):  # no length, or one that cannot be told
        pass
    count = 0
    with Transaction(loader=loader):
        random_state.seed(0)
        for _ in loader:
            count += 1
            if count > MOST_BATCHES:
                raise TaskError(
                    f"The training loader ({type(loader).__name__}) has no length and gave more "
                    f"than {MOST_BATCHES} batches. If it has no end, give it a __len__."
                )
    return count


def batches_digest(batches: Iterable[Any]) -> str:
    """A digest of several batches in order."""
    known = ""
    for batch in batches:
        known = digest(batch, known)
    return known


def digest(batch: Any, before: str = "") -> str:
    """A digest of a batch, chained to the one ``before`` it.

    Of each tensor, its shape, its type and its first :data:`DIGESTED` values count.

    >>> digest([torch.zeros(2), "a"]) == digest([torch.zeros(2), "b"])
    False
    """
    sha = hashlib.sha256(before.encode())
    _feed(batch, sha.update)
    return sha.hexdigest()


def _feed(value: Any, update: Callable[[bytes], None]) -> None:
    if isinstance(value, torch.Tensor):
        update(f"{value.dtype}{tuple(value.shape)}".encode())
        update(tensor_bytes(value.detach().to_dense().reshape(-1)[:DIGESTED]))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            update(repr(key).encode())
            _feed(item, update)
    elif isinstance(value, (str, bytes, int, float, complex, type(None))):
        update(repr(value).encode())
    elif hasattr(value, "tobytes"):
        update(value.tobytes())
    elif isinstance(value, Sequence):
        for item in value:
            _feed(item, update)
    else:
        update(type(value).__name__.encode())
