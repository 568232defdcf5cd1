"""The range tests of a search's repeats, each carried out by a worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from stepsize.adapters.torch import random_state, threads
from stepsize.adapters.torch.elsewhere.numerics import Numerics
from stepsize.adapters.torch.repeats import Repeats
from stepsize.adapters.torch.update import Recipe
from stepsize.engines import Call, Crew, carried_out
from stepsize.engines.telling import tell
from stepsize.finder import FindOptions, swept
from stepsize.records import Curve
from stepsize.tasks.sending import TaskDefinition


@final
@dataclass(frozen=True)
class SweepOrder:
    """A range test as it is sent to a worker.

    Attributes:
        definition: the task.
        repeat: which of the search's repeats.
        search: how to search.
        recipe: accumulation, precision and clipping.
        numerics: torch's settings.
        told: whether each point is told as ``(lr, loss)``, as soon as it is read.
    """

    definition: TaskDefinition
    repeat: int
    search: FindOptions
    recipe: Recipe
    numerics: Numerics
    told: bool


def sweep(order: SweepOrder) -> Curve:
    """The curve of one repeat; a worker calls this."""
    back = random_state.remember()
    try:
        order.numerics.apply()
        watched = replace(order.search, on_point=_tell if order.told else None)
        with threads.making():
            loaded = order.definition.load()
        with Repeats(loaded, watched, order.recipe) as repeats:
            return swept(repeats.probe(order.repeat), watched)
    finally:
        back()


def order_of(
    definition: TaskDefinition, repeat: int, search: FindOptions, recipe: Recipe
) -> SweepOrder:
    """The order for a repeat of a search in this process."""
    told = search.on_point is not None
    sent = replace(search, on_point=None, clock=time.monotonic)
    return SweepOrder(definition, repeat, sent, recipe, Numerics.here(), told)


def _tell(lr: float, loss: float) -> None:
    tell((lr, loss))


@final
class CrewSweeps:
    """Has a crew make the range tests of a task; a :class:`stepsize.finder.Sweeps`.

    Args:
        crew: whose workers make them.
        definition: the task, as it is sent to them.
        recipe: accumulation, precision and clipping.
    """

    def __init__(self, crew: Crew, definition: TaskDefinition, recipe: Recipe) -> None:
        self.crew, self.definition, self.recipe = crew, definition, recipe

    @property
    def together(self) -> int:
        """As many as there are workers."""
        return max(1, self.crew.workers)

    def sweep(self, repeats: Sequence[int], options: FindOptions) -> list[Curve]:
        """The curves of ``repeats``, in their order.

        Raises:
            EngineError: no worker is left.
            Exception: whatever a range test raises.
        """
        on_point = options.on_point
        calls = [
            Call(f"{__name__}:sweep", (order_of(self.definition, repeat, options, self.recipe),))
            for repeat in repeats
        ]
        hear = None if on_point is None else lambda point: on_point(*point)
        curves = dict(carried_out(self.crew, calls, hear))
        return [curves[place] for place in range(len(calls))]
