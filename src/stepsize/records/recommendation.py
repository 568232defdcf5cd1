"""The answer of ``tune``: a peak rate and a schedule for a training of a given length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

from stepsize.errors import require
from stepsize.records.find_result import FindResult
from stepsize.records.race import RaceArm

#: Version of the layout of ``tune.json``; raised when a field changes its meaning.
FORMAT = 1
#: ``ok`` carries a rate and a schedule; every other verdict is an abstention. ``flat``: no rate
#: learned anything. ``diverged``: no rate survived. ``too_short``: interrupted, or out of budget,
#: before anything was known.
TUNE_VERDICTS = ("ok", "flat", "diverged", "too_short")

Interval = tuple[float, float]


class Cost(NamedTuple):
    """What an answer cost, in optimizer updates.

    Attributes:
        updates: updates made.
        evaluation_updates: what the evaluations cost, as the number of updates that compute as
            much (a forward pass is a third of an update).
        full_training_updates: updates of one training of the length that was asked for.
    """

    updates: int
    evaluation_updates: float
    full_training_updates: int

    @property
    def ratio(self) -> float:
        """Everything, in full trainings."""
        return (self.updates + self.evaluation_updates) / self.full_training_updates

    def to_dict(self) -> dict[str, Any]:
        """The cost as JSON data."""
        return {**self._asdict(), "ratio": self.ratio}


class Alternative(NamedTuple):
    """The answer carried over to something that was not raced.

    Attributes:
        what: in words, such as ``"cosine"`` or ``"4 times as long"``.
        schedule: its text form.
        interval: where the best peak is expected, at 80 %.
        basis: ``"measured"`` in this race, or ``"expected"`` from the workloads of the benchmark.
    """

    what: str
    schedule: str
    interval: Interval
    basis: str


@final
@dataclass(frozen=True, slots=True)
class Recommendation:
    """A peak learning rate and a schedule, why, what they cost to find, and how sure they are.

    Attributes:
        task: the task's name.
        epochs, updates: the length of the training it is for.
        verdict: one of :data:`TUNE_VERDICTS`.
        reason: one to three sentences: why these, or why none and what to try.
        lr: the peak rate; None when it abstains.
        interval: rates that may be as good as ``lr``, at 80 %; None when it abstains.
        schedule: the text form of the schedule with its peak, for :func:`stepsize.compare` and the
            rest; None when it abstains.
        optimizer: another optimizer than the task's own, if that won; empty for its own.
        expected: by metric, such as ``val_loss``: the ``"mean"`` expected at the end of the
            training and its ``"ci95"``.
        sensitivity: how far rates three times lower and higher were behind in the race, as a share
            of what the training gains: a bound from above; None where it is not known. Small: the
            rate hardly matters here.
        start_loss: the validation loss before any update; None where it was not measured.
        cost: what it cost.
        evidence: the arms of the race, in the order in which they were begun.
        alternatives: the answer for other schedules and lengths.
        find: the range test that the race began with, or None.
        interrupted: it was stopped early and answers with what it knew.
        notes: sentences a reader should know.
        settings: how it was run, as JSON data.
        seconds: wall-clock time, left out of comparisons.

    Raises:
        InputError: an unknown verdict, or a rate beside an abstention.
    """

    task: str
    epochs: int
    updates: int
    verdict: str
    reason: str
    cost: Cost
    lr: float | None = None
    interval: Interval | None = None
    schedule: str | None = None
    optimizer: str = ""
    expected: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sensitivity: float | None = None
    start_loss: float | None = None
    evidence: tuple[RaceArm, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    find: FindResult | None = None
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        require(
            self.verdict in TUNE_VERDICTS,
            f"A verdict is one of {', '.join(TUNE_VERDICTS)}; got {self.verdict!r}.",
        )
        for name in ("lr", "schedule"):
            require(
                (self.verdict == "ok") == (getattr(self, name) is not None),
                f"The verdict {self.verdict!r} does not go with {name}={getattr(self, name)!r}: "
                "'ok' carries a rate and a schedule, an abstention carries none.",
            )

    def __repr__(self) -> str:
        spent = f"{self.cost.ratio:.2f} trainings"
        if self.lr is None:
            return f"Recommendation({self.task}: {self.verdict}, no rate recommended; {spent})"
        low, high = self.interval or (self.lr, self.lr)
        with_optimizer = f" with {self.optimizer}" if self.optimizer else ""
        return (
            f"Recommendation({self.task}: {self.schedule}{with_optimizer}, "
            f"lr={self.lr:.3g} [{low:.3g}, {high:.3g}]; {spent})"
        )

    def _repr_html_(self) -> str:
        from stepsize.report.tune_html import fragment

        return fragment(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the race; save it when ``path`` is given (PNG, SVG or PDF).

        Raises:
            MissingDependencyError: matplotlib is not installed (``pip install 'stepsize[plot]'``).
            OutputError: ``path`` cannot be written.
        """
        from stepsize.report.tune_figure import draw

        return draw(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``tune.json``."""
        return {
            "format": FORMAT,
            "task": self.task,
            "epochs": self.epochs,
            "updates": self.updates,
            "verdict": self.verdict,
            "reason": self.reason,
            "lr": self.lr,
            "interval": None if self.interval is None else list(self.interval),
            "schedule": self.schedule,
            "optimizer": self.optimizer,
            "cost": self.cost.to_dict(),
            "expected": {name: dict(value) for name, value in self.expected.items()},
            "sensitivity": self.sensitivity,
            "start_loss": self.start_loss,
            "evidence": [arm.to_dict() for arm in self.evidence],
            "alternatives": [
                {**each._asdict(), "interval": list(each.interval)} for each in self.alternatives
            ],
            "find": None if self.find is None else self.find.to_dict(),
            "interrupted": self.interrupted,
            "notes": list(self.notes),
            "settings": dict(self.settings),
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recommendation:
        """The recommendation that :meth:`to_dict` wrote."""
        known = {name: value for name, value in data.items() if name != "format"}
        interval, cost = data["interval"], data["cost"]
        known["interval"] = None if interval is None else _pair(interval)
        known["cost"] = Cost(*(cost[name] for name in Cost._fields))
        known["evidence"] = tuple(RaceArm.from_dict(arm) for arm in data["evidence"])
        known["alternatives"] = tuple(
            Alternative(**{**each, "interval": _pair(each["interval"])})
            for each in data["alternatives"]
        )
        known["find"] = None if data["find"] is None else FindResult.from_dict(data["find"])
        known["notes"] = tuple(data["notes"])
        return cls(**known)


def _pair(given: Any) -> Interval:
    low, high = given
    return float(low), float(high)
