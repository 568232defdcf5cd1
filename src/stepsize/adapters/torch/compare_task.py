"""``compare``: schedules on a task, trained fairly and ranked with intervals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.comparing import Comparing
from stepsize.adapters.torch.engine.run_engine import RunEngine
from stepsize.adapters.torch.find_task import loaded_task
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import (
    DEFAULT_ARMS,
    STUDIES,
    Arm,
    CompareOptions,
    Study,
    Watcher,
    Watchers,
    arms_of,
    environment,
)
from stepsize.comparison.progress import shown
from stepsize.engines import EngineChoice
from stepsize.errors import InputError, TaskError, did_you_mean
from stepsize.records import Comparison
from stepsize.schedules import Schedule
from stepsize.store import Store
from stepsize.tasks import BUILTIN, LoadedTask, Task

#: Where runs are kept unless another place is named.
DEFAULT_STORE = "stepsize.db"


def compare(
    task: str | Callable[[int], Task] | LoadedTask | Study,
    schedules: Iterable[Arm | Schedule | str] | None = None,
    epochs: int | None = None,
    seeds: int | Iterable[int] | None = None,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    store: str | Path | None = DEFAULT_STORE,
    engine: EngineChoice | str = "auto",
    progress: bool = False,
    watchers: Sequence[Watcher] = (),
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Comparison:
    """Train a task under several schedules and rank them, with intervals.

    For each seed every schedule starts from the same weights and sees the same batches in the same
    order, for the same number of updates; so differences are taken seed by seed. Validation data
    alone decides. Every update lands in a database as it happens: the same call again keeps the
    runs that are finished and goes on with those that are not. The caller's random states are
    untouched.

    Args:
        task: a built-in task or study by name, ``"path/to/file.py:callable"``,
            ``"package.module:callable"``, a callable ``make(seed) -> Task``, or a :class:`Study`.
        schedules: what to compare: texts such as ``"cosine(0.1)"`` or ``"mine: rex(lr)"``,
            schedules, or :class:`Arm`. ``lr``, ``base_lr`` and ``max_lr`` in a text are what
            :func:`find` says. None takes the study's, or five common ones at the rate found.
        epochs: passes through the training batches; a study has its own.
        seeds: three by default.
        recipe: accumulation, precision and clipping.
        store: the database's file; None keeps nothing.
        engine: how runs are made: ``"serial"``, ``"fused"``, ``"processes"``, ``"processes:4"``,
            ``"dask://host:port"``, or ``"auto"``, which measures a few updates and takes what is
            quickest.
        progress: show bars and the current ranking on standard error.
        watchers: are told what happens.
        settings: further facts for the record.
        options: fields of :class:`CompareOptions`: ``metric``, ``at``, ``interval``,
            ``rate_factors``, ...

    Raises:
        InputError: an option or schedule that makes no sense, a schedule of another length.
        TaskError: the task cannot be made, or has no validation data.
        StoreError: the database cannot be used.
        EngineError: the engine's workers cannot be reached, or are lost again and again.

    >>> result = compare("digits", ["linear(0.3)", "constant(0.001)"], epochs=1, store=None)
    >>> result.best.arm, [row.place for row in result.ranking]
    ('linear(0.3)', ['best', 'worse'])
    """
    choice = EngineChoice.of(engine)
    named = _study(task) if isinstance(task, str) else task
    study = named if isinstance(named, Study) else None
    back = random_state.remember()  # before the task's file is run: it may seed
    try:
        asked = _asked(study, schedules, epochs, seeds, options)
        base = loaded_task(study.task if study is not None else task)  # type: ignore[arg-type]
        with (
            TemporaryDirectory() as aside,
            Store(store or Path(aside) / "runs.db") as opened,
            shown(progress) as bars,
            closing(Watchers([*watchers, *bars])) as watcher,
            closing(RunEngine(choice, recipe, opened, environment(), watcher)) as runs,
        ):
            work = Comparing(base, asked.options, recipe, opened, runs, watcher)
            result = work.compared(asked.arms, settings or {})
            return result if store else replace(result, store="")
    finally:
        back()


def _study(name: str) -> Study | None:
    """The study of that name; a bare name that nothing has is told here, with what is near."""
    known = [*STUDIES, *BUILTIN]
    if name in known or not re.fullmatch(r"[\w-]+", name):
        return STUDIES.get(name)
    raise TaskError(
        f"There is no built-in task or study {name!r:.80}.{did_you_mean(name, known)} "
        "'stepsize tasks' lists them; one of your own is path/to/file.py:callable."
    )


class _Asked(NamedTuple):
    arms: tuple[Arm, ...]
    options: CompareOptions


def _asked(
    study: Study | None,
    schedules: Iterable[Arm | Schedule | str] | None,
    epochs: int | None,
    seeds: int | Iterable[int] | None,
    options: Mapping[str, Any],
) -> _Asked:
    """The arms and options, with the study's where the user said nothing."""
    if study is not None:
        schedules = study.arms if schedules is None else schedules
        epochs = study.epochs if epochs is None else epochs
        seeds = study.seeds if seeds is None else seeds
        options = {"name": study.name, **options}
    if epochs is None:
        raise InputError("How many epochs is a run? Say it: epochs=20, or --epochs 20.")
    arms = arms_of(DEFAULT_ARMS if schedules is None else schedules)
    given: Any = () if seeds is None else (seeds,)
    return _Asked(arms, CompareOptions(epochs, *given, **options))
