"""What a loader keeps between epochs: random generators, counters, orders and worker processes.

Data itself is neither copied nor walked into: a data set may be larger than memory.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from stepsize.adapters.torch.memento import Memento

#: Where a DataLoader keeps the iterator of persistent workers; see :func:`set_workers_aside`.
_WORKERS = "_iterator"


def remember_loader(loader: object, memento: Memento) -> Callable[[], None]:
    """Remember the attributes of a loader and of all it draws from: samplers, data sets, wrappers.

    Attributes come back by reference; generators, lists (not their items) and vectors of integers,
    which may be orders that are shuffled in place, come back by content.
    """
    restores: list[Callable[[], None]] = []
    for part in _parts(loader):
        restores.append(_attributes(part.__dict__))
        for value in part.__dict__.values():
            if isinstance(value, list):
                restores.append(_items(value))
            elif _is_generator(value) or _is_order(value):
                memento.add(value)

    def restore() -> None:
        for each in restores:
            each()

    return restore


def set_workers_aside(loader: object) -> Callable[[], None]:
    """Take away the iterator that a loader with persistent workers keeps; return the way back.

    The test then starts workers of its own, and an epoch the user is in the middle of goes on
    undisturbed after it.
    """
    loaders = [part for part in _parts(loader) if isinstance(part, DataLoader)]
    iterators = [part.__dict__.get(_WORKERS) for part in loaders]
    for part in loaders:
        part.__dict__[_WORKERS] = None

    def give_back() -> None:
        for part, iterator in zip(loaders, iterators, strict=True):
            part.__dict__[_WORKERS] = iterator

    return give_back


def _parts(loader: object) -> list[Any]:
    """The loader and everything it draws from, each once."""
    found: dict[int, Any] = {}
    waiting: list[object] = [loader]
    while waiting:
        part = waiting.pop()
        if id(part) not in found and _may_hold_state(part):
            found[id(part)] = part
            waiting += vars(part).values()
            waiting += [item for value in vars(part).values() for item in _members(value)]
    return list(found.values())


def _members(value: object) -> Sequence[object]:
    """The data sets or transforms of a list of those; the items of other lists are data."""
    if not isinstance(value, (list, tuple)) or not value:
        return ()
    return value if isinstance(value[0], Dataset) or callable(value[0]) else ()


def _may_hold_state(value: object) -> bool:
    """Whether ``value`` is something like a loader, a sampler, a data set or a transform.

    A running iterator of a DataLoader is not: its counters belong to its worker processes.
    """
    if isinstance(value, (type, ModuleType, torch.Tensor, nn.Module, _BaseDataLoaderIter)):
        return False
    drawn_from = hasattr(type(value), "__iter__") or hasattr(type(value), "__getitem__")
    return (drawn_from or callable(value)) and hasattr(value, "__dict__")


def _attributes(attributes: dict[str, Any]) -> Callable[[], None]:
    before = {name: value for name, value in attributes.items() if name != _WORKERS}

    def restore() -> None:
        for name in attributes.keys() - before.keys() - {_WORKERS}:
            del attributes[name]
        attributes.update(before)

    return restore


def _items(items: list[Any]) -> Callable[[], None]:
    before = list(items)

    def restore() -> None:
        items[:] = before

    return restore


def _is_generator(value: object) -> bool:
    if isinstance(value, (torch.Generator, random.Random)):
        return True
    numpy: Any = sys.modules.get("numpy")
    kinds = ("Generator", "RandomState", "BitGenerator")
    return numpy is not None and isinstance(value, tuple(getattr(numpy.random, k) for k in kinds))


def _is_order(value: object) -> bool:
    if isinstance(value, torch.Tensor):
        return value.dim() == 1 and not value.is_floating_point()
    numpy: Any = sys.modules.get("numpy")
    return isinstance(value, numpy.ndarray if numpy else ()) and (
        value.ndim == 1 and value.dtype.kind in "iu"
    )
