"""``tune``: the peak rate and the schedule for a training of a given length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.find_task import loaded_task
from stepsize.adapters.torch.setting import describe_recipe
from stepsize.adapters.torch.tune_engine import trainer_for
from stepsize.adapters.torch.update import Recipe
from stepsize.engines import EngineChoice
from stepsize.records import Recommendation
from stepsize.tasks import LoadedTask, Task
from stepsize.tuner import TuneOptions, recommend
from stepsize.tuner.progress import shown


def tune(
    task: str | Callable[[int], Task] | LoadedTask,
    epochs: int,
    budget: float = 1.0,
    *,
    seed: int = 0,
    around: float | None = None,
    optimizers: Iterable[str] = (),
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    engine: EngineChoice | str = "auto",
    progress: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Recommendation:
    """Recommend a peak learning rate and a schedule for a training of ``epochs`` epochs.

    Rates race on one schedule, warm-up, level and decay: all from the same weights on the same
    batches, ever fewer of them ever longer, judged by the validation loss. The search costs at
    most ``budget`` full trainings, evaluations included. The same call with the same seed gives
    the same answer. The caller's random states are untouched.

    Args:
        task: a built-in task's name, ``"path/to/file.py:callable"``, ``"package.module:callable"``
            or a callable ``make(seed) -> Task``. It needs validation data.
        epochs: passes through the training batches of the training to come.
        budget: in such trainings.
        seed: decides the initial weights and the order of the batches of every arm.
        around: a rate to begin around, if the optimizer's usual ones are far off.
        optimizers: others to try: ``"adamw"``, ``"schedule_free"``, ``"momo"``.
        recipe: accumulation, precision and clipping.
        engine: how the arms are trained: ``"serial"``, ``"fused"`` (those that stand at the same
            update as one batched model), ``"processes"``, ``"processes:N"``,
            ``"dask://host:port"``, or ``"auto"``, which measures a few updates and takes the
            quickest. The same arms are trained at the same price; their losses are
            the same to float tolerance if fused, to the last bit otherwise (with as many threads).
        progress: show a bar on standard error.
        settings: further facts for the record.

    Returns:
        The recommendation, or an abstention (``lr`` is None; ``verdict`` and ``reason`` say why).
        Ctrl-C ends the search, not the program: the answer is what is known by then, with
        ``interrupted`` set.

    Raises:
        InputError: an option that makes no sense, a budget that pays for nothing, or an engine that
            cannot be had: a task that cannot be sent to other processes, or several ranks of
            ``torch.distributed``.
        TaskError: the task cannot be made, has no validation data, or its code raised.
        MissingDependencyError: another optimizer's package is not installed.
        EngineError: the engine's workers were lost.

    Source: successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943) on
    warm-up-stable-decay (Hu et al. 2024, arXiv:2404.06395).

    >>> answer = tune("digits", epochs=5)
    >>> answer.verdict, 0.003 < answer.lr < 1.0, answer.cost.ratio <= 1.0
    ('ok', True, True)
    """
    names: Any = optimizers if isinstance(optimizers, str) else tuple(optimizers)
    options = TuneOptions(budget, seed, around, names)
    asked = EngineChoice.of(engine)
    back = random_state.remember()  # before the task's file is run: it may seed
    try:
        loaded = loaded_task(task)
        with (
            trainer_for(asked, loaded, epochs, recipe, seed, budget=budget) as chosen,
            shown(options, chosen.trainer, progress) as watched,
        ):
            trainer = chosen.trainer
            trainer.prepare(options.optimizers)
            return recommend(
                trainer,
                watched,
                task=loaded.name,
                family=trainer.family,
                notes=(*_judged_by(trainer.validation_batches), *chosen.notes),
                settings={
                    "optimizer": trainer.optimizer,
                    "engine": str(chosen.engine),
                    **describe_recipe(recipe),
                    **(settings or {}),
                },
            )
    finally:
        back()


def _judged_by(batches: int | None) -> tuple[str, ...]:
    """A note where a part of the validation is the judge."""
    if batches is None:
        return ()
    return (
        f"Judged by the first {batches} validation batches, because all of them would have cost "
        "too much each time: they must not be sorted, by class or otherwise.",
    )
