"""From an engine's name to its workers."""

from __future__ import annotations

from stepsize.engines.choice import EngineChoice
from stepsize.engines.crew import Crew
from stepsize.engines.processes import ProcessCrew
from stepsize.errors import InputError


def crew_of(choice: EngineChoice) -> Crew:
    """The workers of an engine that has some; the caller closes the crew.

    Raises:
        InputError: an engine without workers.
        EngineError: the cluster cannot be reached.
        MissingDependencyError: what the cluster needs is not installed.

    >>> crew = crew_of(EngineChoice.of("processes:2"))
    >>> crew.workers, crew.close()
    (2, None)
    """
    if choice.name == "processes":
        return ProcessCrew(choice.workers)
    if choice.name == "dask":
        from stepsize.engines.dask_crew import DaskCrew

        return DaskCrew(choice.address)
    raise InputError(f"The engine {choice} has no workers.")
