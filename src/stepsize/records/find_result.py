"""The whole answer of ``find``: the suggestion, the curves it was read from, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from stepsize.records.curve import Curve
from stepsize.records.suggestion import Clr, Suggestion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Version of the layout of ``find.json``; raised when a field changes its meaning.
FORMAT = 1


@final
@dataclass(frozen=True, slots=True)
class FindResult:
    """A learning rate, the evidence for it and its price.

    Attributes:
        suggestion: the default rule's answer; ``lr``, ``interval``, ``clr``, ``verdict`` and
            ``reason`` are readable on the result itself.
        curve: the mean over the repeats, rate by rate.
        smoothed: the curve without its noise, one value per point; ``inf`` where there is none.
        repeats: the curves that were averaged, one per repeat.
        rules: what every other rule says, by name; None where that rule gives no answer.
        task: the name of what was tested, or None.
        updates: optimizer updates spent in all repeats together.
        settings: how the test was run (ladder, objective, seed, ...), as JSON data.
        group_ratios: each parameter group's rate as a fraction of ``lr``.
        notes: sentences a reader should know, such as a loader that ran dry.
        seconds: wall-clock time, left out of comparisons.
    """

    suggestion: Suggestion
    curve: Curve
    smoothed: tuple[float, ...] = ()
    repeats: tuple[Curve, ...] = ()
    rules: Mapping[str, float | None] = field(default_factory=dict)
    task: str | None = None
    updates: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    group_ratios: tuple[float, ...] = (1.0,)
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def lr(self) -> float | None:
        """The suggested rate; None when ``find`` abstains."""
        return self.suggestion.lr

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of :attr:`lr`."""
        return self.suggestion.interval

    @property
    def clr(self) -> Clr | None:
        """``base_lr`` and ``max_lr`` for cyclical schedules."""
        return self.suggestion.clr

    @property
    def verdict(self) -> str:
        """``ok``, or the kind of abstention."""
        return self.suggestion.verdict

    @property
    def reason(self) -> str:
        """Why this rate, or why none and what to try."""
        return self.suggestion.reason

    @property
    def group_lrs(self) -> tuple[float, ...] | None:
        """The rate of each parameter group at :attr:`lr`, ratios kept."""
        if self.lr is None:
            return None
        return tuple(ratio * self.lr for ratio in self.group_ratios)

    def __repr__(self) -> str:
        about = f"FindResult({self.task or 'your model'}: "
        if self.lr is None:
            return f"{about}{self.verdict}, no rate suggested; {self.updates} updates)"
        low, high = self.interval or (self.lr, self.lr)
        return f"{about}lr={self.lr:.3g} [{low:.3g}, {high:.3g}], {self.updates} updates)"

    def _repr_html_(self) -> str:
        from stepsize.report.find_html import fragment

        return fragment(self)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the curve with the suggestion; save it when ``path`` is given (PNG, SVG or PDF).

        Raises:
            MissingDependencyError: matplotlib is not installed (``pip install 'stepsize[plot]'``).
            OutputError: ``path`` cannot be written.
        """
        from stepsize.report.find_figure import draw

        return draw(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``find.json``."""
        curve = self.curve.to_dict()
        curve["smoothed"] = [value if math.isfinite(value) else None for value in self.smoothed]
        return {
            "format": FORMAT,
            "task": self.task,
            **self.suggestion.to_dict(),
            "rules": dict(self.rules),
            "updates": self.updates,
            "curve": curve,
            "repeats": [repeat.to_dict() for repeat in self.repeats],
            "group_ratios": list(self.group_ratios),
            "settings": dict(self.settings),
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FindResult:
        """The result that :meth:`to_dict` wrote."""
        smoothed = data["curve"].get("smoothed", ())
        return cls(
            suggestion=Suggestion.from_dict(data),
            curve=Curve.from_dict(data["curve"]),
            smoothed=tuple(math.inf if value is None else float(value) for value in smoothed),
            repeats=tuple(Curve.from_dict(repeat) for repeat in data.get("repeats", ())),
            rules=dict(data.get("rules", {})),
            task=data.get("task"),
            updates=int(data.get("updates", 0)),
            settings=dict(data.get("settings", {})),
            group_ratios=tuple(data.get("group_ratios", (1.0,))),
            notes=tuple(data.get("notes", ())),
            seconds=float(data.get("seconds", 0.0)),
        )
