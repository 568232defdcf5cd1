"""``train``: one run of a comparison, logged as it happens, and able to go on after any end."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.memento import Memento
from stepsize.adapters.torch.trials import checkpoint
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.fresh_task import fresh_task
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.logged_training import Diverged, LoggedTraining
from stepsize.adapters.torch.trials.trial_facts import facts
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison.trial import Trial
from stepsize.errors import StoreError, TaskError
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
    back = random_state.remember()
    scaler = Memento()  # other runs begin with it too
    scaler.add(recipe.scaler)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            _train(trial, lease, recipe, watch, checkpoint_seconds)
    finally:
        scaler.restore()
        back()


def test_values(
    trial: Trial,
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


def _train(
    trial: Trial,
    lease: Lease,
    recipe: Recipe,
    watch: Callable[[Evaluation], None] | None,
    checkpoint_seconds: float,
) -> None:
    began = time.monotonic()
    training = _begun(trial, lease, recipe, checkpoint_seconds)
    status, error = "finished", ""
    interrupts = Interrupts()
    try:
        with interrupts:
            training.run(interrupts, watch)
    except Diverged as diverged:
        status, error = "diverged", str(diverged)
        lease.event(status, error)
    except (KeyboardInterrupt, SystemExit) as stopped:
        if isinstance(stopped, SystemExit) and stopped.code != 128 + signal.SIGTERM:
            training.stop()
            raise TaskError(f"The task called sys.exit({stopped.code!r}).") from stopped
        with contextlib.suppress(Diverged):
            training.save()
        lease.finish("interrupted", seconds=time.monotonic() - began)
        raise
    except Exception:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            training.stop()
        interrupts.deliver()  # a Ctrl-C that came with it
        raise
    finally:
        training.close()
    if status == "finished" and training.task.test is not None:
        checkpoint.save(lease.weights, training.task.model.state_dict())
    lease.finish(status, error, seconds=time.monotonic() - began)
    lease.checkpoint.unlink(missing_ok=True)
    interrupts.deliver()


def _begun(trial: Trial, lease: Lease, recipe: Recipe, checkpoint_seconds: float) -> LoggedTraining:
    """The training at its beginning, or where its checkpoint has left it."""
    training = LoggedTraining(
        trial, fresh_task(trial.task, trial.seed), lease, recipe, checkpoint_seconds
    )
    content = None
    try:
        content = checkpoint.read_checkpoint(lease.checkpoint, trial.key)
        if content is not None:
            training.resume(content)
            if training.updates > lease.done:  # the computer lost its power
                raise ValueError(f"it is ahead of the store, which has {lease.done} updates")
    except (StoreError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  (whatever does not fit)
        content = None
        aside = checkpoint.set_aside(lease.checkpoint)
        lease.event("checkpoint", f"set aside as {aside.name}, for it cannot be used: {error}")
        training = LoggedTraining(
            trial, fresh_task(trial.task, trial.seed), lease, recipe, checkpoint_seconds
        )
    if content is not None:
        training.replay(content)
        lease.rewind(training.updates)
        lease.event("resumed", f"after {training.updates} updates")
        return training
    lease.rewind(0)
    lease.facts(**facts(training.task, trial.updates_per_epoch))
    lease.event("started", f"{trial.updates} updates")
    return training
