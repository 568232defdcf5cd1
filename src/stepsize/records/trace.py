"""A run's rates and losses, update by update, thinned honestly for a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stepsize.errors import require


@final
@dataclass(frozen=True, slots=True)
class Trace:
    """The rates and losses of a run in buckets of ``width`` consecutive updates.

    Nothing is dropped without a word: each bucket keeps its lowest and highest value, so peaks and
    restarts survive, and the mean of its losses. With ``width`` 1 it is the run itself.

    Attributes:
        width: updates in a bucket; the last one may have fewer.
        updates: how many updates the buckets cover.
        lr_low, lr_high: the extremes of the rate in each bucket.
        loss_low, loss_mean, loss_high: of the training loss; ``inf`` where one was not finite.

    Raises:
        InputError: columns of different lengths.

    >>> Trace(2, 3, (0.1, 0.3), (0.2, 0.3), (1.0, 0.5), (1.5, 0.5), (2.0, 0.5)).start(1)
    2
    """

    width: int
    updates: int
    lr_low: tuple[float, ...]
    lr_high: tuple[float, ...]
    loss_low: tuple[float, ...]
    loss_mean: tuple[float, ...]
    loss_high: tuple[float, ...]

    def __post_init__(self) -> None:
        columns = {len(getattr(self, name)) for name in _COLUMNS}
        require(
            columns == {-(-self.updates // self.width)},
            f"A trace of {self.updates} updates in buckets of {self.width} needs columns of "
            f"{-(-self.updates // self.width)}, got {sorted(columns)}.",
        )

    def __len__(self) -> int:
        return len(self.lr_low)

    def __repr__(self) -> str:
        return f"Trace({self.updates} updates in {len(self)} buckets of {self.width})"

    def start(self, bucket: int) -> int:
        """The first update of a bucket."""
        return bucket * self.width

    def to_dict(self) -> dict[str, Any]:
        """The trace as JSON data."""
        columns = {name: list(getattr(self, name)) for name in _COLUMNS}
        return {"width": self.width, "updates": self.updates, **columns}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trace:
        """The trace that :meth:`to_dict` wrote."""
        columns = {name: tuple(data[name]) for name in _COLUMNS}
        return cls(int(data["width"]), int(data["updates"]), **columns)


_COLUMNS = ("lr_low", "lr_high", "loss_low", "loss_mean", "loss_high")
