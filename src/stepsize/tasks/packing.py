"""Values as bytes for another process: by name what it can import, and the rest by value."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

from stepsize.errors import InputError


class Packed(NamedTuple):
    """A value as bytes.

    Attributes:
        content: the bytes, for :func:`unpacked`.
        modules: the names of the modules that will be imported for it.
    """

    content: bytes
    modules: frozenset[str]


def packed(value: Any, what: str = "what is sent") -> bytes:
    """The bytes of :func:`packing` alone.

    >>> unpacked(packed({"lr": 0.1}))
    {'lr': 0.1}
    """
    return packing(value, what).content


def unpacked(content: bytes) -> Any:
    """The value behind the bytes of :func:`packed`; runs code that they name.

    Raises:
        Exception: whatever its classes raise; what it names cannot be imported here.
    """
    return pickle.loads(content)  # noqa: S301 - bytes of our own processes


def packing(value: Any, what: str) -> Packed:
    """Pickle a value so that a process can read it that has this one's ``sys.path``.

    Functions and classes that it can import go by name. Those it cannot go by value, through
    cloudpickle: what is written in the script itself or in a notebook, lambdas and closures.

    Args:
        value: what to pack.
        what: the value in words, for errors.

    Raises:
        InputError: it cannot be pickled, or not without cloudpickle, which is not installed.

    >>> sorted(packing(os.path.join, "a function").modules)
    ['posixpath']
    """
    try:
        content, modules = _dumped(pickle.Pickler, value)
        why = ", ".join(sorted(_out_of_reach(modules)))
    except Exception as error:  # noqa: BLE001 - pickling calls the user's own code
        content, modules, why = b"", set(), f"{type(error).__name__}: {error}"
    if not why:
        return Packed(content, frozenset(modules))
    try:
        import cloudpickle  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise InputError(
            f"Other processes cannot import {what} ({why}). Write it into a module or a file and "
            "name it file.py:callable, or have it sent by value: pip install 'stepsize[processes]'."
        ) from None
    try:
        return _by_value(cloudpickle, value)
    except Exception as error:
        raise InputError(
            f"{what[:1].upper()}{what[1:]} cannot be sent to another process: "
            f"{type(error).__name__}: {error}. Write it into a file and name it file.py:callable, "
            "or make there what cannot be sent; engine='serial' sends nothing."
        ) from error


def _by_value(cloudpickle: Any, value: Any) -> Packed:
    """The bytes in which everything that others cannot import is spelled out."""
    spelled: set[str] = set()
    while True:
        registered = [name for name in spelled if name in sys.modules and name != "__main__"]
        for name in registered:
            cloudpickle.register_pickle_by_value(sys.modules[name])
        try:
            content, met = _dumped(cloudpickle.Pickler, value)
        finally:
            for name in registered:
                cloudpickle.unregister_pickle_by_value(sys.modules[name])
        more = _out_of_reach(met)
        if more <= spelled:
            return Packed(content, frozenset(met - spelled))
        spelled |= more


def _dumped(pickler: Callable[..., Any], value: Any) -> tuple[bytes, set[str]]:
    """The value pickled, and the modules of all functions and classes that were met."""
    met: set[str] = set()

    class Looking(pickler):  # type: ignore[misc, valid-type]
        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, (type, FunctionType)) and thing.__module__:
                met.add(thing.__module__)
            further = getattr(super(), "reducer_override", None)
            return NotImplemented if further is None else further(thing)

    file = io.BytesIO()
    Looking(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue(), met


def _out_of_reach(modules: set[str]) -> set[str]:
    """Those that a new process cannot import, or would find another file for."""
    return {name for name in modules if not _can_be_imported(name)}


def _can_be_imported(name: str) -> bool:
    if name == "__main__":
        return False
    module = sys.modules.get(name)
    file: str | None = getattr(module, "__file__", None)
    folder = hasattr(module, "__path__")  # a package; without a file, it is but a folder
    if not folder and (file is None or not file.endswith(".py")):
        return True  # built in, compiled, or made up as it is needed
    parent = name.rpartition(".")[0]
    if parent and not _can_be_imported(parent):
        return False
    path = getattr(sys.modules.get(parent), "__path__", ()) if parent else None
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
        if spec is not None:
            if file is None or not spec.has_location:  # a folder, or a part of Python
                return True
            return os.path.abspath(str(spec.origin)) == os.path.abspath(file)
    return False
