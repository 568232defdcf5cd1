"""``find``: the learning rate of a task, made anew for each repeat."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from stepsize.adapters.torch import distributed, random_state
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.probe import TorchProbe, check_model_and_optimizer
from stepsize.adapters.torch.setting import describe, first_batches, other_device
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import TaskError, require
from stepsize.finder import FindOptions, shown
from stepsize.finder import find as find_with
from stepsize.records import FindResult
from stepsize.tasks import LoadedTask, Task, load, make_task


def find(
    task: str | Callable[[int], Task] | LoadedTask,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    progress: bool = False,
    **options: Any,
) -> FindResult:
    """Find the learning rate of a task.

    Each repeat is made anew from its own seed, so that the interval also covers the
    initialisation, which :func:`find_lr` cannot vary. The caller's random states are untouched.

    Args:
        task: a built-in task's name, ``"path/to/file.py:callable"``, ``"package.module:callable"``
            or a callable ``make(seed) -> Task``. Repeat r is made with ``seed + r``.
        recipe: accumulation, precision and clipping.
        progress: show a progress bar on standard error.
        options: fields of :class:`FindOptions`: ``ladder``, ``repeats``, ``stop``, ``seed``, ...

    Raises:
        TaskError: the task cannot be made.
        InputError: an option that makes no sense, or a held-out objective without validation data.

    >>> find("digits", repeats=1).verdict
    'ok'
    """
    search = FindOptions.of(clock=distributed.clock, **options)
    back = random_state.remember()  # before the task's file is run: it may seed
    try:
        loaded = loaded_task(task)
        with distributed.telling(), shown(search, progress and distributed.rank() == 0) as watched:
            return _search(loaded, watched, recipe)
    finally:
        back()


def _search(loaded: LoadedTask, search: FindOptions, recipe: Recipe) -> FindResult:
    first = made_task(loaded, search.seed, "range-tested")
    require(
        not search.held_out_every or first.val is not None,
        f"A held-out objective needs validation data, and {loaded.name} has none (val=None).",
    )

    streams = ExitStack()  # closed at the end, and worker processes with them

    def make_probe(repeat: int) -> TorchProbe:
        made = made_task(loaded, search.seed + repeat, "range-tested") if repeat else first
        batches = Batches(made.train, other_device(made.model))
        streams.callback(batches.close)
        return TorchProbe(
            made.model,
            made.optimizer,
            made.loss,
            batches,
            recipe=recipe,
            held_out=first_batches(made.val if search.held_out_every else None, made.model),
            seed=search.seed + repeat,
        )

    with streams:
        return find_with(
            make_probe,
            search,
            task=loaded.name,
            group_ratios=GroupRates(first.optimizer).ratios,
            settings=describe(first.model, first.optimizer, recipe),
        )


def made_task(loaded: LoadedTask, seed: int, purpose: str) -> Task:
    """One instance of the task, under its own seed.

    Raises:
        TaskError: it cannot be made, or not be used for ``purpose``.
    """
    with random_state.seeded(seed):
        task = make_task(loaded, seed)
    try:
        check_model_and_optimizer(task.model, task.optimizer)
    except ValueError as error:
        raise TaskError(f"The task {loaded.name} cannot be {purpose}. {error}") from error
    return task


def loaded_task(task: str | Callable[[int], Task] | LoadedTask) -> LoadedTask:
    """The task behind a name, a callable, or what was loaded already."""
    if isinstance(task, LoadedTask):
        return task
    if isinstance(task, str):
        return load(task)
    require(callable(task), f"A task is a name or a callable make(seed) -> Task, got {task!r}.")
    return LoadedTask(getattr(task, "__name__", type(task).__name__), task)
