"""A task made anew to be trained, the same each time."""

from __future__ import annotations

import torch

from stepsize.adapters.torch.made_task import made_task
from stepsize.errors import TaskError
from stepsize.tasks import LoadedTask, Task


def fresh_task(loaded: LoadedTask, seed: int) -> Task:
    """The task, with the initial weights that all trainings of its seed have.

    Raises:
        TaskError: it cannot be made, or not be judged.

    >>> from stepsize.tasks import load
    >>> fresh_task(load("digits"), 0).model[0]
    Linear(in_features=64, out_features=64, bias=True)
    """
    accelerator = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    task = _made(loaded, seed)
    if torch.cuda.is_initialized() is not accelerator:  # type: ignore[no-untyped-call]
        task = _made(loaded, seed)  # its generators could not be seeded before its first use
    return task


def _made(loaded: LoadedTask, seed: int) -> Task:
    task = made_task(loaded, seed, "trained")
    check_judged(task, loaded.name)
    return task


def check_judged(task: Task, name: str) -> None:
    """Raise TaskError unless the task can be judged by validation."""
    if task.val is None:
        raise TaskError(
            f"The task {name} has no validation batches (val=None), and it is judged "
            "by validation. Give Task a val=..., batches that are not trained on."
        )
    if "loss" in task.metrics:
        raise TaskError(
            f"The task {name} has a metric 'loss', but val_loss is the loss itself. "
            "Give the metric another name."
        )
