"""``find``: the learning rate of a task, made anew for each repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stepsize.adapters.torch import distributed, random_state
from stepsize.adapters.torch.engine.choose import check_alone
from stepsize.adapters.torch.find_engine import sweeps_of
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.repeats import Repeats
from stepsize.adapters.torch.setting import describe
from stepsize.adapters.torch.update import Recipe
from stepsize.engines import EngineChoice
from stepsize.errors import require
from stepsize.finder import FindOptions, shown
from stepsize.finder import find as find_with
from stepsize.records import FindResult
from stepsize.tasks import LoadedTask, Task, load


def find(
    task: str | Callable[[int], Task] | LoadedTask,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    engine: EngineChoice | str = "auto",
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
        engine: how the repeats are made: ``"serial"``, ``"fused"`` (as one batched model),
            ``"processes"``, ``"processes:N"``, ``"dask://host:port"``, or ``"auto"``, which
            measures a few updates and takes the quickest. The curves are the same:
            to float tolerance if fused, to the last bit otherwise (with as many threads). What
            cannot be fused is made serially, and a note says why; so is a single repeat.
        progress: show a progress bar on standard error.
        options: fields of :class:`FindOptions`: ``ladder``, ``repeats``, ``stop``, ``seed``, ...

    Raises:
        TaskError: the task cannot be made.
        InputError: an option that makes no sense, a held-out objective without validation data, or
            an engine that cannot be had: a task that cannot be sent to other processes, or several
            ranks of ``torch.distributed``.
        EngineError: the engine's workers were lost.

    >>> find("digits", repeats=1).verdict
    'ok'
    """
    asked = EngineChoice.of(engine)
    check_alone(asked)
    search = FindOptions.of(clock=distributed.clock, **options)
    back = random_state.remember()  # before the task's file is run: it may seed
    try:
        loaded = loaded_task(task)
        with distributed.telling(), shown(search, progress and distributed.rank() == 0) as watched:
            return _search(loaded, watched, recipe, asked)
    finally:
        back()


def _search(
    loaded: LoadedTask, search: FindOptions, recipe: Recipe, asked: EngineChoice
) -> FindResult:
    with Repeats(loaded, search, recipe) as repeats, sweeps_of(repeats, asked) as chosen:
        first = repeats.first
        settings = describe(first.model, first.optimizer, recipe)
        result = find_with(
            chosen.sweeps,
            search,
            task=loaded.name,
            group_ratios=GroupRates(first.optimizer).ratios,
            settings={**settings, "engine": str(chosen.engine)},
        )
    return replace(result, notes=(*result.notes, *chosen.notes))


def loaded_task(task: str | Callable[[int], Task] | LoadedTask) -> LoadedTask:
    """The task behind a name, a callable, or what was loaded already."""
    if isinstance(task, LoadedTask):
        return task
    if isinstance(task, str):
        return load(task)
    require(callable(task), f"A task is a name or a callable make(seed) -> Task, got {task!r}.")
    return LoadedTask(getattr(task, "__name__", type(task).__name__), task)
