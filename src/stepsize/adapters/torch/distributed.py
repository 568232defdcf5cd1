"""Several processes, one range test: one loss, one decision, no rank left waiting.

Everything here is the identity in an ordinary, single process. Under ``torch.distributed`` the
small agreements travel over a gloo group of their own, so that they never mix with the gradients'
traffic and need no GPU.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from stepsize.errors import RangeTestError

T = TypeVar("T")

#: Marks an error that the other ranks know of.
_TOLD = "_stepsize_told"

#: How long a rank that failed waits for the others to hear of it. They may be inside a collective
#: operation of the training that needs this rank; its end, soon after, then ends that too.
PATIENCE = timedelta(seconds=10)

#: The control group, and the world it was made for (a new world makes a new one).
_control: tuple[Any, Any] | None = None


class OtherRankError(RangeTestError):
    """This rank stops because another one failed."""


def active() -> bool:
    """Whether this process is one of several."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """This process' number, 0 when alone."""
    return dist.get_rank() if active() else 0


def mean(values: list[float]) -> list[float]:
    """Each value's mean over the ranks; NaN on one rank is NaN on all."""
    if not active():
        return values
    agree(None)
    total = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(total, group=_group())
    means: list[float] = (total / dist.get_world_size()).tolist()
    return means


def mean_of(loss: torch.Tensor) -> torch.Tensor:
    """The mean over the ranks of one loss, as a tensor."""
    return loss if not active() else loss.new_tensor(mean([float(loss.item())])[0])


def together(action: Callable[[], T]) -> T:
    """Run ``action`` on every rank; if it raises on one, raise on all.

    Called before a collective operation of the training (a backward pass under DDP), so that no
    rank enters it while another has left.

    Raises:
        RangeTestError: another rank raised; that rank raises its own exception.
    """
    if not active():
        return action()
    error: BaseException | None = None
    result: T | None = None
    try:
        result = action()
    except BaseException as caught:  # noqa: BLE001  (raised again below, after the others know)
        error = caught
    agree(error)
    return result  # type: ignore[return-value]  # agree() has raised if there is none


def agree(error: BaseException | None) -> None:
    """Tell the other ranks whether this one failed; raise if any did."""
    failed = tell(error)
    if error is not None:
        raise error
    if failed is not None:
        raise OtherRankError(
            f"Rank {failed} failed during the range test, so all ranks stop; its own message says "
            "why."
        )


def tell(error: BaseException | None) -> int | None:
    """Tell the other ranks whether this one failed; return the number of one that did, if any.

    An error is told once. A rank that stops because another has failed has nothing to tell: all
    know.

    Raises:
        RangeTestError: another rank is gone.
    """
    if not active() or isinstance(error, OtherRankError) or _TOLD in getattr(error, "__dict__", ()):
        return None
    failed = torch.tensor([0 if error is None else rank() + 1])
    how: Any = dist.AllreduceOptions()
    how.reduceOp = dist.ReduceOp.MAX
    if error is not None:
        how.timeout = PATIENCE
        error.__dict__[_TOLD] = True
    try:
        _group().allreduce([failed], how).wait()
    except RuntimeError as lost:
        if error is not None:
            return None  # nobody listens; what happened here is still to be raised
        raise OtherRankError(
            "The connection to another rank broke during the range test; its own message says why."
        ) from lost
    return int(failed.item()) - 1 if failed.item() else None


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Whatever is raised in the block is told to the other ranks, unless they know."""
    try:
        yield
    except BaseException as error:
        tell(error)
        raise


def clock() -> float:
    """Seconds; rank 0's on every rank, so that all stop at the same update."""
    now = time.monotonic()
    if not active():
        return now
    agree(None)
    shared = torch.tensor([now], dtype=torch.float64)
    dist.broadcast(shared, src=0, group=_group())
    return float(shared.item())


def _group() -> Any:
    global _control  # noqa: PLW0603  (making a group is collective and slow: once per world)
    world = dist.group.WORLD
    if _control is None or _control[0] is not world:
        _control = (world, dist.new_group(backend="gloo"))
    return _control[1]
