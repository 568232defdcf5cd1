"""Making one run under its lease, whatever the user's code does."""

from __future__ import annotations

from collections.abc import Callable

from stepsize.comparison.trial import AnyTrial
from stepsize.comparison.watcher import Watcher
from stepsize.errors import LeaseLostError, StoreError
from stepsize.records import Evaluation
from stepsize.store import Lease, Store
from stepsize.tasks.blame import blame

#: ``train(trial, lease, watch=...)``: make one run, from its last checkpoint on, and log it.
Train = Callable[..., None]


def make_one(trial: AnyTrial, lease: Lease, store: Store, train: Train, watcher: Watcher) -> bool:
    """Make one run under its lease; only what concerns all runs gets out.

    Returns:
        Whether it is done with: False if another process has taken it over.
    """

    def watch(evaluation: Evaluation) -> None:
        watcher.evaluated(trial, lease.run_id, evaluation)

    try:
        with lease:
            watcher.started(trial, lease.run_id, store.read(lease.run_id).done)
            try:
                train(trial, lease, watch=watch)
            except (StoreError, MemoryError):
                raise
            except Exception as error:  # noqa: BLE001 - the user's code raises what it likes
                told = " ".join(blame(error, trial.task.files).split())
                lease.event("error", told)
                lease.finish("failed", error=told)
    except LeaseLostError:
        return False
    run = store.read(lease.run_id)
    watcher.ended(trial, lease.run_id, run.status, run.error)
    return True
