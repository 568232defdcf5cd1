"""The random state of the whole process: Python's, NumPy's, torch's and every accelerator's."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


def remember() -> Callable[[], None]:
    """Remember all global random states; the returned function puts them back.

    >>> back = remember(); first = torch.rand(1); back(); bool(torch.rand(1) == first)
    True
    """
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy: Any = sys.modules.get("numpy")
    array = numpy.random.get_state() if numpy is not None else None
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore() -> None:
        random.setstate(python)
        torch.set_rng_state(cpu)
        if array is not None:
            numpy.random.set_state(array)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)

    return restore


def seed(value: int) -> None:
    """Seed all global generators with ``value``.

    Unlike ``torch.manual_seed`` this leaves an accelerator alone that is not in use yet: its state
    cannot be remembered, and the seed would decide its first numbers later.
    """
    random.seed(value)
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(value)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(value)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(value % 2**32)


@contextmanager
def kept() -> Iterator[None]:
    """Run a block that may draw random numbers; the states from before come back after it."""
    restore = remember()
    try:
        yield
    finally:
        restore()


@contextmanager
def seeded(value: int) -> Iterator[None]:
    """Run a block under a seed; the states from before come back after it."""
    with kept():
        seed(value)
        yield
