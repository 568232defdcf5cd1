"""From an engine to its workers, and what becomes of them where they do not come up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from stepsize.adapters.torch import threads
from stepsize.adapters.torch.elsewhere.numerics import Numerics
from stepsize.engines import Call, Crew, EngineChoice, carried_out
from stepsize.engines.opening import crew_of
from stepsize.tasks.sending import TaskDefinition


class Opened(NamedTuple):
    """The workers of an engine.

    Attributes:
        crew: None if they did not come up.
        engine: theirs; ``serial`` without them.
        notes: what a reader should know of that.
    """

    crew: Crew | None
    engine: EngineChoice
    notes: tuple[str, ...] = ()


@contextmanager
def opened(engine: EngineChoice, definition: TaskDefinition, *, tried: bool) -> Iterator[Opened]:
    """The workers of ``engine``, closed in the end.

    Args:
        engine: that has workers.
        definition: the task that they will be told of.
        tried: do without them where they do not come up, as nobody has asked for them.

    Raises:
        EngineError: there is no cluster.
    """
    with closing(crew_of(engine)) as crew:
        reason = why_not_open(crew, definition) if tried else ""
        if not reason:
            yield Opened(crew, engine)
            return
    note = f"Made by engine serial instead of {engine}: its workers did not come up: {reason}."
    yield Opened(None, EngineChoice("serial"), (note,))


def why_not_open(crew: Crew, definition: TaskDefinition) -> str:
    """Why the workers cannot be relied on, in words; empty if all of them have loaded the task.

    Costs nothing but the start of the workers, which are needed anyway.
    """
    call = Call(f"{__name__}:{load_task.__name__}", (definition, Numerics.here()))
    try:
        for _ in carried_out(crew, [call] * max(1, crew.workers)):
            pass
    except Exception as error:  # noqa: BLE001 - whatever importing the user's code raises there
        return f"{type(error).__name__}: {error}".rstrip(".")
    return ""


def load_task(definition: TaskDefinition, numerics: Numerics) -> None:
    """Load the task; a worker calls this."""
    numerics.apply()
    with threads.making():
        definition.load()
