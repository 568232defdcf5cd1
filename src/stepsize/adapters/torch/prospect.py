"""What is known of a task before it is trained: its length, its metrics, and which task it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.setting import peek
from stepsize.adapters.torch.task_digest import LOOKED_AT, task_digest
from stepsize.adapters.torch.trials import check_judged, evaluate, updates_per_epoch
from stepsize.adapters.torch.update import Recipe
from stepsize.tasks import LoadedTask
from stepsize.tasks.code import code_of
from stepsize.tasks.explain import explained

#: Always the same: the digest must not depend on the seeds that are asked for.
_SEED = 0


@final
@dataclass(frozen=True)
class Prospect:
    """A task, made once and looked at.

    Attributes:
        loaded: how to make it, with the files of its code.
        updates_per_epoch: optimizer updates in a pass.
        metrics: what the ranking may be by: validation's loss and metrics.
        source: a digest of the task (see :func:`task_digest`): one that was edited is another
            task, and its earlier runs do not count.
    """

    loaded: LoadedTask
    updates_per_epoch: int
    metrics: tuple[str, ...]
    source: str


def prospect(loaded: LoadedTask, recipe: Recipe) -> Prospect:
    """Make the task once and look at it.

    Raises:
        TaskError: it cannot be made, has no training batch or no validation data.
    """
    task = made_task(loaded, _SEED, "compared")
    check_judged(task, loaded.name)
    assert task.val is not None  # checked
    with explained(loaded, "when it was looked at before any run"):
        updates = updates_per_epoch(task, recipe)
        held_out = peek(task.val, LOOKED_AT)
        values = evaluate(task, held_out[:1], recipe, "val_")
        known = replace(loaded, code=code_of(loaded))  # what is imported later is another's
        source = task_digest(known, task, held_out, values)
    return Prospect(known, updates, tuple(values), source)
