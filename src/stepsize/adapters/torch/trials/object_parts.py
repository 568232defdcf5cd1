"""Where the user's objects keep what a training changes: their attributes, and what functions hold.

Data itself is not walked into: a data set may be larger than memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data.dataloader import _BaseDataLoaderIter

from stepsize.adapters.torch.trials import random_record

#: Things looked at in one list: transforms, data sets and layers are few, data are many.
_MOST_MEMBERS = 1_000
#: A module's attributes that are told apart in :func:`slots_of`, and a loader's running workers.
_NO_SLOTS = frozenset({"_parameters", "_buffers", "_modules", "_iterator"})
_NEVER = (type, ModuleType, torch.Tensor, Optimizer, _BaseDataLoaderIter)


def parts_of(roots: Iterable[object]) -> list[Any]:
    """Everything that may hold state, each once, in an order that depends on the code alone.

    Modules, functions and whatever can be called or iterated: loaders, samplers, data sets,
    transforms, wrappers, losses.
    """
    found: dict[int, Any] = {}
    waiting: list[Any] = list(roots)[::-1]
    while waiting:
        part = waiting.pop()
        if isinstance(part, MethodType):
            waiting += [part.__self__, part.__func__]
        elif id(part) not in found and _may_hold_state(part):
            found[id(part)] = part
            for value in slots_of(part).values():
                waiting.append(value)
                waiting += itertools.islice(_members(value), _MOST_MEMBERS)
            waiting += part.children() if isinstance(part, nn.Module) else ()
    return list(found.values())


def slots_of(part: Any) -> dict[str, Any]:
    """The attributes of an object, a module's parameters and buffers, a function's enclosed names.

    >>> def counter():
    ...     count = 3
    ...     def count_on():
    ...         return count + 1
    ...     return count_on
    >>> slots_of(counter())
    {'count': 3}
    """
    if isinstance(part, FunctionType):
        cells = zip(part.__code__.co_freevars, part.__closure__ or (), strict=True)
        enclosed = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
        return {**vars(part), **enclosed}
    slots = {name: value for name, value in vars(part).items() if name not in _NO_SLOTS}
    if isinstance(part, nn.Module):
        slots = {name: value for name, value in slots.items() if not name.endswith("_hooks")}
        return {**slots, **part._parameters, **part._buffers}
    return slots


def set_slot(part: Any, name: str, value: Any) -> None:
    """Give a slot another value.

    Raises:
        ValueError: a parameter, to which the optimizer and others hold on.
    """
    if isinstance(part, FunctionType) and name in part.__code__.co_freevars:
        assert part.__closure__ is not None
        part.__closure__[part.__code__.co_freevars.index(name)].cell_contents = value
    elif isinstance(part, nn.Module) and name in part._parameters:
        raise ValueError(f"the parameter {name} of {type(part).__name__} has another shape or type")
    elif isinstance(part, nn.Module) and name in part._buffers:
        part._buffers[name] = value
    else:
        vars(part)[name] = value


def remove_slot(part: Any, name: str) -> None:
    """Take an attribute away."""
    vars(part).pop(name, None)


def _members(value: Any) -> Iterator[Any]:
    """The things in a list or dictionary that may hold state of their own."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        yield from value


def _may_hold_state(value: object) -> bool:
    """Data does not; a running iterator of a DataLoader belongs to its epoch."""
    if isinstance(value, nn.Module):
        return True
    if isinstance(value, _NEVER) or random_record.is_generator(value) or _is_torchs(value):
        return False
    kind = type(value)
    used = callable(value) or hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    return used and hasattr(value, "__dict__")


def _is_torchs(value: object) -> bool:
    """Whether it belongs to torch's machinery, which is nobody's business; its loaders do not."""
    kind = value if isinstance(value, FunctionType) else type(value)
    home = kind.__module__ or ""
    return f"{home}.".startswith("torch.") and not home.startswith("torch.utils.data")


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that is not assigned yet
        return False
