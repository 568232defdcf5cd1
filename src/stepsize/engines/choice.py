"""Which engine a user asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

from stepsize.errors import InputError, did_you_mean, require

#: Every engine by name; ``dask`` is named by the address of its scheduler.
ENGINES = ("auto", "serial", "fused", "processes", "dask")
_FORMS = "auto, serial, fused, processes, processes:N or dask://host:port"


@final
@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine by name, with what is said beside the name.

    Attributes:
        name: one of :data:`ENGINES`.
        workers: of ``processes``: how many; None for as many as the machine has cores.
        address: of ``dask``: its scheduler's, ``host:port`` or ``tls://host:port``.

    >>> EngineChoice.of("processes:4")
    EngineChoice(name='processes', workers=4, address='')
    >>> str(EngineChoice.of("dask://head:8786"))
    'dask://head:8786'
    """

    name: str = "auto"
    workers: int | None = None
    address: str = ""

    @classmethod
    def of(cls, given: EngineChoice | str) -> EngineChoice:
        """The engine that a text names.

        Raises:
            InputError: there is none of that name.
        """
        if isinstance(given, EngineChoice):
            return given
        require(isinstance(given, str), f"An engine is named by a text, {_FORMS}; got {given!r}.")
        if parts := re.fullmatch(
            r"dask://(?P<address>(?:(?:tcp|tls)://)?[^/\s]+:\d+)/?", given.strip()
        ):
            return cls("dask", address=parts["address"])
        name, colon, workers = given.strip().partition(":")
        if name == "processes" and colon:
            require(
                workers.isdecimal() and int(workers) >= 1,
                f"processes:N takes a number of worker processes, at least 1; got {given!r}.",
            )
            return cls("processes", workers=int(workers))
        if name == "dask":
            raise InputError(f"A Dask engine is dask://host:port, its scheduler's; got {given!r}.")
        if colon or name not in ENGINES:
            raise InputError(
                f"There is no engine {given!r:.80}; there are {_FORMS}."
                f"{did_you_mean(name, ENGINES)}"
            )
        return cls(name)

    def __str__(self) -> str:
        if self.address:
            return f"dask://{self.address}"
        return self.name if self.workers is None else f"{self.name}:{self.workers}"
