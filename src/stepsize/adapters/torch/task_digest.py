"""Which task this is: a digest that changes when what would be trained changes."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepsize.adapters.torch.setting import peek
from stepsize.adapters.torch.trials import batches_digest, weights_digest
from stepsize.tasks import LoadedTask, Task
from stepsize.tasks.code import code_of, content_of

#: How many batches of the training and of the validation data are looked at.
LOOKED_AT = 8
#: Where in memory an object lies, in a text that ought to be the same in the next process.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def task_digest(
    loaded: LoadedTask, task: Task, held_out: Sequence[Any], values: Mapping[str, float]
) -> str:
    """A digest of a freshly made task: weights, model, optimizer, data, first values, and code.

    The code is that of the user's files and of what they import from beside them; of a callable,
    the file that it is written in, and the values that it holds. What a task reads at run time,
    beyond its first batches, is not seen.

    Args:
        loaded: how it was made.
        task: made, and not trained.
        held_out: its first :data:`LOOKED_AT` validation batches.
        values: its loss and metrics before training.
    """
    digest = hashlib.sha256()
    for part in itertools.chain(_content(task, held_out), _values(values), _code(loaded)):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:20]


def _content(task: Task, held_out: Sequence[Any]) -> Iterator[str]:
    yield weights_digest(task.model)
    yield _text(task.model)  # layers without weights too, such as a dropout's share
    for group in task.optimizer.param_groups:
        yield _text({name: value for name, value in group.items() if name != "params"})
    yield type(task.optimizer).__qualname__
    for batches, first in ((task.train, peek(task.train, LOOKED_AT)), (task.val, held_out)):
        yield str(_length(batches))
        yield batches_digest(first)


def _values(values: Mapping[str, float]) -> Iterator[str]:
    for name, value in values.items():  # other machines compute other last digits
        yield f"{name} {value:.4g}"


def _code(loaded: LoadedTask) -> Iterator[str]:
    if loaded.is_builtin:
        return
    if loaded.imports is None:
        yield from _held(loaded.make, {})
    for file in code_of(loaded):
        yield content_of(file).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def _held(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """What a callable or an object of the user's holds, as texts.

    Args:
        value: it, or a part of it.
        seen: what was looked at, kept so that no other object gets its number.
    """
    if isinstance(value, _PLAIN):
        yield repr(value)
        return
    if id(value) in seen:
        return
    seen[id(value)] = value
    yield type(value).__qualname__
    for part in _parts(value):
        yield from _held(part, seen)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value
    elif hasattr(value, "tobytes") or hasattr(value, "untyped_storage"):
        yield batches_digest([value])
    elif hasattr(value, "func") and hasattr(value, "keywords"):  # a partial
        yield from (value.func, value.args, value.keywords)
    elif inspect.ismethod(value):
        yield from (value.__func__, value.__self__)
    elif inspect.isfunction(value):
        code = value.__code__
        yield from (code.co_code, [c for c in code.co_consts if isinstance(c, _PLAIN)])
        yield from (code.co_names, value.__defaults__, value.__kwdefaults__)
        yield from (_contents(cell) for cell in value.__closure__ or ())
    elif not inspect.isclass(value) and not inspect.ismodule(value):
        yield from (type(value).__qualname__, getattr(value, "__dict__", None))


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _text(value: object) -> str:
    return _ADDRESS.sub("", repr(value))


def _length(batches: Any) -> int | None:
    try:
        return len(batches)
    except Exception:  # noqa: BLE001 - a loader over a stream raises whatever it likes here
        return None
