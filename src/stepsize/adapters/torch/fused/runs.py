"""``train_together``: several runs of a comparison as one, each logged as if it were alone."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fused.alike import why_not_alike
from stepsize.adapters.torch.fused.streams import Stream
from stepsize.adapters.torch.fused.together import Logged, Tell, TogetherTraining
from stepsize.adapters.torch.trials import checkpoint
from stepsize.adapters.torch.trials.fresh_task import fresh_task
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.trial import CHECKPOINT_SECONDS
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison.trial import Trial
from stepsize.errors import TaskError
from stepsize.records import Evaluation
from stepsize.store import Lease
from stepsize.tasks import Task


def train_together(
    trials: Sequence[Trial],
    leases: Sequence[Lease],
    *,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    watch: Callable[[int, Evaluation], None] | None = None,
    over: Callable[[int], None] | None = None,
    compiled: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Make runs of one task, or what is left of them, as one batched model.

    Each run's numbers equal those of :func:`~stepsize.adapters.torch.trials.train` to the last
    digits of a float: additions are made in another order. Each has its own log, evaluations and
    checkpoint, which either function goes on from. A run that diverges ends; the others go on.

    The caller's random states are untouched.

    Args:
        trials: of one task, recipe and length; their schedules and seeds differ.
        leases: the right to make each.
        recipe: accumulation, precision and clipping; no scaler.
        watch: told of every evaluation, with the place of the run in ``trials``.
        over: told of every run, by its place, as soon as its lease is given back.
        compiled: compile the update.
        checkpoint_seconds: at least this long between two checkpoints.

    Raises:
        TaskError: the task cannot be made, or an epoch was short of batches.
        MemoryError: so many do not fit.
        KeyboardInterrupt, SystemExit: after a checkpoint of every run; they are ``interrupted``.
        Exception: whatever the task's code raises. The runs that are not over are still leased, and
            can be made one by one.
    """
    tell = Tell(watch or (lambda place, evaluation: None), over or (lambda place: None))
    runs = [Logged(*each) for each in zip(itertools.count(), trials, leases)]
    no_room = ""
    back = random_state.remember()
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            for group, contents in _stacks(runs, recipe):
                together = TogetherTraining(
                    group, recipe, tell, compiled=compiled, checkpoint_seconds=checkpoint_seconds
                )
                _make(together, contents)
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
        no_room = str(error)
    finally:
        back()
    if no_room:
        raise MemoryError(no_room)  # without the error, which holds on to the copies


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether there was no room, on any device; torch has no class of its own for the CPU."""
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text


def _stacks(
    runs: Sequence[Logged], recipe: Recipe
) -> Iterator[tuple[list[Logged], list[Any] | None]]:
    """The runs of each stack, and the checkpoints that they go on from, if there are."""
    for at, group in _by_position(runs).items():
        for part in _by_kind(group, recipe):
            yield part, None if at is None else [_content(run) for run in part]


def _by_kind(runs: Sequence[Logged], recipe: Recipe) -> list[list[Logged]]:
    """All as one, or each seed for itself if more than weights and batches depends on the seed."""
    by_seed: dict[int, list[Logged]] = {}
    for run in runs:
        by_seed.setdefault(run.trial.seed, []).append(run)
    task = runs[0].trial.task
    streams = (_stream(fresh_task(task, seed)) for seed in by_seed)
    first = next(streams)
    if any(why_not_alike(first, other, recipe) for other in streams):
        return list(by_seed.values())
    return [list(runs)]


def _stream(task: Task) -> Stream:
    return Stream(task.model, task.optimizer, task.loss, lambda: None, task.train)


def _by_position(runs: Sequence[Logged]) -> dict[tuple[int, int] | None, list[Logged]]:
    """The runs by the epochs and updates that their checkpoints have; None where there is none."""
    found: dict[tuple[int, int] | None, list[Logged]] = {}
    for run in runs:
        content = _content(run)
        at = None if content is None else (content["epoch"], content["done"])
        found.setdefault(at, []).append(run)
    return found


def _content(run: Logged) -> Any:
    """The run's checkpoint, if it can be used; None: it begins anew."""
    path, per_epoch = run.lease.checkpoint, run.trial.updates_per_epoch
    try:
        content = checkpoint.read_checkpoint(path, run.trial.key)
        if content is None or content["epoch"] * per_epoch + content["done"] <= run.lease.done:
            return content
        raise checkpoint.UnreadableError("it is ahead of the store")  # the power was lost
    except checkpoint.UnreadableError as error:
        aside = checkpoint.set_aside(path)
        run.lease.event("checkpoint", f"set aside as {aside.name}, for it cannot be used: {error}")
        return None


def _make(together: TogetherTraining, contents: list[Any] | None) -> None:
    """Train to the end, whatever it is."""
    interrupts = Interrupts()
    try:
        with interrupts:
            together.begin(contents)
            together.run(interrupts)
    except (KeyboardInterrupt, SystemExit) as stopped:
        if isinstance(stopped, SystemExit) and stopped.code != 128 + signal.SIGTERM:
            raise TaskError(f"The task called sys.exit({stopped.code!r}).") from stopped
        together.save()
        together.give_back("interrupted")
        raise
    except Exception:
        interrupts.deliver()  # a Ctrl-C that came with it
        raise
    finally:
        together.close()
    interrupts.deliver()
