"""Making the runs: each one once, whoever makes it, and all that can be made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stepsize.comparison.trial import Trial
from stepsize.comparison.watcher import Watcher
from stepsize.errors import LeaseLostError, StoreError
from stepsize.records import OVER, Evaluation
from stepsize.store import Lease, Store
from stepsize.tasks.blame import blame

#: ``train(trial, lease, watch=...)``: make one run, from its last checkpoint on, and log it.
Train = Callable[..., None]

_POLL_SECONDS = 0.5


def conduct(
    trials: Sequence[Trial],
    store: Store,
    train: Train,
    *,
    environment: Mapping[str, Any],
    watcher: Watcher | None = None,
) -> tuple[int, ...]:
    """Make every run that is not over yet, and return the runs' ids in the order of ``trials``.

    What the user's code raises ends that run alone: it is recorded as ``failed`` and the others go
    on; the next call tries it again. Runs that another living process makes are left to it and
    waited for. Trials with one definition are one run.

    Args:
        trials: what to make, in this order.
        store: where it is kept.
        train: makes one run.
        environment: versions, git commit and machine, for the record of each run.
        watcher: is told what happens.

    Raises:
        StoreError: the store cannot be written; what was made so far is kept.
    """
    watcher = watcher or Watcher()
    ids = tuple(store.add_run(trial.key, trial.definition()) for trial in trials)
    left = dict(zip(ids, trials, strict=True))
    for run_id in [i for i in left if store.status(i) in OVER]:
        del left[run_id]
    watcher.planned(trials, over=len(set(ids)) - len(left))
    while left:
        for run_id, trial in list(left.items()):
            lease = None if store.status(run_id) == "running" else store.claim(run_id, environment)
            if lease is not None and _make(trial, lease, store, train, watcher):
                del left[run_id]  # also if it failed: the next call tries again
            elif store.status(run_id) in OVER:
                del left[run_id]  # another process has made it
        if left:
            watcher.waiting(tuple(left.values()))
            time.sleep(_POLL_SECONDS)
    return ids


def _make(trial: Trial, lease: Lease, store: Store, train: Train, watcher: Watcher) -> bool:
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
