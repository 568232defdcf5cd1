"""How the repeats of ``find`` are made: here, as one batched model, or by workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from stepsize.adapters.torch.elsewhere.sweeps import CrewSweeps
from stepsize.adapters.torch.engine.choose import choose
from stepsize.adapters.torch.fused.sweeps import FusedSweeps
from stepsize.adapters.torch.repeats import Repeats
from stepsize.engines import EngineChoice
from stepsize.engines.auto import Work
from stepsize.engines.opening import crew_of
from stepsize.finder import FindOptions, OneByOne, Sweeps
from stepsize.tasks.sending import definition_of


class Chosen(NamedTuple):
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
def sweeps_of(repeats: Repeats, asked: EngineChoice) -> Iterator[Chosen]:
    """What makes the range tests of ``repeats`` on the engine ``asked`` for.

    A single repeat is made here, whatever is asked for. So are repeats that cannot be fused.

    Raises:
        InputError: a task that cannot be sent.
    """
    serial = OneByOne(repeats.probe)
    if asked.name == "auto":
        search = repeats.search
        work = _work(search)
        asked = choose(asked, repeats.loaded, repeats.recipe, work, search.seed).engine
    if repeats.search.repeats == 1 or asked.name == "serial":
        yield Chosen(serial, EngineChoice("serial"))
    elif asked.name == "fused":
        fused = FusedSweeps(repeats.probe, repeats.recipe)
        if reason := fused.why_not():
            note = f"The repeats were made one after the other, for they cannot be fused: {reason}."
            yield Chosen(serial, EngineChoice("serial"), (note,))
        else:
            yield Chosen(fused, asked)
    else:
        definition = definition_of(repeats.loaded)  # before any worker is started
        with closing(crew_of(asked)) as crew:
            yield Chosen(CrewSweeps(crew, definition, repeats.recipe), asked)


def _work(search: FindOptions) -> Work:
    """What the repeats come to."""
    updates = sum(rung.updates for rung in search.ladder.rungs())
    return Work(search.repeats, updates, search.repeats)
