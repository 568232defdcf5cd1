"""The transaction around a range test: everything it may change comes back bit for bit."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.loader_state import remember_loader, set_workers_aside
from stepsize.adapters.torch.memento import Memento


class Transaction:
    """Remember on entry; restore on every exit: success, divergence, an exception, Ctrl-C.

    Args:
        things: modules, optimizers, GradScalers, schedulers, or any object whose attributes a
            training step may change. See :class:`Memento` for what is followed.
        loader: its random generators, counters and orders are remembered, its sampler's and its
            data set's too, and the iterator that a loader with persistent workers keeps. Data is
            never copied.

    A Ctrl-C that arrives while the state is being put back waits until it is.

    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> before = model.weight.clone()
    >>> with Transaction(model):
    ...     with torch.no_grad():
    ...         _ = model.weight.zero_()
    >>> torch.equal(model.weight, before)
    True
    """

    def __init__(self, *things: object, loader: object = None) -> None:
        self._things = things
        self._loader = loader
        self._restores: list[Callable[[], None]] = []
        self._give_workers_back: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        memento = Memento()
        for thing in self._things:
            memento.add(thing)
        loader = remember_loader(self._loader, memento)
        self._restores = [memento.restore, loader, random_state.remember()]
        self._give_workers_back = set_workers_aside(self._loader)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _ctrl_c_waits():
            self.restore()
            if self._give_workers_back is not None:
                self._give_workers_back()
            self._restores, self._give_workers_back = [], None

    def restore(self) -> None:
        """Go back to the state of the entry without leaving; random states come last."""
        with _ctrl_c_waits():
            for restore in self._restores:
                restore()


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold back SIGINT during the block; deliver it afterwards."""
    before = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if before is None or not in_main_thread:
        yield  # not Python's handler, or a thread that runs none
        return
    waiting: list[int] = []
    try:
        signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    except ValueError:  # a sub-interpreter has no signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)
