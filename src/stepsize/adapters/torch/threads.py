"""How many threads make tasks, where that is not how many train them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

#: None: as many as compute everything else.
_making: ContextVar[int | None] = ContextVar("threads of making", default=None)


def make_with(threads: int) -> None:
    """Have tasks made with so many threads from now on; everything else has those it has.

    What all threads compute together, such as orthogonal weights or the mean of a large data set,
    has other last digits with another number of them, and is another task.
    """
    _making.set(None if threads == torch.get_num_threads() else threads)


def threads_of_making() -> int:
    """How many threads make tasks.

    >>> threads_of_making() == torch.get_num_threads()
    True
    """
    return _making.get() or torch.get_num_threads()


@contextmanager
def making() -> Iterator[None]:
    """A block that computes with the threads that make tasks."""
    with computing_with(threads_of_making()):
        yield


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """A block that computes with so many threads.

    >>> with computing_with(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
