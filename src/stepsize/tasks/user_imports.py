"""Importing a user's file and what lies beside it, leaving no trace.

Plain ``sys.path.insert`` would do the importing, but it leaves compiled files in the user's folder,
and a ``utils.py`` beside one task would answer to the ``import utils`` of the next.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any, final

#: Beginning of the names under which users' files are kept in ``sys.modules``.
PREFIX = "stepsize_task_"


class _QuietLoader(SourceFileLoader):
    """Loads source without writing the compiled file beside it."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing."""


@final
class UserImports:
    """A folder that can be imported from inside ``with imports.active():``.

    Args:
        folder: the folder, absolute.
        private: whether the modules found there leave ``sys.modules`` again afterwards. They are
            remembered, so a second block sees the same modules as the first.
    """

    def __init__(self, folder: Path, *, private: bool) -> None:
        self._folder = str(folder)
        # What can be imported anyway must not exist twice.
        self._private = private and self._folder not in sys.path
        self._modules: dict[str, ModuleType] = {}

    @property
    def folder(self) -> str:
        """The folder."""
        return self._folder

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the folder importable; ``sys.path`` and its hooks are given back at the end."""
        for name, module in self._modules.items():
            sys.modules.setdefault(name, module)
        before = set(sys.modules) - set(self._modules)
        finders = dict(sys.path_importer_cache)
        sys.path.insert(0, self._folder)
        sys.path_hooks.insert(0, self._hook)
        sys.path_importer_cache.pop(self._folder, None)
        try:
            yield
        finally:
            sys.path.remove(self._folder)
            sys.path_hooks.remove(self._hook)
            self._forget_finders(finders)
            if self._private:
                self._take_modules(before)

    def files(self) -> frozenset[str]:
        """The source files of what was imported from the folder so far."""
        modules = [*self._modules.values(), *sys.modules.copy().values()]
        files = (getattr(module, "__file__", None) for module in modules)
        return frozenset(file for file in files if isinstance(file, str) and self._owns(file))

    def _owns(self, path: str) -> bool:
        """Whether ``path`` lies in the folder, and in no nearer one that is on ``sys.path``.

        A virtual environment inside the project folder is the usual nearer one; it keeps its
        compiled files, without which importing torch takes many times as long.
        """
        place = Path(path)
        if not place.is_relative_to(self._folder):
            return False
        nearer = (Path(entry) for entry in sys.path if len(entry) > len(self._folder))
        return not any(place.is_relative_to(entry) for entry in nearer)

    def _hook(self, entry: str) -> FileFinder:
        if not self._owns(entry):
            raise ImportError("not beside the user's file", path=entry)
        return FileFinder(
            entry,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (_QuietLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )

    def _forget_finders(self, known: dict[str, Any]) -> None:
        for entry in [entry for entry in sys.path_importer_cache if self._owns(entry)]:
            del sys.path_importer_cache[entry]
            if entry in known:
                sys.path_importer_cache[entry] = known[entry]

    def _take_modules(self, before: set[str]) -> None:
        for name in set(sys.modules) - before:
            module = sys.modules[name]
            if not name.startswith(PREFIX) and any(map(self._owns, _places(module))):
                self._modules[name] = sys.modules.pop(name)


def _places(module: ModuleType) -> list[str]:
    """The file of a module, or the folders of a package without one."""
    file = getattr(module, "__file__", None)
    return [file] if file else [str(folder) for folder in getattr(module, "__path__", ())]


def run_file(path: Path) -> ModuleType:
    """Execute the file at ``path`` as a module under a name of its own.

    The name cannot clash with a real module's: ``random.py`` becomes
    ``stepsize_task_random_1f2e3d4c``. The module stays in ``sys.modules``, where dataclasses and
    pickle look for it, until the same file is run again.

    Raises:
        Exception: whatever the file raises; the name is gone from ``sys.modules`` then.
    """
    stem = re.sub(r"\W", "_", path.stem)
    name = f"{PREFIX}{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    loader = _QuietLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # a loader was given
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
