"""The transaction around a range test: everything it may change comes back bit for bit."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.memento import Memento


class Transaction:
    """Remember on entry; restore on every exit: success, divergence, an exception, Ctrl-C.

    Args:
        things: modules, optimizers, GradScalers, schedulers, or any object whose attributes a
            training step may change. See :class:`Memento` for what is followed.
        loader: its random generators, its sampler's and its data set's are remembered, and the
            iterator that a loader with persistent workers keeps. Data is never copied.

    A Ctrl-C that arrives while the state is being put back waits until it is.

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

    def __enter__(self) -> Self:
        memento = Memento()
        for thing in self._things:
            memento.add(thing)
        loader = _remember_loader(self._loader, memento)
        self._restores = [memento.restore, loader, random_state.remember()]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()
        self._restores = []

    def restore(self) -> None:
        """Go back to the state of the entry without leaving; random states come last."""
        with _ctrl_c_waits():
            for restore in self._restores:
                restore()


def _remember_loader(loader: Any, memento: Memento) -> Callable[[], None]:
    """Remember a loader's generators and counters without touching its data."""
    sources = [loader, getattr(loader, "dataset", None), getattr(loader, "sampler", None)]
    batch_sampler = getattr(loader, "batch_sampler", None)
    sources += [batch_sampler, getattr(batch_sampler, "sampler", None)]
    counters: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for attributes in (source.__dict__ for source in sources if hasattr(source, "__dict__")):
        for value in attributes.values():
            if _is_generator(value):
                memento.add(value)
        numbers = {k: v for k, v in attributes.items() if isinstance(v, (int, float))}
        counters.append((attributes, numbers))
    iterator = _set_aside_workers(loader)

    def restore() -> None:
        for attributes, numbers in counters:
            attributes.update(numbers)
        if isinstance(loader, torch.utils.data.DataLoader):
            loader._iterator = iterator

    return restore


def _set_aside_workers(loader: Any) -> Any:
    """Take away the iterator that a loader with persistent workers keeps.

    The test then starts workers of its own, and an epoch the user is in the middle of goes on
    undisturbed after it.
    """
    if not isinstance(loader, torch.utils.data.DataLoader):
        return None
    iterator, loader._iterator = loader._iterator, None
    return iterator


def _is_generator(value: object) -> bool:
    return isinstance(value, torch.Generator) or type(value).__module__.startswith(
        ("random", "numpy.random")
    )


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold back SIGINT during the block; deliver it afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs signal handlers in the main thread only
        return
    waiting: list[tuple[int, FrameType | None]] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
    except ValueError:  # a sub-interpreter has no signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if waiting and callable(before):
            before(*waiting[0])
