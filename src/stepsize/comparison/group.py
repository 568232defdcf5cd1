"""Runs that are trained as one, each under a lease of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, final

from stepsize.comparison.make_one import Train, make_one
from stepsize.comparison.trial import AnyTrial
from stepsize.comparison.watcher import Watcher
from stepsize.errors import LeaseLostError, StoreError
from stepsize.records import Evaluation
from stepsize.store import Lease, Store

#: How a run that was given back by its own process may stand.
_ENDED = ("finished", "diverged", "failed", "interrupted")
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

    groups: Callable[[Sequence[Any]], Iterable[Sequence[Any]]]
    train: TrainGroup


def make_group(
    taken: Sequence[tuple[AnyTrial, Lease]],
    store: Store,
    train: Train,
    train_group: TrainGroup,
    watcher: Watcher,
) -> set[int]:
    """Make runs as one; what is left after an error of the user's code, one by one.

    So the error is told of the run that it belongs to, and the others go on. A group that does not
    fit into the memory is made in two halves.

    Args:
        taken: the runs and their leases.
        store: where they are kept.
        train: makes one run.
        train_group: makes all.
        watcher: is told what happens.

    Returns:
        The ids of the runs that are done with.
    """
    done: set[int] = set()
    with ExitStack() as leases:
        for trial, lease in taken:
            leases.enter_context(_held(lease))
            watcher.started(trial, lease.run_id, store.read(lease.run_id).done)
        waiting = [list(taken)]
        while waiting:
            group = waiting.pop(0)
            if len(group) > 1:
                group, error = _tried(group, store, train_group, watcher, done)
                if isinstance(error, MemoryError):  # by now the copies are gone
                    middle = (len(group) + 1) // 2
                    waiting[:0] = [part for part in (group[:middle], group[middle:]) if part]
                    continue
                if error is not None:
                    _tell_alone(group, error)
            for trial, lease in group:
                if make_one(trial, lease, store, train, watcher):
                    done.add(lease.run_id)
    return done


def _tried(
    group: Sequence[tuple[AnyTrial, Lease]],
    store: Store,
    train_group: TrainGroup,
    watcher: Watcher,
    done: set[int],
) -> tuple[list[tuple[AnyTrial, Lease]], Exception | None]:
    """Make a group; the runs that are not over, and what was raised."""
    left = dict(enumerate(group))

    def watch(place: int, evaluation: Evaluation) -> None:
        trial, lease = group[place]
        watcher.evaluated(trial, lease.run_id, evaluation)

    def over(place: int) -> None:
        trial, lease = left.pop(place)
        run = store.read(lease.run_id)
        if run.status in _ENDED:  # else another process has taken it over
            done.add(lease.run_id)
            watcher.ended(trial, lease.run_id, run.status, run.error)

    trials, leases = zip(*group, strict=True)
    try:
        train_group(trials, leases, watch=watch, over=over)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's code raises what it likes
        error.__traceback__ = error.__context__ = None  # they hold on to the copies
        return list(left.values()), error
    return list(left.values()), None


def _tell_alone(group: Sequence[tuple[AnyTrial, Lease]], error: Exception) -> None:
    """Write down of each run that it goes on alone."""
    told = f"{type(error).__name__}: {error}".splitlines()[0]
    for _, lease in group:
        with suppress(LeaseLostError):
            lease.event("fused", f"goes on alone, after {told}")
            lease.facts(engine="serial")


@contextmanager
def _held(lease: Lease) -> Iterator[None]:
    """Give the lease back at the end, unless another process has taken it."""
    try:
        with lease:
            yield
    except LeaseLostError:
        pass
