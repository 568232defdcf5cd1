"""Remember values in place: what a range test may change, bit for bit.

A memento copies contents and keeps identities. Restoring writes the contents back into the very
tensors, lists and dictionaries that were there, because optimizers, tied weights and user code hold
references to them.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

Restore = Callable[[], None]


class Memento:
    """The remembered contents of any number of objects.

    Followed: modules (parameters, persistent and other buffers, plain attributes, train/eval
    flags, gradients), optimizers (hyper-parameters and state), tensors, random generators, NumPy
    arrays, lists, dictionaries, sets, tuples, data classes, and the attributes of every object
    given to :meth:`add` itself. Not followed: other objects found inside these, which come back
    by reference.

    Args:
        leave: tensors and other objects that are not to be remembered.

    >>> values = {"steps": 3, "seen": [torch.zeros(1)]}
    >>> memento = Memento(); memento.add(values)
    >>> values["steps"] = 4; _ = values["seen"].pop().add_(1); memento.restore(); values
    {'steps': 3, 'seen': [tensor([0.])]}
    """

    def __init__(self, leave: Iterable[object] = ()) -> None:
        # By id; holding the object keeps the id its own.
        self._known: dict[int, object] = {id(value): value for value in leave}
        self._restores: list[Restore] = []

    def add(self, value: object) -> None:
        """Remember ``value`` and all that is reachable from it."""
        if id(value) not in self._known and not self._visit(value):
            self._known[id(value)] = value
            self._attributes(value)

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back. May be called any number of times."""
        for restore in self._restores:
            restore()

    def _visit(self, value: Any) -> bool:
        """Remember ``value`` if it is of a kind that is followed; tell whether it is."""
        if id(value) in self._known:
            return True
        visitor = self._visitor(value)
        if visitor is None:
            return False
        self._known[id(value)] = value
        visitor(value)
        return True

    def _visitor(self, value: Any) -> Callable[[Any], None] | None:
        for kinds, visitor in self._VISITORS:
            if isinstance(value, kinds):
                return functools.partial(visitor, self)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._attributes
        return self._numpy_visitor(value)

    def _numpy_visitor(self, value: Any) -> Callable[[Any], None] | None:
        numpy: Any = sys.modules.get("numpy")
        if numpy is None:
            return None
        if isinstance(value, numpy.ndarray):
            return self._array
        if isinstance(value, (numpy.random.Generator, numpy.random.BitGenerator)):
            return self._numpy_generator
        return self._numpy_state if isinstance(value, numpy.random.RandomState) else None

    def _tensor(self, tensor: torch.Tensor) -> None:
        self._restores.append(_contents(tensor))
        if tensor.is_leaf:
            gradient, requires_grad = tensor.grad, tensor.requires_grad
            if gradient is not None:
                self._visit(gradient)

            def restore() -> None:
                tensor.grad = gradient
                if tensor.requires_grad != requires_grad:
                    tensor.requires_grad_(requires_grad)

            self._restores.append(restore)

    def _dict(self, items: dict[Any, Any]) -> None:
        before = dict(items)

        def restore() -> None:
            if not _same(items.items(), before.items()):
                items.clear()
                items.update(before)

        self._restores.append(restore)
        self._each(before.values())
        self._each(key for key in before if isinstance(key, torch.Tensor))

    def _list(self, items: list[Any] | deque[Any]) -> None:
        before = list(items)

        def restore() -> None:
            items.clear()
            items.extend(before)

        self._restores.append(restore)
        self._each(before)

    def _set(self, items: set[Any]) -> None:
        before = set(items)

        def restore() -> None:
            items.clear()
            items.update(before)

        self._restores.append(restore)
        self._each(before)

    def _each(self, items: Iterable[Any]) -> None:
        for item in items:
            self._visit(item)

    def _attributes(self, value: object) -> None:
        if hasattr(value, "__dict__"):
            self._dict(value.__dict__)
        slots = {name: getattr(value, name) for name in _slots(value) if hasattr(value, name)}

        def restore() -> None:
            for name, before in slots.items():
                object.__setattr__(value, name, before)  # also of a frozen data class

        self._restores.append(restore)
        self._each(slots.values())

    def _torch_generator(self, generator: torch.Generator) -> None:
        state = generator.get_state()
        self._restores.append(lambda: _ignore(generator.set_state(state)))

    def _random(self, generator: random.Random) -> None:
        if isinstance(generator, random.SystemRandom):
            return  # the system's entropy has no state
        state = generator.getstate()
        self._restores.append(lambda: generator.setstate(state))

    def _array(self, array: Any) -> None:
        if array.flags.writeable:
            before = array.copy()
            self._restores.append(lambda: array.__setitem__(..., before))

    def _numpy_generator(self, generator: Any) -> None:
        bits = getattr(generator, "bit_generator", generator)
        state = bits.state
        self._restores.append(lambda: setattr(bits, "state", state))

    def _numpy_state(self, generator: Any) -> None:
        state = generator.get_state()
        self._restores.append(lambda: generator.set_state(state))

    _VISITORS: tuple[tuple[Any, Callable[[Memento, Any], None]], ...] = (
        (torch.Tensor, _tensor),
        (dict, _dict),
        ((list, deque), _list),
        (set, _set),
        ((tuple, frozenset), _each),
        (torch.Generator, _torch_generator),
        (random.Random, _random),
        ((nn.Module, Optimizer, SimpleNamespace), _attributes),
    )


def _contents(tensor: torch.Tensor) -> Restore:
    """Remember the values of one tensor."""
    before = tensor.detach().clone()
    # What was made in inference mode can be written only there, and counts no versions.
    writing = torch.inference_mode if tensor.is_inference() else torch.no_grad
    overlapping = any(step == 0 < size - 1 for step, size in _layout(tensor))

    # A tensor inside somebody's graph must not be written to for nothing: that would spoil the
    # backward pass it waits for.
    version = None if tensor.is_leaf or tensor.is_inference() else tensor._version

    def restore() -> None:
        if tensor.shape != before.shape or tensor.dtype != before.dtype:
            tensor.data = before.clone()
        elif not overlapping and (version is None or tensor._version != version):
            with writing():
                tensor.copy_(before)  # an expanded tensor is a view and cannot be written to

    return restore


def _slots(value: object) -> Iterable[str]:
    """The names of the attributes that ``value`` keeps outside its ``__dict__``."""
    declared = [vars(kind).get("__slots__", ()) for kind in type(value).__mro__]
    names = [[slots] if isinstance(slots, str) else slots for slots in declared]
    return {name for group in names for name in group} - {"__dict__", "__weakref__"}


def _layout(tensor: torch.Tensor) -> Iterable[tuple[int, int]]:
    if tensor.layout != torch.strided:
        return ()
    return zip(tensor.stride(), tensor.shape, strict=True)


def _same(now: Iterable[tuple[Any, Any]], before: Iterable[tuple[Any, Any]]) -> bool:
    """Same keys in the same order with the very same values."""
    now, before = list(now), list(before)
    return len(now) == len(before) and all(
        a is c and b is d for (a, b), (c, d) in zip(now, before, strict=True)
    )


def _ignore(_: object) -> None:
    """Turn an expression with a value into a restore step."""
