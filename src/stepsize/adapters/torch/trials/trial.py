"""``train``: one run of a comparison, logged as it happens, and able to go on after any end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.fresh_task import fresh_task
from stepsize.adapters.torch.trials.logged_training import LoggedTraining
from stepsize.adapters.torch.trials.making import make
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison.trial import AnyTrial, Trial
from stepsize.errors import TaskError
from stepsize.records import Evaluation

if TYPE_CHECKING:
    from stepsize.store import Lease

#: At least this long between two checkpoints.
CHECKPOINT_SECONDS = 10.0


def train(
    trial: Trial,
    lease: Lease,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    watch: Callable[[Evaluation], None] | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Make a run, or what is left of it, and give the lease back.

    Runs of one seed have the same initial weights, the same batches in the same order and the
    same random numbers. A run that was stopped at any point, by whatever, goes on from its last
    checkpoint and ends with the same numbers, bit for bit, as one that was not. A loss that is not
    finite ends it as ``diverged``, which is a result.

    The caller's random states are untouched, and the recipe's scaler is given back as it was.

    Args:
        trial: what to run.
        lease: the right to run it; where everything is written.
        recipe: accumulation, precision and clipping.
        watch: told of every evaluation.
        checkpoint_seconds: at least this long between two checkpoints, which are never more than
            2 % of the time.

    Raises:
        TaskError: the task cannot be made or has no validation, or an epoch was short of batches.
        KeyboardInterrupt, SystemExit: after a checkpoint; the run is ``interrupted``. An exit that
            is none of SIGTERM's is the task's own, a TaskError.
        Exception: whatever the task's code raises; what was done until then is in the store.
    """

    def begin() -> LoggedTraining:
        task = fresh_task(trial.task, trial.seed)
        return LoggedTraining.of(trial, task, lease, recipe, checkpoint_seconds)

    make(begin, trial, lease, recipe, watch)


def test_values(
    trial: AnyTrial,
    weights: Path,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008, PT028  (frozen, and no test)
) -> dict[str, float]:
    """The loss and the metrics of saved weights on the task's test batches, as ``test_<name>``.

    Raises:
        TaskError: the task has no test batches.
    """
    back = random_state.remember()
    try:
        task = fresh_task(trial.task, trial.seed)
        if task.test is None:
            raise TaskError(f"The task {trial.task.name} has no test batches (test=None).")
        task.model.load_state_dict(torch.load(weights, weights_only=True))
        return evaluate(task, task.test, recipe, "test_")
    finally:
        back()
