"""What the user's code does, as text that is the same in another process until the code changes."""

from __future__ import annotations

import functools
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch.trials.epoch_batches import digest

#: Containers with more inside are data: only their length is looked at.
_MOST_ITEMS = 1_000
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
#: Where code lies that is not the user's own; its versions are told by its bytes at most.
_INSTALLED = ("site-packages", sysconfig.get_paths()["stdlib"])


def code_text(value: Any) -> Iterator[str]:
    """The code of a function with the values that it holds, and of the functions that it names.

    Followed: nested functions, defaults, enclosed names, and globals of the user's own modules;
    plain values, containers and tensors by what is in them, other objects by their plain
    attributes. Installed packages are not followed.

    >>> def twice(x, by=2):
    ...     return by * x
    >>> before = list(code_text(twice)); twice.__defaults__ = (3,)
    >>> before == list(code_text(twice)), list(code_text([1, "a"]))
    (False, ['list', '1', "'a'"])
    """
    yield from _Reader().read(value)


class _Reader:
    """Reads each object once."""

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}  # holding an object keeps its id its own

    def read(self, value: Any) -> Iterator[str]:
        """The text of a value."""
        if isinstance(value, _PLAIN):
            yield repr(value)
        elif id(value) not in self._seen:
            self._seen[id(value)] = value
            yield from self._object(value)

    def _object(self, value: Any) -> Iterator[str]:
        if isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, MethodType):
            yield from self._each((value.__func__, value.__self__))
        elif isinstance(value, functools.partial):
            yield from self._each((value.func, value.args, value.keywords))
        elif isinstance(value, CodeType):
            yield from self._code(value)
        elif isinstance(value, torch.Tensor) or hasattr(value, "tobytes"):
            yield digest([value])
        elif isinstance(value, (list, tuple, set, frozenset, Mapping)):
            yield from self._container(value)
        elif isinstance(value, (type, ModuleType)) or not hasattr(value, "__dict__"):
            yield getattr(value, "__qualname__", None) or type(value).__qualname__
        else:
            yield from self._instance(value)

    def _container(self, value: Any) -> Iterator[str]:
        yield type(value).__qualname__
        if len(value) > _MOST_ITEMS:
            yield str(len(value))
        elif isinstance(value, (set, frozenset)):  # their order is another in each process
            yield from sorted(text for item in value for text in self.read(item))
        elif isinstance(value, Mapping):
            yield from self._each(item for pair in value.items() for item in pair)
        else:
            yield from self._each(value)

    def _instance(self, value: Any) -> Iterator[str]:
        """Its class, what it does when it is called, and its plain attributes."""
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__}"
        run = kind.forward if isinstance(value, nn.Module) else getattr(kind, "__call__", None)  # noqa: B004
        if isinstance(run, FunctionType):
            yield from self.read(run)
        yield from attributes_text(value, self)

    def _function(self, function: FunctionType) -> Iterator[str]:
        yield f"{function.__module__}.{function.__qualname__}"
        yield from self._code(function.__code__)
        yield from self._each((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                yield from self.read(cell.cell_contents)
            except ValueError:  # not filled yet
                yield "empty"
        if not any(place in function.__code__.co_filename for place in _INSTALLED):
            for name in sorted(_names(function.__code__)):
                if name in function.__globals__:
                    yield name
                    yield from self.read(function.__globals__[name])

    def _code(self, code: CodeType) -> Iterator[str]:
        yield code.co_code.hex()
        yield repr(code.co_names)
        yield from self._each(code.co_consts)

    def _each(self, values: Iterable[Any]) -> Iterator[str]:
        for value in values:
            yield from self.read(value)


def attributes_text(value: Any, reader: _Reader | None = None) -> Iterator[str]:
    """The attributes of an object that are plain, functions, or containers of such.

    >>> list(attributes_text(torch.nn.Dropout(0.25)))[4:6]
    ['p', '0.25']
    """
    known = reader or _Reader()
    followed = (*_PLAIN, FunctionType, functools.partial, list, tuple, set, dict)
    for name, item in sorted(vars(value).items()):
        if isinstance(item, followed) and name not in _REGISTERED and "_hooks" not in name:
            yield name
            yield from known.read(item)


#: Where a module keeps its parts, which are looked at by themselves.
_REGISTERED = frozenset({"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"})


def _names(code: CodeType) -> set[str]:
    """The names that a function uses, nested functions included."""
    inner = (_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*inner)
