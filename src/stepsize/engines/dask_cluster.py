"""Finding a Dask cluster, and making sure that its workers can give the same numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stepsize.engines.dask_letters import versions
from stepsize.errors import EngineError, MissingDependencyError

#: How a cluster is made.
ADVICE = (
    "Start the scheduler by: dask scheduler; and on each machine its workers by: "
    "dask worker HOST:8786 --nthreads 1 --nworkers N."
)


def connected(address: str, patience: float) -> Any:
    """A ``distributed.Client`` of the scheduler at ``address``; waits ``patience`` seconds for it.

    Raises:
        MissingDependencyError: distributed is not installed.
        EngineError: there is no scheduler.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "The engine dask needs distributed: pip install 'stepsize[dask]'."
        ) from error
    made: Any = distributed  # its constructors have no types
    try:
        with ThreadPoolExecutor(1) as pool:  # there may be a loop in this thread
            pool.submit(asyncio.run, _answer(made, address, patience)).result()
        return made.Client(address, timeout=patience, set_as_default=False, name="stepsize")
    except Exception as error:
        raise EngineError(
            f"There is no Dask scheduler at {address}: none answered in {patience:g} seconds "
            f"({type(error).__name__}: {error}). {ADVICE}"
        ) from error


async def _answer(made: Any, address: str, patience: float) -> None:
    """Ask the scheduler who it is: a client would wait for ever for one that does not answer."""
    arguments = made.Security().get_connection_args("client")
    async with made.rpc(address, connection_args=arguments) as scheduler:
        await asyncio.wait_for(scheduler.identity(), patience)


def check_workers(client: Any, address: str, own: Mapping[str, str], patience: float) -> None:
    """Make sure that there is a worker, and that all give the same numbers as this process.

    Raises:
        EngineError: there is none after ``patience`` seconds, or one has other versions.
    """
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        raise EngineError(
            f"The Dask scheduler {address} has had no worker for {patience:g} seconds. {ADVICE}"
        ) from error
    for worker, theirs in client.run(versions, on_error="return").items():
        if isinstance(theirs, OSError):
            continue  # it has just left
        if isinstance(theirs, BaseException):
            raise EngineError(
                f"The Dask worker {worker} cannot work for stepsize "
                f"({type(theirs).__name__}: {theirs}). Install what is installed here: "
                f"{_listed(own)}."
            )
        if theirs != own:
            raise EngineError(differing(worker, theirs, own))


def differing(worker: str, theirs: Mapping[str, str], own: Mapping[str, str]) -> str:
    """A worker's versions beside those here, in words.

    >>> differing("tcp://a:1", {"torch": "2.12.0"}, {"torch": "2.13.0"})[:55]
    'The Dask worker tcp://a:1 has torch 2.12.0, and here is'
    """
    others = {name: theirs.get(name, "none") for name in own if theirs.get(name) != own[name]}
    return (
        f"The Dask worker {worker} has {_listed(others)}, and here is "
        f"{_listed({name: own[name] for name in others})}: its numbers could be others. "
        "Install the same versions there."
    )


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
