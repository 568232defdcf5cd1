"""A run made through its lease, from its last checkpoint on, whatever is trained in it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.memento import Memento
from stepsize.adapters.torch.trials import checkpoint
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.logged_training import Diverged, Watch
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison.trial import AnyTrial
from stepsize.errors import StoreError, TaskError
from stepsize.tasks import Task

if TYPE_CHECKING:
    from stepsize.store import Lease


class RunTraining(Protocol):
    """The training of a run: :class:`~.logged_training.LoggedTraining`, or one of several phases.

    Attributes:
        task: what is trained, as the user made it.
    """

    task: Task

    @property
    def updates(self) -> int:
        """Updates done since the beginning of the run."""
        ...

    def facts(self) -> dict[str, Any]:
        """What the run tells of itself at its beginning."""
        ...

    def run(self, interrupts: Interrupts, watch: Watch | None) -> None:
        """Train to the end, or raise :class:`~.logged_training.Diverged`."""
        ...

    def stop(self) -> None:
        """Write down what is known."""
        ...

    def save(self) -> None:
        """Write a checkpoint, if nothing is half done."""
        ...

    def close(self) -> None:
        """Let go of the loader and its worker processes."""
        ...

    def resume(self, content: dict[str, Any]) -> None:
        """Bring everything into the state of a checkpoint."""
        ...

    def replay(self, content: dict[str, Any]) -> None:
        """Draw again the batches that the updates have used."""
        ...


Begin = Callable[[], RunTraining]


def make(
    begin: Begin, trial: AnyTrial, lease: Lease, recipe: Recipe, watch: Watch | None = None
) -> None:
    """Make a run, or what is left of it, and give the lease back.

    The caller's random states are untouched, and the recipe's scaler is given back as it was.

    Args:
        begin: makes the training at its beginning, of a task that is freshly made.
        trial: the run's definition.
        lease: the right to make it.
        recipe: how an update is made.
        watch: told of every evaluation.

    Raises:
        Exception: as :func:`~.trial.train`.
    """
    back = random_state.remember()
    scaler = Memento()  # other runs begin with it too
    scaler.add(recipe.scaler)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            _train(begin, trial, lease, watch)
    finally:
        scaler.restore()
        back()


def _train(begin: Begin, trial: AnyTrial, lease: Lease, watch: Watch | None) -> None:
    began = time.monotonic()
    training = _begun(begin, trial, lease)
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


def _begun(begin: Begin, trial: AnyTrial, lease: Lease) -> RunTraining:
    """The training at its beginning, or where its checkpoint has left it."""
    training = begin()
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
        training = begin()
    if content is not None:
        training.replay(content)
        lease.rewind(training.updates)
        lease.event("resumed", f"after {training.updates} updates")
        return training
    lease.rewind(0)
    lease.facts(**training.facts())
    lease.event("started", f"{trial.updates} updates")
    return training
