"""Every tracker by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from stepsize.errors import InputError, MissingDependencyError, did_you_mean
from stepsize.trackers.base import Tracker

#: The trackers, with what stands behind the colon.
TRACKERS = {"tensorboard": "FOLDER", "mlflow": "URI", "wandb": "PROJECT", "trackio": "PROJECT"}


def open_tracker(text: str) -> Tracker:
    """The tracker of that name, at the place behind the colon.

    Args:
        text: ``tensorboard[:FOLDER]``, ``mlflow[:URI or FOLDER]``, ``wandb[:PROJECT]`` or
            ``trackio[:PROJECT]``; without a place, the tool's usual one.

    Raises:
        InputError: no tracker of that name, or a place that the tool does not take.
        MissingDependencyError: its package is not installed, or does not load.
    """
    name, where = checked(text)
    make: Callable[[str], Tracker] = import_module(f"stepsize.trackers.to_{name}").make
    return make(where)


def checked(text: str) -> tuple[str, str]:
    """The name and the place that ``text`` asks for; nothing is loaded.

    >>> checked("mlflow:sqlite:///runs.db"), checked("wandb")
    (('mlflow', 'sqlite:///runs.db'), ('wandb', ''))
    """
    name, _, where = text.strip().partition(":")
    if name not in TRACKERS:
        known = ", ".join(f"{each}[:{place}]" for each, place in TRACKERS.items())
        raise InputError(
            f"There is no tracker {name!r:.80}.{did_you_mean(name, TRACKERS)} Known are {known}."
        )
    if re.search(r"[\x00-\x1f\x7f]", where):
        raise InputError(f"The place of a tracker has no control characters, got {where!r:.80}.")
    return name, where.strip()


def need(module: str, extra: str) -> Any:
    """A tracker's module.

    Raises:
        MissingDependencyError: it is not installed, or is installed and does not load.
    """
    try:
        return import_module(module)
    except Exception as error:  # a broken install raises OSError, AttributeError, ...
        absent = isinstance(error, ModuleNotFoundError)
        state = "is not installed" if absent else f"does not load ({error})"
        raise MissingDependencyError(
            f"The tracker {extra} needs {module.partition('.')[0]}, which {state}: "
            f"pip install 'stepsize[{extra}]'."
        ) from error
