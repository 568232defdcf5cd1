"""From the name of a task to the callable that makes it, and from there to the task."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import operator
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, final

from stepsize.errors import InputError, StepsizeError, TaskError, did_you_mean
from stepsize.tasks.blame import blame, defined_at, files_of
from stepsize.tasks.builtin import BUILTIN, names
from stepsize.tasks.task import Task
from stepsize.tasks.user_imports import UserImports, run_file

_FORMS = "a built-in name, path/to/file.py:callable or package.module:callable"


@final
@dataclass(frozen=True)
class LoadedTask:
    """A task that was found and can be made.

    Attributes:
        name: the reference it was loaded by.
        make: ``make(seed) -> Task``, as the user wrote it. Use :func:`make_task` to have its
            errors explained.
        files: the user's files, in which the place of an error is looked for.
        imports: knows what else was imported from beside them; None for a callable.
        code: the files of its code, once it was looked at (see
            :func:`stepsize.tasks.code.code_of`); None until then.
    """

    name: str
    make: Callable[[int], Task]
    files: frozenset[str] = field(default=frozenset(), repr=False)
    imports: UserImports | None = field(default=None, repr=False, compare=False)
    code: tuple[str, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def is_builtin(self) -> bool:
        """Whether it came with the package."""
        return self.name in BUILTIN and BUILTIN[self.name].make is self.make


def load(reference: str) -> LoadedTask:
    """Find the task that ``reference`` names.

    Args:
        reference: a built-in name, ``path/to/file.py:callable`` or ``package.module:callable``.

    A file may import the modules that lie beside it, while it is loaded and while it makes its
    task; a module may lie in the current folder. What is imported from beside a file cannot be
    imported by others: worker processes that start afresh (``spawn``) need a real
    ``package.module``.

    Raises:
        TaskError: nothing has that name, the file or module cannot be imported, or what it names
            cannot be called.

    >>> load("digits").name
    'digits'
    """
    if not reference.strip():
        raise TaskError(f"A task is named by {_FORMS}; got {reference!r}.")
    if reference in BUILTIN:
        return LoadedTask(reference, BUILTIN[reference].make)
    place, attribute = _split(reference)
    imports, module = _from_file(place) if is_path(place) else _from_module(place)
    make = _callable_in(module, attribute, reference)
    return LoadedTask(reference, _importing(imports, make), files_of(module, make), imports)


def make_task(loaded: LoadedTask, seed: int) -> Task:
    """Make the task for ``seed``, explaining what goes wrong in the user's code.

    The original error stays attached as ``__cause__``.

    Raises:
        InputError: a seed that is not a whole number of at least 0.
        TaskError: the callable raises, does not take one seed, or returns something else.
        MissingDependencyError, DataError: the task needs something that is not there.

    >>> make_task(LoadedTask("mine", lambda seed: Task("m", "o", max, [seed])), 3).train
    [3]
    """
    seed = _checked_seed(seed)
    _check_signature(loaded)
    try:
        task = loaded.make(seed)
    except StepsizeError as error:
        if not isinstance(error, TaskError) or not loaded.files:
            raise  # its message already says what to do
        raise TaskError(f"The task {loaded.name}: {blame(error, loaded.files)}") from error
    except (Exception, SystemExit) as error:
        _let_go(error)
        raise TaskError(f"The task {loaded.name} raised {blame(error, loaded.files)}.") from error
    if not isinstance(task, Task):
        raise TaskError(
            f"The task {loaded.name} must return a stepsize Task, got {_described(task)}"
            f"{defined_at(loaded.make)}."
        )
    return task


def _let_go(error: BaseException) -> None:
    """Raise what SIGTERM has raised again: it ends the program, and is not the task's own."""
    if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
        raise error


def _checked_seed(seed: int) -> int:
    try:
        number = operator.index(seed)  # NumPy's integers are welcome, 1.0 is not
    except TypeError:
        number = -1
    if number < 0:
        raise InputError(f"A seed is a whole number of at least 0, got {seed!r}.")
    return number


def _split(reference: str) -> tuple[str, str]:
    """The file or module and the callable; the path may have colons of its own."""
    place, _, attribute = reference.rpartition(":")
    if place and all(part.isidentifier() for part in attribute.split(".")):
        return place, attribute
    if is_path(reference.rstrip(":")):
        path = reference.rstrip(":")
        if not _path(path).is_file():
            raise _no_file(path)
        raise TaskError(
            f"Say which callable in {path} makes the task, e.g. {path}:make."
            f"{_listed(_functions_of(_path(path)), '')}"
        )
    raise TaskError(
        f"There is no built-in task {reference!r}; there are {', '.join(names())}."
        f"{did_you_mean(reference.lower(), names())} A task is named by {_FORMS}."
    )


def is_path(place: str) -> bool:
    """Whether a task's place, the part before the colon, is a file and no module."""
    return place.endswith(".py") or "/" in place or os.sep in place or _path(place).is_file()


def _path(place: str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError:  # a ~name that nobody has
        return Path(place)


def _no_file(place: str) -> TaskError:
    path = _path(place)
    beside = [str(path.with_name(other.name)) for other in path.parent.glob("*.py")]
    return TaskError(f"There is no file {place}.{did_you_mean(str(path), beside)}")


def _from_file(place: str) -> tuple[UserImports, ModuleType]:
    path = _path(place)
    if not path.is_file():
        raise _no_file(place)
    path = path.resolve()  # a link finds the modules beside what it points to, as python does
    imports = UserImports(path.parent, private=True)
    try:
        with imports.active():
            return imports, run_file(path)
    except (Exception, SystemExit) as error:
        _let_go(error)
        raise TaskError(f"{place} raised {blame(error, {str(path)})} on import.") from error


def _from_module(name: str) -> tuple[UserImports, ModuleType]:
    imports = UserImports(Path.cwd(), private=False)  # as python -m has it
    files: set[str] = set()
    try:
        with imports.active():
            spec = None if name in sys.modules else importlib.util.find_spec(name)
            if spec is not None and spec.origin:
                files.add(spec.origin)
            return imports, importlib.import_module(name)
    except (Exception, SystemExit) as error:
        _let_go(error)
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise TaskError(
                f"There is no module {missing!r}, neither installed nor in the current folder. "
                f"A task is named by {_FORMS}."
            ) from error
        raise TaskError(f"The module {name} raised {blame(error, files)} on import.") from error


def _callable_in(module: ModuleType, attribute: str, reference: str) -> Callable[[int], Any]:
    place = reference.rpartition(":")[0]
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            there = [name for name, thing in vars(module).items() if _is_own(thing, module)]
            raise TaskError(f"{place} has no {attribute!r}.{_listed(there, attribute)}")
        value = getattr(value, part)
    if not callable(value):
        advice = (
            f" Make it inside a function: def make(seed): ... return {attribute}."
            if isinstance(value, Task)
            else ""
        )
        raise TaskError(
            f"{reference} must be a callable make(seed) -> Task, got {_described(value)}.{advice}"
        )
    return value  # type: ignore[no-any-return]


def _is_own(thing: object, module: ModuleType) -> bool:
    """Whether ``thing`` is a callable written in ``module``, not one imported into it."""
    return callable(thing) and getattr(thing, "__module__", None) == module.__name__


def _functions_of(path: Path) -> list[str]:
    """The functions at the top of a file, read without running it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def _listed(there: Iterable[str], wanted: str) -> str:
    public = [name for name in there if not name.startswith("_")]
    if not public:
        return " It defines no function."
    return f"{did_you_mean(wanted, public)} It defines {', '.join(public)}."


def _importing(imports: UserImports, make: Callable[[int], Any]) -> Callable[[int], Any]:
    """``make`` with the user's modules importable while it runs."""

    @functools.wraps(make)
    def make_importing(seed: int) -> Any:
        with imports.active():
            return make(seed)

    return make_importing


def _check_signature(loaded: LoadedTask) -> None:
    try:
        signature = inspect.signature(loaded.make)
    except (TypeError, ValueError):
        return  # callables written in C need not tell their signature
    try:
        signature.bind(0)
    except TypeError as error:
        raise TaskError(
            f"The task {loaded.name} is made by calling it with the seed alone, but its signature "
            f"is {signature}: {error}{defined_at(loaded.make)}."
        ) from error


def _described(value: object) -> str:
    if value is None:
        return "None (is there a return missing?)"
    if inspect.iscoroutine(value):
        value.close()  # it would warn that nobody awaited it
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, tuple):
        return f"a tuple ({', '.join(type(item).__name__ for item in value)})"
    return f"an object of type {type(value).__name__}"
