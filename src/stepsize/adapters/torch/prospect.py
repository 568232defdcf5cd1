"""What is known of a task before it is trained: its length, its metrics, and which task it is."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from stepsize.adapters.torch.find_task import made_task
from stepsize.adapters.torch.trials import updates_per_epoch, weights_digest
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import TaskError
from stepsize.tasks import BUILTIN, LoadedTask, Task

#: Always the same: the digest must not depend on the seeds that are asked for.
_SEED = 0


@final
@dataclass(frozen=True)
class Prospect:
    """A task, made once and looked at.

    Attributes:
        loaded: how to make it.
        updates_per_epoch: optimizer updates in a pass.
        metrics: what an evaluation reports.
        source: a digest of the task's code, its initial weights and its optimizer's settings: a
            task that was edited is another task, and its earlier runs do not count.
        has_test: whether there is a test set.
    """

    loaded: LoadedTask
    updates_per_epoch: int
    metrics: tuple[str, ...]
    source: str
    has_test: bool


def prospect(loaded: LoadedTask, recipe: Recipe) -> Prospect:
    """Make the task once and look at it.

    Raises:
        TaskError: it cannot be made, has no training batch or no validation data.
    """
    task = made_task(loaded, _SEED, "compared")
    if task.val is None:
        raise TaskError(
            f"A comparison judges by validation data, and {loaded.name} has none (val=None). Hold "
            "a part of the training data out: Task(..., val=batches)."
        )
    return Prospect(
        loaded=loaded,
        updates_per_epoch=updates_per_epoch(task, recipe),
        metrics=("train_loss", "val_loss", *(f"val_{name}" for name in task.metrics)),
        source=_digest(loaded, task),
        has_test=task.test is not None,
    )


def _digest(loaded: LoadedTask, task: Task) -> str:
    digest = hashlib.sha256()
    for part in _parts(loaded, task):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:20]


def _parts(loaded: LoadedTask, task: Task) -> Iterator[str]:
    yield weights_digest(task.model)
    yield repr(task.model)  # layers without weights too, such as a dropout's share
    yield repr([_settings(group) for group in task.optimizer.param_groups])
    yield f"{type(task.optimizer).__qualname__} {_length(task.train)} {_length(task.val)}"
    if loaded.name in BUILTIN:
        return
    for file in sorted(file for file in loaded.files if Path(file).is_file()):
        yield Path(file).read_text(encoding="utf-8", errors="replace")
    if not loaded.files:
        yield _code(loaded.make)


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _length(batches: Any) -> int | None:
    try:
        return len(batches)
    except Exception:  # noqa: BLE001 - a loader over a stream raises whatever it likes here
        return None


def _code(make: Any) -> str:
    """What can be seen of a callable: its source, and the plain values that it closes over."""
    try:
        text = inspect.getsource(make)
    except (OSError, TypeError):
        text = repr(getattr(make, "__qualname__", type(make).__qualname__))
    plain = (bool, int, float, str, bytes, tuple, type(None))
    cells = getattr(make, "__closure__", None) or ()
    values = [cell.cell_contents for cell in cells if isinstance(_contents(cell), plain)]
    values += [make.args, make.keywords] if hasattr(make, "keywords") else []
    return f"{text}{values!r}"


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return object()
