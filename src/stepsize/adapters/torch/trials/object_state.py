"""What objects of the user's own keep between updates, as plain data that a checkpoint can hold.

A loader's epoch counter, a sampler's generator, an order that is shuffled in place, weights and
buffers, a model's hidden state in an attribute, a generator that a loss function has enclosed:
whatever a training changes. The state is put into objects that were made anew by the same code, so
data need not be written: it is there.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch.trials import random_record
from stepsize.adapters.torch.trials.object_parts import parts_of, remove_slot, set_slot, slots_of

#: What is written as it is.
_ATOMS = (type(None), bool, int, float, complex, str, bytes)
_LISTS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "set": set,
    "frozenset": frozenset,
}
_GROWING = (list, deque, dict, set)
#: Containers with more inside are data: only the order of a list is looked at.
_MOST_ITEMS = 2_000
#: Tensors with more inside are data, unless they are new, were written to, or are a module's.
_MOST_VALUES = 1_000
#: A slot with more inside that is new is a cache, which fills itself again.
_MOST_NEW = 4_000_000
#: Stands for what is left as it was made: a cache, a running iterator, a pool of threads.
_LEFT = ("left",)


class _UnknownError(Exception):
    """A value that is not written."""


class ObjectState:
    """The state of everything reachable from ``roots``: taken here, put into others of their kind.

    Written are numbers and texts, random generators, the weights and buffers of modules, arrays
    and containers that are small, tensors that are new or were written to, the order of a list.
    Other objects stay what they are.

    Args:
        roots: freshly made, before anything has drawn from them.

    >>> class Loader(list):
    ...     epoch = 0
    >>> first, second = Loader(), Loader()
    >>> one, other = ObjectState(first), ObjectState(second)
    >>> first.epoch += 3
    >>> other.put(one.take()); second.epoch
    3
    """

    def __init__(self, *roots: object) -> None:
        self._parts = parts_of(roots)
        self._objects: list[Any] = []
        self._known: dict[int, tuple[int, int]] = {}  # by id: the number, and a tensor's version
        self._items: dict[int, list[Any]] = {}  # by id: what large lists had inside
        self._new = 0
        for part in self._parts:
            for value in slots_of(part).values():
                self._know(value)

    @property
    def can_go_back(self) -> bool:
        """Whether any state can be put although the objects have been used.

        Large tensors that were not written to are left out of a state: into objects that are no
        longer as they were made, it can be put only if those still are.
        """
        modules = [part for part in self._parts if isinstance(part, nn.Module)]
        always = {id(value) for module in modules for value in slots_of(module).values()}
        return all(
            id(value) in always or version == _version(value) or value.numel() <= _MOST_VALUES
            for value, (_, version) in zip(self._objects, self._known.values(), strict=True)
            if isinstance(value, torch.Tensor)
        )

    def take(self, copy: bool = True, containers: bool = True) -> list[dict[str, Any]]:
        """The state of all parts: plain containers, numbers, texts and tensors.

        Args:
            copy: whether its tensors are copies; otherwise they go on changing.
            containers: whether lists, dictionaries and sets are in it; otherwise they are left.
        """
        return [
            {
                name: self._slot(part, value, copy)
                if containers or not isinstance(value, _GROWING)
                else _LEFT
                for name, value in slots_of(part).items()
            }
            for part in self._parts
        ]

    @torch.no_grad()
    def put(self, state: list[dict[str, Any]]) -> None:
        """Bring all parts into ``state``.

        Raises:
            ValueError, KeyError, IndexError: it is the state of other objects.
        """
        if len(state) != len(self._parts):
            raise ValueError(f"there are {len(self._parts)} objects, and {len(state)} were written")
        for part, written in zip(self._parts, state, strict=True):
            present = slots_of(part)
            for name in present.keys() - written.keys():
                remove_slot(part, name)
            for name, data in written.items():
                if data == _LEFT:
                    continue
                value = self._read(data)
                if name not in present or value is not present[name]:
                    set_slot(part, name, value)

    # -- numbers ------------------------------------------------------------------------------

    def _know(self, value: Any) -> None:
        """Number what is there, so that it can be named, and remember what it is now."""
        if isinstance(value, _ATOMS) or id(value) in self._known:
            return
        self._known[id(value)] = (len(self._objects), _version(value))
        self._objects.append(value)
        if _is_large(value):
            self._items[id(value)] = list(value)
            return
        for item in _inside(value):
            self._know(item)

    # -- writing ------------------------------------------------------------------------------

    def _slot(self, part: Any, value: Any, copy: bool) -> Any:
        if isinstance(part, nn.Module) and isinstance(value, torch.Tensor):
            number, _ = self._known.get(id(value), (None, 0))
            values = value.detach()
            return ("tensor", number, values.clone() if copy else values)
        self._new = 0
        try:
            return self._written(value)
        except _UnknownError:
            return _LEFT

    def _written(self, value: Any) -> Any:
        """What it is, its number, and what is in it.

        Raises:
            _UnknownError: there is something inside that is not written.
        """
        if type(value) in _ATOMS:
            return ("is", value)
        number, version = self._known.get(id(value), (None, 0))
        if random_record.is_generator(value):
            kind = random_record.kind_of(value)
            return ("generator", number, kind, random_record.take_generator(value))
        if isinstance(value, torch.Tensor):
            large = value.numel() > _MOST_VALUES
            if number is not None and large and version == _version(value):
                return ("known", number)
            self._count(value.numel())
            return ("tensor", number, value.detach().clone())
        if _is_array(value):
            return self._array(value, number)
        return self._container(value, number)

    def _array(self, array: Any, number: int | None) -> Any:
        order = array.ndim == 1 and array.dtype.kind in "iu"
        small = order or array.size <= _MOST_VALUES
        if array.dtype.kind not in "biufc" or not (number is None or small):
            return _by_number(number)
        self._count(array.size)
        return ("array", number, torch.from_numpy(array.copy()))

    def _container(self, value: Any, number: int | None) -> Any:
        kind = type(value).__name__
        if type(value) is dict and not _is_large(value):
            keys = [self._written(key) for key in value]
            return ("dict", number, keys, [self._written(item) for item in value.values()])
        if _LISTS.get(kind) is not type(value):
            return _by_number(number)
        if id(value) in self._items:
            return self._order(value, number)
        self._count(len(value))
        return (kind, number, [self._written(item) for item in value])

    def _order(self, value: Any, number: int | None) -> Any:
        """A large list by where its items were, or by what they are where new ones came."""
        before = self._items[id(value)]
        if len(before) == len(value) and all(map(operator.is_, before, value)):
            return ("known", number)
        places = {id(item): place for place, item in enumerate(before)}
        if all(id(item) in places for item in value):
            return ("order", number, torch.tensor([places[id(item)] for item in value]))
        self._count(len(value))
        return (type(value).__name__, number, [self._written(item) for item in value])

    def _count(self, values: int) -> None:
        self._new += values
        if self._new > _MOST_NEW:
            raise _UnknownError

    # -- reading ------------------------------------------------------------------------------

    def _read(self, data: Any) -> Any:
        """The value that was written: the object of that number, brought into its state."""
        what, number, *rest = data
        if what == "is":
            return number
        known = None if number is None else self._objects[number]
        if what == "known":
            before = self._items.get(id(known))
            return known if before is None else _with_items(known, before)
        if what in _LEAVES:
            return _LEAVES[what](known, *rest)
        if what == "dict":
            keys, items = ([self._read(item) for item in part] for part in rest)
            return _filled(known, dict, dict(zip(keys, items, strict=True)))
        if what == "order":
            before = self._items[id(known)]
            return _filled(known, type(known), [before[place] for place in rest[0].tolist()])
        return _filled(known, _LISTS[what], [self._read(item) for item in rest[0]])


def _inside(value: Any) -> Iterable[Any]:
    if type(value) is dict:
        return [*value.keys(), *value.values()]
    return value if type(value) in (list, tuple, deque) else ()


def _is_large(value: Any) -> bool:
    """Whether more than :data:`_MOST_ITEMS` are inside, at any depth."""
    left = _MOST_ITEMS
    waiting: list[Any] = [_inside(value)]
    while waiting and left >= 0:
        inside = waiting.pop()
        left -= len(inside)
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


def _with_items(known: Any, before: list[Any]) -> Any:
    """A large container, with what was in it when it was made."""
    if type(known) in (list, deque):
        known.clear()
        known.extend(before)
    return known


def _filled_generator(known: Any, kind: str, state: Any) -> Any:
    generator = random_record.new_generator(kind) if known is None else known
    random_record.put_generator(generator, state)
    return generator


def _filled_tensor(known: Any, values: torch.Tensor) -> torch.Tensor:
    alike = known is not None and known.shape == values.shape and known.dtype == values.dtype
    if not alike or known.is_inference() or _overlaps(known):
        return values
    return known.copy_(values)  # type: ignore[no-any-return]


def _overlaps(tensor: torch.Tensor) -> bool:
    """Whether it is an expanded view, which cannot be written to."""
    strided = tensor.layout == torch.strided
    return strided and any(s == 0 < n - 1 for s, n in zip(tensor.stride(), tensor.shape))  # noqa: B905


def _filled_array(known: Any, tensor: torch.Tensor) -> Any:
    values = tensor.numpy()
    if known is None or known.shape != values.shape or not known.flags.writeable:
        return values
    known[...] = values
    return known


_LEAVES: dict[str, Callable[..., Any]] = {
    "generator": _filled_generator,
    "tensor": _filled_tensor,
    "array": _filled_array,
}
