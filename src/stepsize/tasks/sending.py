"""Tasks sent to other processes: not the task, but how it is found and made there."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from stepsize.errors import InputError
from stepsize.tasks.code import code_of, content_of
from stepsize.tasks.leftovers import folder_prefix
from stepsize.tasks.load import LoadedTask, is_path, load
from stepsize.tasks.packing import packing, unpacked
from stepsize.tasks.user_imports import PREFIX, UserImports

_HERE: dict[TaskDefinition, LoadedTask] = {}
#: Folders of code that came with definitions; they go when the process ends.
_FOLDERS: list[TemporaryDirectory[str]] = []
#: Modules that came with definitions, with a digest of the code they were imported from.
_IMPORTED: dict[str, str] = {}


@final
@dataclass(frozen=True)
class TaskDefinition:
    """A task as another process can load it; made by :func:`definition_of`, and can be pickled.

    Attributes:
        name: the task's.
        reference: a built-in name, ``/absolute/file.py:callable`` or ``package.module:callable``;
            empty for a callable, which is packed.
        packed: the callable, pickled.
        folder: where the modules lie that it imports; empty if that is not known.
        files: the user's files with their content, for a machine that does not have them.
        code: those of the files that tell it from a task that was edited.
        modules: names and files of the modules that were imported from those files.
    """

    name: str
    reference: str = ""
    packed: bytes = field(default=b"", repr=False)
    folder: str = ""
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    code: tuple[str, ...] = field(default=(), repr=False)
    modules: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def load(self) -> LoadedTask:
        """The task under its own name; a second call in one process loads nothing again.

        The user's files are used where they are, if they are there and have the same content; if
        not, they are written into a folder that goes when the process ends.

        Raises:
            TaskError: its file or module cannot be imported here.
            Exception: what a packed callable raises when it is unpacked.
        """
        if self not in _HERE:
            _HERE[self] = self._loaded()
        return _HERE[self]

    def _loaded(self) -> LoadedTask:
        there = self._there()
        self._forget_others()
        folder = there(self.folder) if self.folder else ""
        if folder and folder not in sys.path and not is_path(self.reference.rpartition(":")[0]):
            sys.path.insert(0 if folder != self.folder else len(sys.path), folder)
        if self.packed:
            made = LoadedTask(self.name, unpacked(self.packed))
        else:
            place, _, attribute = self.reference.rpartition(":")
            made = load(f"{there(place)}:{attribute}" if place else self.reference)
        return replace(made, name=self.name, code=tuple(map(there, self.code)))

    def _there(self) -> Callable[[str], str]:
        """Where a file or folder of the sender's is here."""
        if all(_same(file, content) for file, content in self.files):
            return lambda path: path
        root = TemporaryDirectory(prefix=folder_prefix())
        _FOLDERS.append(root)
        known = {os.path.dirname(file) for file, _ in self.files} | {self.folder}
        for file, content in self.files:
            place = _inside(root.name, file)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        known |= {file for file, _ in self.files}
        return lambda path: str(_inside(root.name, path)) if path in known else path

    def _forget_others(self) -> None:
        """Let modules be imported anew if this process has another version of one of them."""
        contents = dict(self.files)
        digests = {name: hashlib.sha256(contents[file]).hexdigest() for name, file in self.modules}
        if any(_is_another(name, contents[file], digests[name]) for name, file in self.modules):
            for name in digests:
                sys.modules.pop(name, None)
                package, _, own = name.rpartition(".")
                if package in sys.modules:
                    vars(sys.modules[package]).pop(own, None)
        _IMPORTED.update(digests)


def definition_of(loaded: LoadedTask) -> TaskDefinition:
    """How another process can load the task.

    A name is sent as it is, with the absolute path of a file. A callable is pickled: by name if it
    can be imported, else by value, for which cloudpickle must be installed.

    Raises:
        InputError: a callable that cannot be sent; says what to do.

    >>> from stepsize.tasks import load
    >>> definition_of(load("digits")).load().name
    'digits'
    """
    if loaded.is_builtin:
        return TaskDefinition(loaded.name, loaded.name)
    files = set(code_of(loaded)) | set(loaded.files)
    reference, folder, content = "", "", b""
    if loaded.imports is not None:
        folder = loaded.imports.folder
        reference = _absolute(loaded, folder)
    else:
        content, modules = packing(loaded.make, f"the task {loaded.name}")
        folder, more = _beside(modules)
        files |= more
    return TaskDefinition(
        name=loaded.name,
        reference=reference,
        packed=content,
        folder=folder,
        files=tuple((file, content_of(file)) for file in sorted(files)),
        code=code_of(loaded),
        modules=tuple(sorted(_modules_in(files))),
    )


def _absolute(loaded: LoadedTask, folder: str) -> str:
    """The reference, with the path of a file written out.

    Raises:
        InputError: the file is not there any more, or another one under that name.
    """
    place, _, attribute = loaded.name.rpartition(":")
    if not is_path(place):
        return loaded.name
    for path in (Path(place).expanduser().resolve(), Path(folder) / Path(place).name):
        if str(path) in loaded.files:
            return f"{path}:{attribute}"
    raise InputError(f"The file of the task {loaded.name} is not found any more, so not sent.")


def _beside(modules: Iterable[str]) -> tuple[str, set[str]]:
    """The folder of the user's own among the modules, and the files imported from there."""
    for name in sorted(modules):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and name.partition(".")[0] != "stepsize" and not _is_installed(file):
            levels = name.count(".") + (Path(file).name == "__init__.py")
            folder = Path(file).absolute().parents[levels]
            return str(folder), set(UserImports(folder, private=False).files())
    return "", set()


def _is_installed(file: str) -> bool:
    """Whether a file is Python's own or a package's that was installed."""
    roots = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(Path(file).is_relative_to(root) for root in roots if root)


def _modules_in(files: set[str]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for name, module in sys.modules.copy().items():
        file: Any = getattr(module, "__file__", None)
        if file in files and name != "__main__" and not name.startswith(PREFIX):
            found.add((name, file))
    return found


def _is_another(name: str, content: bytes, digest: str) -> bool:
    """Whether a module of that name is here that was imported from other code."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and (_IMPORTED.get(name, digest) != digest or not _same(file, content))


def _same(file: str, content: bytes) -> bool:
    try:
        return Path(file).read_bytes() == content
    except OSError:
        return False


def _inside(root: str, path: str) -> Path:
    """The place of a path inside another root; a cell of a notebook is a file there."""
    if os.path.isabs(path):
        return Path(root, *Path(path).parts[1:])
    return Path(root, "cells", f"{hashlib.sha256(path.encode()).hexdigest()[:12]}.py")
