"""One instance of a task, ready to be driven."""

from __future__ import annotations

from stepsize.adapters.torch import random_state, threads
from stepsize.adapters.torch.probe import check_model_and_optimizer
from stepsize.errors import TaskError
from stepsize.tasks import LoadedTask, Task, make_task


def made_task(loaded: LoadedTask, seed: int, purpose: str) -> Task:
    """One instance of the task, under its own seed, made by the threads that make tasks.

    Raises:
        TaskError: it cannot be made, or not be used for ``purpose``.

    >>> from stepsize.tasks import load
    >>> made_task(load("digits"), 0, "trained").model[0]
    Linear(in_features=64, out_features=64, bias=True)
    """
    with random_state.seeded(seed), threads.making():
        task = make_task(loaded, seed)
    try:
        check_model_and_optimizer(task.model, task.optimizer)
    except ValueError as error:
        raise TaskError(f"The task {loaded.name} cannot be {purpose}. {error}") from error
    return task
