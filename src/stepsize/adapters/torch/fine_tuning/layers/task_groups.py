"""The layer groups of a task's model: in the order in which the loss of a batch uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.find_task import loaded_task
from stepsize.adapters.torch.fine_tuning.layers.group_layers import groups
from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.setting import other_device, peek
from stepsize.fine_tuning import LayerGroups
from stepsize.tasks import LoadedTask, Task
from stepsize.tasks.explain import explained


def task_groups(task: str | LoadedTask, seed: int = 0) -> LayerGroups:
    """The layer groups of the model of ``task``; it is made and looked at, not trained.

    The caller's random states are untouched.

    Args:
        task: a built-in task by name, ``"path/to/file.py:callable"``,
            ``"package.module:callable"``, or what was loaded already.
        seed: to make it with.

    Raises:
        TaskError: it cannot be made, or its loss cannot be computed.

    >>> task_groups("digits").names
    ('0', '2')
    """
    back = random_state.remember()  # before the task's file is run: it may seed
    try:
        loaded = loaded_task(task)
        return groups_in(loaded, made_task(loaded, seed, "fine-tuned"))
    finally:
        back()


def groups_in(loaded: LoadedTask, made: Task) -> LayerGroups:
    """The layer groups of the model of a task that was ``made``."""
    with explained(loaded, "when its layers were looked for"):
        return groups(made.model, forward_of(made))


def forward_of(task: Task) -> Callable[[Any], Any]:
    """A forward pass of a model, as ``example`` for the model of ``task``: the loss of a batch.

    It is a batch of the validation where there is one, so that the training's loader rests.
    """
    held_out = [] if task.val is None else peek(task.val, 1)
    batch = (held_out or peek(task.train, 1))[0]
    device = other_device(task.model)
    on_device = batch if device is None else to_device(batch, device)
    loss = task.loss
    return lambda model: loss(model, on_device)
