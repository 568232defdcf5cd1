"""What a tracker is: another tool's place for runs, and what is sent there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, final

from stepsize.records import Comparison

#: What a tracker is told of a run besides its updates.
Summary = Mapping[str, float | int | str]


class TrackerWarning(UserWarning):
    """A tracker failed and gets nothing more; the training and the store are as they should be."""


@final
@dataclass(frozen=True, slots=True)
class ComparisonInfo:
    """A comparison, as a tracker names it.

    Attributes:
        name: its title, or its task's name.
        key: its name in every store, made of letters and digits.
        task: the task's name.
        plan: what was asked, as JSON data.

    >>> ComparisonInfo("digits", "0123456789", "digits").label
    'digits 012345'
    """

    name: str
    key: str
    task: str
    plan: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The title, made one of its kind: two comparisons may have the same one."""
        return f"{self.name} {self.key[:6]}"


@final
@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run in a comparison, as a tracker describes it.

    Attributes:
        comparison: which one it belongs to.
        arm: what the comparison calls it.
        schedule: the schedule's text.
        seed: of its weights and batches.
        key: its name in every store, made of letters and digits.
        updates: its budget.
        definition, environment: what decides its numbers, and where it was made, as JSON data.
    """

    comparison: ComparisonInfo
    arm: str
    schedule: str
    seed: int
    key: str
    updates: int
    definition: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How lists and legends call it."""
        return f"{self.arm}, seed {self.seed}"


class RunTracker(Protocol):
    """One run in another tool, while it is being sent."""

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """Send the values of one update.

        Args:
            update: its number, 0 first; higher than the last one.
            values: ``lr`` and ``loss``; after an epoch's last update also ``epoch`` and the
                evaluation: ``train_loss``, ``val_loss``, ``val_<name>``. May be infinite or NaN.
        """

    def flush(self) -> None:
        """Hand over whatever still waits."""

    def end(self, status: str, summary: Summary) -> None:
        """Close the run there; it can be opened again.

        Args:
            status: one of :data:`stepsize.records.STATUSES`.
            summary: final and best values, seconds, what went wrong.
        """


class Tracker(Protocol):
    """Another tool's place for runs.

    Attributes:
        name: as :func:`~stepsize.trackers.open_tracker` knows it.
        target: the tool and the place: what was sent there is remembered under this name.
    """

    name: str
    target: str

    def has(self, info: RunInfo) -> bool:
        """Whether the run was opened there before and still is there."""

    def open(self, info: RunInfo, sent: int) -> RunTracker:
        """Begin to send a run, or go on after the ``sent`` updates that are there."""

    def finish(self, info: ComparisonInfo, result: Comparison, files: Mapping[str, bytes]) -> None:
        """Send the ranking, as the tool's own table, and the files (pictures, page, numbers)."""

    def close(self) -> None:
        """Nothing more will come."""
