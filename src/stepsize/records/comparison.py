"""What a comparison says: the runs, the ranking, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import require
from stepsize.records.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Version of the layout of ``compare.json``; raised when a field changes its meaning.
FORMAT = 1
#: What the ranking says of an arm. ``equal``: not distinguishable from the best. ``unknown``: too
#: few seeds to tell. ``diverged``: at least one of its runs did. ``incomplete``: runs are missing.
PLACES = ("best", "equal", "worse", "unknown", "diverged", "incomplete")

Interval = tuple[float, float]


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the ranking: an arm, its mean over the seeds, and its distance to the best.

    Attributes:
        arm: the arm's name.
        schedule: the schedule's text form.
        place: one of :data:`PLACES`.
        mean: of the metric over the runs that came to an end; None when one of them diverged.
        ci95: interval of the mean (t over the seeds); None with one seed.
        difference_to_best: mean of the paired differences, this arm minus the best one, seed by
            seed; 0 for the best.
        difference_ci95: interval of that difference alone, by the comparison's method.
        p_adjusted: two-sided p value of the difference, adjusted for the number of arms and for
            the choice of the best; never below Holm's (see :func:`stepsize.comparison.rank`).
        seeds: how many seeds the row rests on.
        final, best: the mean of every metric at the end and at each run's best epoch.
        best_epoch: mean of the epochs at which the runs were best.
        effort: updates spent to choose the arm's rates; None where the user gave them.
        rates_from: where the rates come from, in words, such as ``"find (275 updates)"``.
    """

    arm: str
    schedule: str
    place: str
    mean: float | None = None
    ci95: Interval | None = None
    difference_to_best: float | None = None
    difference_ci95: Interval | None = None
    p_adjusted: float | None = None
    seeds: int = 0
    final: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    best_epoch: float | None = None
    effort: int | None = None
    rates_from: str = "given"

    def __post_init__(self) -> None:
        require(
            self.place in PLACES,
            f"An arm's place is one of {', '.join(PLACES)}; got {self.place!r}.",
        )

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {
            "arm": self.arm,
            "schedule": self.schedule,
            "place": self.place,
            "mean": self.mean,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "difference_to_best": self.difference_to_best,
            "difference_ci95": None if self.difference_ci95 is None else list(self.difference_ci95),
            "p_adjusted": self.p_adjusted,
            "seeds": self.seeds,
            "final": dict(self.final),
            "best": dict(self.best),
            "best_epoch": self.best_epoch,
            "effort": self.effort,
            "rates_from": self.rates_from,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Standing:
        """The row that :meth:`to_dict` wrote."""
        known = dict(data)
        for name in ("ci95", "difference_ci95"):
            if known[name] is not None:
                low, high = known[name]
                known[name] = (float(low), float(high))
        return cls(**known)


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired runs of several schedules on one task, ranked with intervals.

    Attributes:
        task: the task's name.
        epochs, updates: the budget of every run.
        seeds: the seeds, the same for every arm.
        metric: what the ranking is by, such as ``val_loss``.
        higher: whether higher values of it are better.
        at: ``final``, or ``best`` to rank by each run's best epoch.
        interval: how intervals were made, in words: ``"paired t"`` or ``"paired bootstrap"``.
        runs: every run, arm by arm in the order asked for, seed by seed.
        ranking: the arms, best first; those that diverged or are incomplete last.
        test: the test set's metrics of the chosen arm by seed, read once; empty without one.
        notes: sentences a reader should know, such as rates chosen with unequal effort.
        settings: how it was run (command, versions, machine, git commit, ...), as JSON data.
        name: a title, or empty.
        store: where the runs are kept, or empty.
    """

    task: str
    epochs: int
    updates: int
    seeds: tuple[int, ...]
    metric: str
    runs: tuple[Run, ...]
    ranking: tuple[Standing, ...]
    higher: bool = False
    at: str = "final"
    interval: str = "paired t"
    test: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    store: str = ""

    @property
    def best(self) -> Standing | None:
        """The first of the ranking; None when no arm could be ranked."""
        return self.ranking[0] if self.ranking and self.ranking[0].place == "best" else None

    @property
    def equals(self) -> tuple[Standing, ...]:
        """The arms that cannot be told from the best."""
        return tuple(row for row in self.ranking if row.place in ("equal", "unknown"))

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms' names in the order asked for."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    def of(self, arm: str) -> tuple[Run, ...]:
        """The runs of one arm, seed by seed."""
        return tuple(run for run in self.runs if run.arm == arm)

    def __repr__(self) -> str:
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        head = f"Comparison({self.task}, {len(self.arms)} arms, {seeds}"
        best = self.best
        if best is None or best.mean is None:
            return f"{head}, nothing could be ranked)"
        others = f", {len(self.equals)} not distinguishable" if self.equals else ""
        return f"{head}: {best.arm} best, {self.metric} {best.mean:.4g}{others})"

    def _repr_html_(self) -> str:
        from stepsize.report.compare_html import fragment

        return fragment(self)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the curves and the ranking; save them when ``path`` is given (PNG, SVG or PDF).

        Raises:
            MissingDependencyError: matplotlib is not installed (``pip install 'stepsize[plot]'``).
            OutputError: ``path`` cannot be written.
        """
        from stepsize.report.compare_figure import draw

        return draw(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``compare.json``."""
        return {
            "format": FORMAT,
            "name": self.name,
            "task": self.task,
            "budget": {"epochs": self.epochs, "updates": self.updates},
            "seeds": list(self.seeds),
            "metric": self.metric,
            "higher": self.higher,
            "at": self.at,
            "interval": self.interval,
            "runs": [self._run_to_dict(run) for run in self.runs],
            "ranking": [row.to_dict() for row in self.ranking],
            "test": dict(self.test),
            "notes": list(self.notes),
            "settings": dict(self.settings),
            "store": self.store,
        }

    def _run_to_dict(self, run: Run) -> dict[str, Any]:
        best = run.best(self.metric, self.higher)
        return {**run.to_dict(), "best": {} if best is None else best.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Comparison:
        """The comparison that :meth:`to_dict` wrote."""
        return cls(
            task=data["task"],
            epochs=int(data["budget"]["epochs"]),
            updates=int(data["budget"]["updates"]),
            seeds=tuple(data["seeds"]),
            metric=data["metric"],
            runs=tuple(Run.from_dict(run) for run in data["runs"]),
            ranking=tuple(Standing.from_dict(row) for row in data["ranking"]),
            higher=bool(data["higher"]),
            at=data["at"],
            interval=data["interval"],
            test=dict(data["test"]),
            notes=tuple(data["notes"]),
            settings=dict(data["settings"]),
            name=data["name"],
            store=data["store"],
        )
