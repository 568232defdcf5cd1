"""Runs of a comparison that workers make through the store, which they share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from stepsize.adapters.torch.elsewhere.run_order import Orders, RunOrder
from stepsize.adapters.torch.trials import train
from stepsize.comparison import Trial
from stepsize.comparison.make_one import make_one
from stepsize.engines.conducting import Begin, TellingWatcher, beside
from stepsize.engines.crew import Call
from stepsize.store import Store


def make_run(store: str, run_id: int, order: RunOrder, environment: Mapping[str, Any]) -> bool:
    """Make a run, or what is left of it, and tell what happens; a worker calls this.

    Args:
        store: the database's file.
        run_id: which run.
        order: what to make.
        environment: for the record of the run.

    Returns:
        Whether the run is done with: False if another process has it.

    Raises:
        TaskError, EngineError: the task cannot be had here.
        StoreError: the store cannot be written.
        KeyboardInterrupt: after a checkpoint; the run is ``interrupted``.
    """
    trial = order.trial()
    training = partial(train, recipe=order.recipe, checkpoint_seconds=order.checkpoint_seconds)
    with Store(store, create=False) as opened:
        lease = opened.claim(run_id, environment)
        if lease is None:
            return False
        return make_one(trial, lease, opened, training, TellingWatcher())


def through_the_store(store: Store, orders: Orders, environment: Mapping[str, Any]) -> Begin:
    """For :func:`~stepsize.engines.conducting.conduct_with`: runs by workers on this machine.

    Args:
        store: where runs are kept; its file is the workers', too.
        orders: makes what is sent.
        environment: versions, git commit and machine, for the record of each run.
    """

    def call_for(trial: Trial, run_id: int) -> Call:
        sent = str(store.path), run_id, orders.of(trial), dict(environment)
        return Call(f"{__name__}:{make_run.__name__}", sent)

    return beside(store, call_for)
