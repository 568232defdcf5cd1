"""What a model is worth after an epoch: the loss and the metrics over held-out batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.memento import Memento
from stepsize.adapters.torch.setting import other_device
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.errors import TaskError
from stepsize.tasks import Task


def evaluate(task: Task, batches: Iterable[Any], recipe: Recipe, prefix: str) -> dict[str, float]:
    """The means of the loss and of every metric over ``batches``, in eval mode, without gradients.

    Each batch counts by its examples: the first dimension of its first tensor; batches without
    one count as one. The random generators are seeded, so that a shuffled or random validation is
    the same each time. Nothing is left behind: modes, buffers, random states, what the loss and the
    metrics keep, and the loader's own state come back.

    Args:
        task: its model is evaluated as it is, by its loss and its metrics.
        batches: a loader.
        recipe: its precision is used.
        prefix: put before the names, such as ``val_``.

    Raises:
        TaskError: no batch at all.

    >>> from stepsize.tasks import load, make_task
    >>> task = make_task(load("digits"), 0)
    >>> list(evaluate(task, task.val, Recipe(), "val_"))
    ['val_loss', 'val_accuracy']
    """
    with evaluating(task, batches, recipe):
        return _means(task, batches, prefix)


@contextlib.contextmanager
def evaluating(task: Task, batches: Iterable[Any], recipe: Recipe) -> Iterator[None]:
    """In the block a task can be evaluated on ``batches``; nothing is left behind after it."""
    before = Memento(leave=task.model.parameters())  # evaluating does not write to those
    for thing in (task.model, task.loss, *task.metrics.values()):
        before.add(thing)
    enclosed = ObjectState(task.loss, *task.metrics.values())  # a memento does not look into those
    state = enclosed.take(containers=False)
    try:
        with Transaction(loader=batches), torch.no_grad(), _precision(task, recipe):
            random_state.seed(0)
            task.model.eval()
            yield
    finally:
        enclosed.put(state)
        before.restore()


def _means(task: Task, batches: Iterable[Any], prefix: str) -> dict[str, float]:
    device = other_device(task.model)
    functions = {"loss": task.loss, **task.metrics}
    sums = dict.fromkeys(functions, 0.0)
    total = 0.0
    for given in batches:
        batch = given if device is None else to_device(given, device)
        examples = examples_in(batch)
        weight = 1.0 if examples is None else float(examples)
        total += weight
        for name, function in functions.items():
            sums[name] += weight * float(function(task.model, batch))
    if total == 0.0:
        raise TaskError(f"Task.{prefix.rstrip('_')} is empty: it gave no example to evaluate.")
    return {f"{prefix}{name}": value / total for name, value in sums.items()}


def examples_in(batch: Any) -> int | None:
    """The first dimension of the first tensor; None where there is no such.

    >>> examples_in({"names": ["a", "b"], "pixels": torch.zeros(2, 64)})
    2
    """
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.dim() else None
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, (list, tuple)):
        return next((count for count in map(examples_in, batch) if count is not None), None)
    return None


def _precision(task: Task, recipe: Recipe) -> contextlib.AbstractContextManager[Any]:
    if recipe.autocast is None:
        return contextlib.nullcontext()
    return torch.autocast(device_of(task.model).type, dtype=recipe.autocast)
