"""What can be told of a loader by its kind: who puts its batches together, what it leaves out."""

from __future__ import annotations

from typing import Any

from torch.utils.data import BatchSampler, DataLoader

from stepsize.adapters.torch.trials.object_parts import parts_of
from stepsize.tasks import TensorBatches


def composed(loader: Any) -> bool:
    """Whether somebody's own sampler decides which examples meet in a batch.

    As for classes in equal parts, or sequences of like length.

    >>> composed(DataLoader(range(4), batch_size=2, shuffle=True))
    False
    >>> composed(DataLoader(range(4), batch_sampler=[[0, 2], [1, 3]]))
    True
    """
    loaders = [part for part in parts_of([loader]) if isinstance(part, DataLoader)]
    return any(_is_own(each) for each in loaders)


def _is_own(loader: DataLoader[Any]) -> bool:
    own = type(loader.sampler).__module__.startswith("torch.utils.data")
    whole = loader.batch_sampler is None or type(loader.batch_sampler) is BatchSampler
    return not (own and whole)


def left_out(loader: Any, given: int) -> int | None:
    """How many examples of the data a pass that has ``given`` so many leaves out; None: not known.

    >>> left_out(DataLoader(range(10), batch_size=4, drop_last=True), 8)
    2
    """
    data: Any = loader.inputs if isinstance(loader, TensorBatches) else None
    if isinstance(loader, DataLoader):
        data = loader.dataset
    try:
        return None if data is None else max(0, len(data) - given)
    except Exception:  # noqa: BLE001 - a data set over a stream raises whatever it likes here
        return None
