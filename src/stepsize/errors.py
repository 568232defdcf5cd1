"""Every error stepsize raises on purpose.

::

    StepsizeError
    ├── InputError          an argument, option or file that cannot be used  (also a ValueError)
    │   └── TaskError       the user's task: missing file, callable that raises, wrong return type
    ├── DataError           a data set that is absent, damaged or cannot be fetched
    ├── RangeTestError      a range test that cannot go on: loader ran dry, loss not a scalar, ...
    ├── OutputError         a place that cannot be written
    ├── StoreError          a runs database that is absent, locked, damaged, full, newer
    │   └── LeaseLostError  another process has taken over the run this one was making
    ├── EngineError         an engine that cannot go on: its workers are gone, its cluster is away
    └── MissingDependencyError   an optional package that is not installed  (also an ImportError)

Each message says what was asked, the value received and the way out. The command line prints the
message alone and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StepsizeError(Exception):
    """Base of all errors raised on purpose; catch this one to catch them all."""


class InputError(StepsizeError, ValueError):
    """An argument, option or file that cannot be used as given."""


class TaskError(InputError):
    """The user's task cannot be made: missing file, callable that raises, wrong return type."""


class DataError(StepsizeError):
    """A data set that is absent, damaged or cannot be fetched."""


class RangeTestError(StepsizeError):
    """A range test that cannot go on: the loader ran dry, the loss is not a scalar, ..."""


class OutputError(StepsizeError):
    """A place that cannot be written."""


class StoreError(StepsizeError):
    """A runs database that cannot be used: absent, locked, damaged, full, or of a newer version."""


class LeaseLostError(StoreError):
    """Another process has taken over the run that this one was making."""


class EngineError(StepsizeError):
    """An engine that cannot go on: its workers are gone, its cluster cannot be reached, ..."""


class MissingDependencyError(StepsizeError, ImportError):
    """An optional package that is not installed; the message names the extra that brings it."""


def did_you_mean(wanted: str, known: Iterable[str]) -> str:
    """``" Did you mean ...?"`` if a known name is near, else nothing.

    >>> did_you_mean("cosin", ["cosine", "linear"])
    ' Did you mean cosine?'
    """
    near = difflib.get_close_matches(wanted, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def require(condition: bool, message: str) -> None:
    """Raise :class:`InputError` with ``message`` unless ``condition`` holds.

    >>> require(1 > 0, "never seen")
    """
    if not condition:
        raise InputError(message)
