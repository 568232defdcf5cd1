"""The file from which an interrupted training goes on: plain data and tensors, never code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from stepsize.store.whole_file import replacing

#: Version of the layout; a checkpoint of another one is not read.
FORMAT = 1


class UnreadableError(Exception):
    """A checkpoint that is damaged, or another run's; says which."""


def save(path: Path, content: Any) -> None:
    """Write ``content`` so that a reader finds the old file or the whole new one.

    Raises:
        OSError, RuntimeError: it cannot be written; nothing is left behind.
    """
    with replacing(path) as file:
        torch.save(content, file)


def save_checkpoint(path: Path, key: str, content: dict[str, Any]) -> None:
    """Write the checkpoint of the run ``key``; as :func:`save`."""
    save(path, {"format": FORMAT, "key": key, **content})


def read_checkpoint(path: Path, key: str) -> dict[str, Any] | None:
    """The checkpoint of the run ``key``; None where there is no file.

    Raises:
        UnreadableError: a file that is damaged, of another layout, or another run's.
    """
    try:
        content: Any = torch.load(path, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:
        raise UnreadableError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UnreadableError("it has another layout")
    if content["key"] != key:
        raise UnreadableError(f"it belongs to the run {content['key']}")
    return content


def set_aside(path: Path) -> Path:
    """Rename an unreadable checkpoint, so that nobody reads it again; returns its new place."""
    aside = path.with_name(f"{path.name}.unreadable")
    os.replace(path, aside)
    return aside
