"""Runs that are trained as one, each under a lease of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import final

from stepsize.comparison.make_one import Train, make_one
from stepsize.comparison.trial import Trial
from stepsize.comparison.watcher import Watcher
from stepsize.errors import LeaseLostError, StoreError
from stepsize.records import Evaluation
from stepsize.store import Lease, Store

#: ``train(trials, leases, watch=..., over=...)``: make all of them, and log them.
TrainGroup = Callable[..., None]


@final
@dataclass(frozen=True)
class Together:
    """How runs are trained as one.

    Attributes:
        groups: sorts runs, in the order asked for, into groups that can be trained as one.
        train: makes the runs of a group.
    """

    groups: Callable[[Sequence[Trial]], Iterable[Sequence[Trial]]]
    train: TrainGroup


def make_group(
    taken: Sequence[tuple[Trial, Lease]],
    store: Store,
    train: Train,
    train_group: TrainGroup,
    watcher: Watcher,
) -> set[int]:
    """Make runs as one; what is left after an error of the user's code, one by one.

    So the error is told of the run that it belongs to, and the others go on.

    Args:
        taken: the runs and their leases.
        store: where they are kept.
        train: makes one run.
        train_group: makes all.
        watcher: is told what happens.

    Returns:
        The ids of the runs that are done with.
    """
    left = dict(enumerate(taken))
    done: set[int] = set()

    def watch(place: int, evaluation: Evaluation) -> None:
        trial, lease = taken[place]
        watcher.evaluated(trial, lease.run_id, evaluation)

    def over(place: int) -> None:
        trial, lease = left.pop(place)
        run = store.read(lease.run_id)
        if run.status != "running":  # else another process has taken it over
            done.add(lease.run_id)
            watcher.ended(trial, lease.run_id, run.status, run.error)

    with ExitStack() as leases:
        for trial, lease in taken:
            leases.enter_context(_held(lease))
            watcher.started(trial, lease.run_id, store.read(lease.run_id).done)
        try:
            trials, held = zip(*taken, strict=True)
            train_group(trials, held, watch=watch, over=over)
        except (StoreError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - the user's code raises what it likes
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            for trial, lease in list(left.values()):
                try:
                    lease.event("fused", f"goes on alone, after {told}")
                except LeaseLostError:
                    continue
                if make_one(trial, lease, store, train, watcher):
                    done.add(lease.run_id)
    return done


@contextmanager
def _held(lease: Lease) -> Iterator[None]:
    """Give the lease back at the end, unless another process has taken it."""
    try:
        with lease:
            yield
    except LeaseLostError:
        pass
