"""What objects of the user's own keep between updates, as plain data that a checkpoint can hold.

A loader's epoch counter, a sampler's generator, an order that is shuffled in place, a model's
hidden state in an attribute, a generator that a loss function has enclosed: whatever a training
changes beside weights and buffers. The state is put into objects that were made anew by the same
code, so only what has changed since they were made is written down, and data never is.
"""

from __future__ import annotations

import itertools
import operator
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data.dataloader import _BaseDataLoaderIter

from stepsize.adapters.torch import random_record

#: What is written as it is.
_ATOMS = (type(None), bool, int, float, complex, str, bytes)
_LISTS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "set": set,
    "frozenset": frozenset,
}
#: Attributes that torch keeps for itself, or that are written elsewhere.
_TORCHS_OWN = frozenset({"_parameters", "_buffers", "_modules", "_iterator", "state"})
#: Containers with more inside are data, and only their outermost order is looked at.
_MOST_ITEMS = 2_000
#: Stands for a value that is left as it is made: a running iterator, a pool of threads.
_LEFT = ("left",)


class _UnknownError(Exception):
    """A value that cannot be written."""


class ObjectState:
    """The state of everything reachable from ``roots``: taken here, put into another of its kind.

    Followed: modules, callables and iterables (loaders, samplers, data sets, wrappers) by their
    attributes, functions by what they enclose. Written: numbers and texts, random generators,
    containers of these, tensors that are new or were written to, the new order of a list. Other
    objects stay what they are.

    Args:
        roots: freshly made, before anything has drawn from them.

    >>> class Loader(list):
    ...     epoch = 0
    >>> first, second = Loader(), Loader()
    >>> first.epoch, second.epoch = 0, 0
    >>> one, other = ObjectState(first), ObjectState(second)
    >>> first.epoch += 3
    >>> other.put(one.take()); second.epoch
    3
    """

    def __init__(self, *roots: object) -> None:
        self._parts = _parts(roots)
        self._known: dict[int, tuple[int, Any, int]] = {}  # by id: number, object, version
        self._objects: list[Any] = []
        self._items: dict[int, list[Any]] = {}  # the items that large lists had
        for part in self._parts:
            for value in _slots(part).values():
                self._know(value)

    def take(self) -> list[dict[str, Any]]:
        """The state of all parts: plain containers, numbers, texts and tensors."""
        return [
            {name: self._slot(value) for name, value in _slots(part).items()}
            for part in self._parts
        ]

    def put(self, state: list[dict[str, Any]]) -> None:
        """Bring all parts into ``state``.

        Raises:
            ValueError: it is the state of other objects.
        """
        for part, written in zip(self._parts, state, strict=True):
            present = _slots(part)
            for name in present.keys() - written.keys():
                _remove(part, name)
            for name, data in written.items():
                if data == _LEFT:
                    continue
                value = self._read(data)
                if name not in present or value is not present[name]:
                    _set(part, name, value)

    def _know(self, value: Any) -> None:
        """Number the objects, so that they can be named, and remember what they were."""
        if _is_large(value):
            self._items[id(value)] = list(value)
            self._number(value)
            return
        self._number(value)
        for item in _inside(value):
            self._know(item)

    def _number(self, value: Any) -> None:
        if not isinstance(value, _ATOMS) and id(value) not in self._known:
            self._known[id(value)] = (len(self._objects), value, _version(value))
            self._objects.append(value)

    def _slot(self, value: Any) -> Any:
        try:
            return self._written(value)
        except _UnknownError:
            return _LEFT

    def _written(self, value: Any) -> Any:
        """What it is, its number, and what is in it.

        Raises:
            _UnknownError: there is a new object inside, of a kind that cannot be written.
        """
        if type(value) in _ATOMS:
            return ("is", value)
        known = self._known.get(id(value))
        number = None if known is None else known[0]
        if random_record.is_generator(value):
            return ("generator", number, _kind(value), random_record.take_generator(value))
        if isinstance(value, torch.Tensor):
            if known is not None and known[2] == _version(value):
                return ("known", number)
            return ("tensor", number, value.detach().clone())
        if _is_array(value):
            return self._array(value, number)
        return self._container(value, number)

    def _array(self, array: Any, number: int | None) -> Any:
        order = array.ndim == 1 and array.dtype.kind in "iu"
        if array.dtype.kind not in "biufc" or not (number is None or order):
            return _by_number(number)
        return ("array", number, torch.from_numpy(array.copy()))

    def _container(self, value: Any, number: int | None) -> Any:
        kind = type(value).__name__
        if type(value) is dict and not _is_large(value):
            keys = [self._written(key) for key in value]
            return ("dict", number, keys, [self._written(item) for item in value.values()])
        if _LISTS.get(kind) is type(value):
            if id(value) in self._items and number is not None:
                return self._order(value, number)
            return (kind, number, [self._written(item) for item in value])
        return _by_number(number)

    def _order(self, value: Any, number: int) -> Any:
        """A large list by where its items were, or by what they are where new ones came."""
        before = self._items[id(value)]
        if len(before) == len(value) and all(map(operator.is_, before, value)):
            return ("known", number)
        places = {id(item): place for place, item in enumerate(before)}
        if all(id(item) in places for item in value):
            return ("order", number, torch.tensor([places[id(item)] for item in value]))
        return (type(value).__name__, number, [self._written(item) for item in value])

    def _read(self, data: Any) -> Any:
        """The value that was written: the object of that number, brought into its state."""
        what, number, *rest = data
        if what == "is":
            return number
        known = None if number is None else self._objects[number]
        if what == "known":
            return known
        if what in _LEAVES:
            return _LEAVES[what](known, *rest)
        if what == "dict":
            keys, items = ([self._read(item) for item in part] for part in rest)
            return _filled(known, dict, dict(zip(keys, items, strict=True)))
        if what == "order":
            before = self._items[id(known)]
            return _filled(known, type(known), [before[place] for place in rest[0].tolist()])
        return _filled(known, _LISTS[what], [self._read(item) for item in rest[0]])


def _parts(roots: Iterable[object]) -> list[Any]:
    """Everything that holds state, each once, in an order that depends on the code alone."""
    found: dict[int, Any] = {}
    waiting: list[Any] = list(roots)[::-1]
    while waiting:
        part = waiting.pop()
        if id(part) in found or not _may_hold_state(part):
            continue
        found[id(part)] = part
        if isinstance(part, MethodType):
            waiting.append(part.__self__)
        for value in _slots(part).values():
            waiting.append(value)
            waiting += itertools.islice(_members(value), _MOST_ITEMS)
        if isinstance(part, nn.Module):
            waiting += part.children()
    return list(found.values())


def _members(value: Any) -> Iterator[Any]:
    """The things in a list or dictionary that may hold state of their own."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        yield from (item for item in value if not isinstance(item, (list, tuple, dict)))


def _may_hold_state(value: object) -> bool:
    """Whether ``value`` is something like a loader, a sampler, a data set, a transform, a loss.

    Data is not, nor is a running iterator of a DataLoader, which belongs to its epoch.
    """
    if isinstance(value, (FunctionType, MethodType, nn.Module)):
        return True
    never = (type, ModuleType, torch.Tensor, Optimizer, _BaseDataLoaderIter)
    if isinstance(value, never) or random_record.is_generator(value):
        return False
    used = callable(value) or any(hasattr(type(value), n) for n in ("__iter__", "__getitem__"))
    return used and hasattr(value, "__dict__")


def _slots(part: Any) -> dict[str, Any]:
    """The attributes of an object, or what a function has enclosed, by name."""
    if isinstance(part, MethodType):
        return {}
    if isinstance(part, FunctionType):
        cells = zip(part.__code__.co_freevars, part.__closure__ or (), strict=True)
        return {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
    hooks = isinstance(part, nn.Module)
    return {
        name: value
        for name, value in vars(part).items()
        if name not in _TORCHS_OWN and not (hooks and name.endswith("_hooks"))
    }


def _set(part: Any, name: str, value: Any) -> None:
    if isinstance(part, FunctionType):
        assert part.__closure__ is not None
        part.__closure__[part.__code__.co_freevars.index(name)].cell_contents = value
    else:
        vars(part)[name] = value


def _remove(part: Any, name: str) -> None:
    if not isinstance(part, FunctionType):
        del vars(part)[name]


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that is not assigned yet
        return False


def _inside(value: Any) -> Iterable[Any]:
    if type(value) is dict:
        return [*value.keys(), *value.values()]
    return value if type(value) in (list, tuple, deque) else ()


def _is_large(value: Any) -> bool:
    """Whether more than :data:`_MOST_ITEMS` are inside, at any depth."""
    left = _MOST_ITEMS
    waiting = [_inside(value)]
    while waiting and left >= 0:
        inside = waiting.pop()
        left -= len(inside)  # type: ignore[arg-type]
        if left >= 0:
            waiting += [_inside(item) for item in inside if not isinstance(item, _ATOMS)]
    return left < 0


def _version(value: Any) -> int:
    """How often a tensor was written to."""
    counted = isinstance(value, torch.Tensor) and not value.is_inference()
    return value._version if counted else 0


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _by_number(number: int | None) -> Any:
    if number is None:
        raise _UnknownError
    return ("known", number)


def _filled(known: Any, kind: Callable[[Any], Any], items: Any) -> Any:
    """``known`` with ``items`` inside; a new container where it cannot be changed."""
    if known is None or not hasattr(known, "clear"):  # tuples and frozen sets
        return kind(items)
    known.clear()
    (known.extend if hasattr(known, "extend") else known.update)(items)
    return known


def _filled_generator(known: Any, kind: str, state: Any) -> Any:
    generator = _new_generator(kind) if known is None else known
    random_record.put_generator(generator, state)
    return generator


def _filled_tensor(known: Any, values: torch.Tensor) -> torch.Tensor:
    if known is None or known.shape != values.shape or known.dtype != values.dtype:
        return values
    with torch.no_grad():
        known.copy_(values)
    return known  # type: ignore[no-any-return]


def _filled_array(known: Any, tensor: torch.Tensor) -> Any:
    values = tensor.numpy()
    if known is None or known.shape != values.shape or not known.flags.writeable:
        return values
    known[...] = values
    return known


def _kind(generator: Any) -> str:
    """The type of a generator; for NumPy's, that of its bits."""
    return type(getattr(generator, "bit_generator", generator)).__name__


def _new_generator(kind: str) -> Any:
    if kind == "Generator":
        return torch.Generator()
    if kind == "Random":
        return random.Random()
    import numpy

    if kind == "RandomState":
        return numpy.random.RandomState()
    return numpy.random.Generator(getattr(numpy.random, kind)())


_LEAVES: dict[str, Callable[..., Any]] = {
    "generator": _filled_generator,
    "tensor": _filled_tensor,
    "array": _filled_array,
}
