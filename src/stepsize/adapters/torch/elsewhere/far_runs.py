"""Runs of a comparison that workers make without seeing the store: all they do is told."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stepsize.adapters.torch.elsewhere.run_order import Orders, RunOrder
from stepsize.adapters.torch.trials import train
from stepsize.comparison import Trial, Watcher
from stepsize.comparison.make_one import make_one
from stepsize.engines.conducting import Begin
from stepsize.engines.crew import Call
from stepsize.engines.far_lease import FarLease
from stepsize.engines.far_making import far_begin
from stepsize.engines.telling import tell
from stepsize.store import Lease, Store
from stepsize.tasks.leftovers import folder_prefix


def make_far_run(order: RunOrder, run_id: int, done: int, checkpoint: bytes | None) -> None:
    """Make a run, or what is left of it, and tell everything; a worker calls this.

    Args:
        order: what to make.
        run_id: the run's number in its store.
        done: how many updates the store holds.
        checkpoint: the content of the run's last checkpoint, if there is one.

    Raises:
        TaskError, EngineError: the task cannot be had here.
        KeyboardInterrupt: after a checkpoint; the run is ``interrupted``.
    """
    trial = order.trial()
    training = partial(train, recipe=order.recipe, checkpoint_seconds=order.checkpoint_seconds)
    with TemporaryDirectory(prefix=folder_prefix()) as folder:
        lease = FarLease(
            run_id, done, Path(folder), checkpoint, tell,
            checkpoint_seconds=order.checkpoint_seconds,
        )  # fmt: skip
        lease.event("worker", platform.node())
        own: Any = lease  # has what is used of a Lease
        store: Any = _OneRun(lease)
        make_one(trial, own, store, training, Watcher())


def far_away(store: Store, orders: Orders, environment: Mapping[str, Any]) -> Begin:
    """For :func:`~stepsize.engines.conducting.conduct_with`: runs by workers on any machine.

    Args:
        store: where runs are kept; it is written to by this process alone.
        orders: makes what is sent.
        environment: versions, git commit and machine, for the record of each run.
    """

    def call_of(trial: Trial, lease: Lease, checkpoint: bytes | None) -> Call:
        sent = orders.of(trial), lease.run_id, lease.done, checkpoint
        return Call(f"{__name__}:{make_far_run.__name__}", sent)

    return far_begin(store, environment, call_of)


class _OneRun:
    """As much of a store as :func:`make_one` reads: the run itself."""

    def __init__(self, lease: FarLease) -> None:
        self._lease = lease

    def read(self, run_id: int) -> FarLease:
        return self._lease
