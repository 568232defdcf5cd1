"""The repeats of a search over a task: each made anew, from a seed of its own."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Self, final

from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.probe import TorchProbe
from stepsize.adapters.torch.setting import first_batches, other_device
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import require
from stepsize.finder import FindOptions
from stepsize.tasks import LoadedTask, Task


@final
class Repeats:
    """The probes of a search's repeats: repeat r is the task as its seed ``seed + r`` makes it.

    A context manager: leaving it lets go of the loaders' iterators, and of their worker processes.

    Args:
        loaded: the task.
        search: its ``seed`` and its objective are used.
        recipe: accumulation, precision and clipping.

    Raises:
        TaskError: when a repeat is made, and cannot be.
        InputError: likewise, if a held-out objective has no validation data.
    """

    def __init__(self, loaded: LoadedTask, search: FindOptions, recipe: Recipe) -> None:
        self.loaded, self.search, self.recipe = loaded, search, recipe
        self._streams = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._streams.close()

    def task(self, repeat: int) -> Task:
        """The task as the seed of ``repeat`` makes it."""
        made = made_task(self.loaded, self.search.seed + repeat, "range-tested")
        require(
            not self.search.held_out_every or made.val is not None,
            "A held-out objective needs validation data, and "
            f"{self.loaded.name} has none (val=None).",
        )
        return made

    @cached_property
    def first(self) -> Task:
        """The task of repeat 0, the same each time: its probes give everything back."""
        return self.task(0)

    def probe(self, repeat: int) -> TorchProbe:
        """The probe of ``repeat``."""
        made = self.task(repeat) if repeat else self.first
        batches = Batches(made.train, other_device(made.model))
        self._streams.callback(batches.close)
        return TorchProbe(
            made.model,
            made.optimizer,
            made.loss,
            batches,
            recipe=self.recipe,
            held_out=first_batches(made.val if self.search.held_out_every else None, made.model),
            seed=self.search.seed + repeat,
        )
