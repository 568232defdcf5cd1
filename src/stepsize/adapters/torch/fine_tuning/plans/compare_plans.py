"""``compare_plans``: transfer plans on a task, trained fairly and ranked, also from scratch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.compare_task import DEFAULT_STORE
from stepsize.adapters.torch.find_task import loaded_task
from stepsize.adapters.torch.fine_tuning.plans.comparing_plans import ComparingPlans
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison import CompareOptions, Watcher, Watchers
from stepsize.comparison.progress import shown
from stepsize.errors import InputError, require
from stepsize.fine_tuning import LayerGroups
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.presets import PLANS
from stepsize.fine_tuning.transfer_result import TransferResult
from stepsize.store import Store
from stepsize.tasks import LoadedTask, Task


def compare_plans(
    task: str | Callable[[int], Task] | LoadedTask,
    plans: Iterable[TransferPlan | str | Path] | TransferPlan | str = ("fastai",),
    epochs: int | None = None,
    seeds: int | Iterable[int] | None = None,
    *,
    scratch: bool = True,
    scratch_task: str | Callable[[int], Task] | LoadedTask | None = None,
    groups: LayerGroups | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    store: str | Path | None = DEFAULT_STORE,
    progress: bool = False,
    watchers: Sequence[Watcher] = (),
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> TransferResult:
    """Train a task by several transfer plans and rank them; say whether transfer was worth it.

    For each seed every plan starts from the weights that the task is made with, the pretrained
    ones, and is trained for the same number of updates; what its range tests cost comes on top and
    is told. Validation data alone decides. Every update lands in a database as it happens: the
    same call again keeps the runs that are finished and goes on with those that are not. The
    caller's random states are untouched.

    Args:
        task: a built-in task by name, ``"path/to/file.py:callable"``,
            ``"package.module:callable"``, or a callable ``make(seed) -> Task``, which loads the
            pretrained weights.
        plans: names of presets, plans, or their files.
        epochs: passes through the training batches, of all phases of a plan together.
        seeds: three by default.
        scratch: whether the network is also trained with fresh weights, by the preset ``scratch``
            unless one of ``plans`` starts so. Where it cannot be (weights that no module draws
            anew, frozen ones that the optimizer does not hold) it is left out, and a note of the
            comparison says why and what to do.
        scratch_task: makes the task with an untrained model, where fresh weights cannot be drawn
            from the modules themselves.
        groups: the layer groups, as ``stepsize.transfer.groups`` gives them; None finds them.
        recipe: accumulation, precision and clipping.
        store: the database's file; None keeps nothing.
        progress: show bars and the current ranking on standard error.
        watchers: are told what happens.
        settings: further facts for the record.
        options: fields of :class:`~stepsize.comparison.CompareOptions`: ``metric``, ``at``,
            ``interval``, ``test``, ``name``, ...

    Raises:
        InputError: a plan that has no room in the epochs, two of one name, an option that makes no
            sense, an optimizer that does not hold all that the model would train, a plan of
            ``plans`` that starts from scratch where that cannot be.
        TaskError: the task cannot be made, or has no validation data.
        StoreError: the database cannot be used.

    >>> from stepsize.fine_tuning.phase import Phase
    >>> plan = TransferPlan("mine", (Phase("all", lr=0.05),))
    >>> result = compare_plans("digits", plan, epochs=1, seeds=0, scratch=False, store=None)
    >>> result.comparison.best.arm, result.decisions["mine"][0][0].peak
    ('mine', 0.05)
    """
    if epochs is None:
        raise InputError("How many epochs is a run? Say it: epochs=10, or --epochs 10.")
    given: Any = () if seeds is None else (seeds,)
    asked = CompareOptions(epochs, *given, **options)
    require(not asked.rate_factors, "A plan finds its own rates: leave rate_factors out.")
    several = [plans] if isinstance(plans, (TransferPlan, str, Path)) else list(plans)
    known = plans_of(several, scratch)
    dispensable = known[-1].name if len(known) > len(several) else ""
    back = random_state.remember()  # before the task's file is run: it may seed
    try:
        base = loaded_task(task)
        untrained = None if scratch_task is None else loaded_task(scratch_task)
        with (
            TemporaryDirectory() as aside,
            Store(store or Path(aside) / "runs.db") as opened,
            shown(progress) as bars,
            closing(Watchers([*watchers, *bars])) as watcher,
        ):
            work = ComparingPlans(
                base, untrained, asked, recipe, opened, watcher, groups, dispensable
            )
            result = work.compared(known, settings or {})
            if store:
                return result
            return replace(result, comparison=replace(result.comparison, store=""))
    finally:
        back()


def plans_of(
    plans: Iterable[TransferPlan | str | Path] | TransferPlan | str, scratch: bool
) -> tuple[TransferPlan, ...]:
    """The plans under names of their own, with one that starts from scratch if it is asked for.

    Raises:
        InputError: no plan of that name, a file that is none, two plans of one name.

    >>> [plan.name for plan in plans_of("full", scratch=True)]
    ['full', 'scratch']
    """
    several = [plans] if isinstance(plans, (TransferPlan, str, Path)) else list(plans)
    known = [TransferPlan.of(each) for each in several]
    if scratch and all(plan.start != "scratch" for plan in known):
        known.append(PLANS["scratch"])
    names = [plan.name for plan in known]
    require(bool(known), "A comparison needs at least one plan, such as 'fastai'.")
    for name in names:
        require(names.count(name) == 1, f"Two plans are called {name!r:.80}: give each its own.")
    return tuple(known)
