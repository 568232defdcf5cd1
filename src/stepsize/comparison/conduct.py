"""Making the runs: each one once, whoever makes it, and all that can be made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from stepsize.comparison.group import Together, make_group
from stepsize.comparison.make_one import Train, make_one
from stepsize.comparison.trial import AnyTrial
from stepsize.comparison.watcher import Watcher
from stepsize.records import OVER
from stepsize.store import Lease, Store

T = TypeVar("T", bound=AnyTrial)

#: Runs of other processes are looked at so often.
POLL_SECONDS = 0.5


def conduct(
    trials: Sequence[AnyTrial],
    store: Store,
    train: Train,
    *,
    environment: Mapping[str, Any],
    watcher: Watcher | None = None,
    together: Together | None = None,
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
        together: trains several runs as one; None makes them one after the other.

    Raises:
        StoreError: the store cannot be written; what was made so far is kept.
    """
    watcher = watcher or Watcher()
    ids, left = enter(trials, store, watcher)
    while left:
        numbers = {trial.key: run_id for run_id, trial in left.items()}
        waiting = tuple(left.values())
        groups: Iterable[Sequence[AnyTrial]] = (
            ((trial,) for trial in waiting) if together is None else together.groups(waiting)
        )
        for group in groups:
            taken = claimed([(numbers[trial.key], trial) for trial in group], store, environment)
            if together is not None and len(taken) > 1:
                made = make_group(taken, store, train, together.train, watcher)
            else:
                made = {
                    lease.run_id
                    for trial, lease in taken
                    if make_one(trial, lease, store, train, watcher)
                }
            for run_id in (numbers[trial.key] for trial in group):
                # Made, also if it failed (the next call tries again), or made by another process.
                if run_id in made or store.status(run_id) in OVER:
                    del left[run_id]
        if left:
            watcher.waiting(tuple(left.values()))
            time.sleep(POLL_SECONDS)
    return ids


def enter(
    trials: Sequence[T], store: Store, watcher: Watcher
) -> tuple[tuple[int, ...], dict[int, T]]:
    """The runs' ids in the order of ``trials``, and those that are not over, by their ids."""
    ids = tuple(store.add_run(trial.key, trial.definition()) for trial in trials)
    left = dict(zip(ids, trials, strict=True))
    for run_id in [i for i in left if store.status(i) in OVER]:
        del left[run_id]
    watcher.planned(trials, over=len(set(ids)) - len(left))
    return ids, left


def claimed(
    runs: Iterable[tuple[int, T]], store: Store, environment: Mapping[str, Any]
) -> list[tuple[T, Lease]]:
    """The runs that could be claimed, with their leases; not those that are being made."""
    found = []
    for run_id, trial in runs:
        if store.status(run_id) != "running":
            lease = store.claim(run_id, environment)
            if lease is not None:
                found.append((trial, lease))
    return found
