"""What arms are judged by: the validation, or a first part of it, and what that costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.setting import peek
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.evaluation import evaluate, examples_in
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import TaskError
from stepsize.tasks import Task

#: A forward and a backward pass compute about as much as this many forward passes.
PASSES = 3.0


@final
@dataclass(frozen=True, slots=True)
class Validation:
    """How much of a task's validation is evaluated.

    Attributes:
        batches: the first so many; None for all.
        updates: what an evaluation costs, as the number of updates that compute as much.
    """

    batches: int | None
    updates: float

    def loss(self, task: Task, recipe: Recipe) -> float:
        """The mean loss; nothing is left behind."""
        assert task.val is not None  # checked when it was made
        judged = replace(task, metrics={})
        batches = task.val if self.batches is None else FirstBatches(task.val, self.batches)
        return evaluate(judged, batches, recipe, "val_")["val_loss"]


def validation_of(task: Task, recipe: Recipe, most_updates: float) -> Validation:
    """As much of the validation as costs at most ``most_updates``, and one batch at least.

    A forward pass over n examples costs n / (3 x the examples of an update); a batch without
    countable examples counts as a batch of the training. Counting leaves no trace.

    Raises:
        TaskError: there is no batch.

    >>> from stepsize.tasks import load, make_task
    >>> validation_of(make_task(load("digits"), 0), Recipe(), 10.0)
    Validation(batches=None, updates=3.75)
    """
    assert task.val is not None
    [batch] = peek(task.train, 1)
    usual = examples_in(batch)
    update = PASSES * recipe.accumulate * (usual or 1)
    count, total = 0, 0.0
    with Transaction(loader=task.val):
        random_state.seed(0)
        for held_out in task.val:
            examples = examples_in(held_out) if usual else None
            cost = (usual or 1 if examples is None else examples) / update
            if count and total + cost > most_updates:
                return Validation(count, total)
            count, total = count + 1, total + cost
    if count == 0:
        raise TaskError("Task.val is empty: it gave no example to evaluate.")
    return Validation(None, total)


@final
@dataclass(frozen=True)
class FirstBatches:
    """The first batches of a loader, each time it is iterated."""

    loader: Iterable[Any]
    count: int

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.loader, self.count)
