"""How the repeats of ``find`` are made: here, as one batched model, or by workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from stepsize.adapters.torch.elsewhere.opening import opened
from stepsize.adapters.torch.elsewhere.sweeps import CrewSweeps, order_of
from stepsize.adapters.torch.engine.choose import choose, note_of
from stepsize.adapters.torch.fused.sweeps import FusedSweeps
from stepsize.adapters.torch.repeats import Repeats
from stepsize.engines import EngineChoice
from stepsize.engines.auto import Decision, Work
from stepsize.finder import FindOptions, OneByOne, Sweeps
from stepsize.tasks.packing import packed
from stepsize.tasks.sending import definition_of


class ChosenSweeps(NamedTuple):
    """What makes the range tests.

    Attributes:
        sweeps: makes them.
        engine: its name.
        notes: what a reader should know of the choice.
    """

    sweeps: Sweeps
    engine: EngineChoice
    notes: tuple[str, ...] = ()


@contextmanager
def sweeps_of(repeats: Repeats, asked: EngineChoice) -> Iterator[ChosenSweeps]:
    """What makes the range tests of ``repeats`` on the engine ``asked`` for.

    A single repeat is made here, whatever is asked for. Repeats that cannot be fused are made as
    ``auto`` would have them made.

    Raises:
        InputError: a task that cannot be sent.
    """
    search = repeats.search
    serial = OneByOne(repeats.probe)
    if search.repeats == 1:
        yield ChosenSweeps(serial, EngineChoice("serial"))
        return
    decision = _decision(repeats, asked)
    engine, notes = decision.engine, note_of(asked, decision)
    if engine.name == "serial":
        yield ChosenSweeps(serial, engine, notes)
    elif engine.name == "fused":
        fused = FusedSweeps(repeats.probe, repeats.recipe, compiled=decision.compiled)
        yield ChosenSweeps(fused, engine, notes)
    else:
        definition = definition_of(repeats.loaded)  # before any worker is started
        with opened(engine, definition, tried=engine != asked) as workers:
            crew = workers.crew
            sweeps = serial if crew is None else CrewSweeps(crew, definition, repeats.recipe)
            yield ChosenSweeps(sweeps, workers.engine, (*notes, *workers.notes))


def _decision(repeats: Repeats, asked: EngineChoice) -> Decision:
    """The engine for a search."""
    search, recipe = repeats.search, repeats.recipe

    def send() -> object:
        definition = definition_of(repeats.loaded)
        return packed(order_of(definition, 0, search, recipe), "what a search is")

    return choose(asked, repeats.loaded, recipe, _work(search), search.seed, sendable=send)


def _work(search: FindOptions) -> Work:
    """What the repeats come to; each has a seed of its own."""
    updates = sum(rung.updates for rung in search.ladder.rungs())
    most = updates if search.max_updates is None else min(updates, search.max_updates)
    return Work(search.repeats, most, search.repeats, seeds=search.repeats)
