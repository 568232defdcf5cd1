"""A plan laid out over a number of epochs: which group trains when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import InputError, require
from stepsize.fine_tuning.layer_groups import LayerGroups
from stepsize.fine_tuning.phase import Phase
from stepsize.schedules.units import as_int

if TYPE_CHECKING:
    from stepsize.fine_tuning.plan import TransferPlan

#: A plan that needs more epochs than this is refused.
MOST_EPOCHS = 1_000_000


@final
@dataclass(frozen=True, slots=True)
class Stretch:
    """A phase in its place.

    Attributes:
        phase: the phase.
        first_epoch: epochs done before it.
        epochs: its own.
        trainable: how many of the last groups train, epoch by epoch.
    """

    phase: Phase
    first_epoch: int
    epochs: int
    trainable: tuple[int, ...]

    @property
    def stop(self) -> int:
        """Epochs done when it has ended."""
        return self.first_epoch + self.epochs

    @property
    def unfreezings(self) -> tuple[tuple[int, int], ...]:
        """Epochs done in the phase, and how many last groups train from there on.

        >>> from stepsize.fine_tuning.plan import TransferPlan
        >>> plan = TransferPlan("mine", (Phase("gradual", trainable="gradual"),))
        >>> plan.timeline(5, 3).stretches[0].unfreezings
        ((0, 1), (1, 2), (2, 3))
        """
        before = (0, *self.trainable)
        return tuple(
            (epoch, count) for epoch, count in enumerate(self.trainable) if count != before[epoch]
        )


@final
@dataclass(frozen=True, slots=True)
class Timeline:
    """What a plan does in a training of a given number of epochs, before anything is trained.

    Attributes:
        plan: the plan.
        names: the layer groups, the one nearest the input first.
        epochs: all epochs.
        stretches: the phases in order, each in its place.
    """

    plan: TransferPlan
    names: tuple[str, ...]
    epochs: int
    stretches: tuple[Stretch, ...]

    @property
    def least_epochs(self) -> int:
        """The fewest epochs in which the plan has room, with as many groups."""
        return least_epochs(self.plan, len(self.names))

    def at(self, epoch: int) -> Stretch:
        """The stretch that trains epoch ``epoch``, counted from 0.

        Raises:
            InputError: there is no such epoch.
        """
        for stretch in self.stretches:
            if stretch.first_epoch <= epoch < stretch.stop:
                return stretch
        raise InputError(f"This timeline has epochs 0 to {self.epochs - 1}, not {epoch!r}.")

    def __str__(self) -> str:
        from stepsize.report.plan_terminal import text

        return text(self)

    def _repr_html_(self) -> str:
        from stepsize.report.plan_svg import fragment

        return fragment(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the timeline; save it when ``path`` is given (PNG, SVG or PDF).

        Raises:
            MissingDependencyError: matplotlib is not installed (``pip install 'stepsize[plot]'``).
            OutputError: ``path`` cannot be written.
        """
        from stepsize.report.plan_figure import draw

        return draw(self, path)


def lay_out(plan: TransferPlan, epochs: int, groups: LayerGroups | Sequence[str] | int) -> Timeline:
    """The timeline of ``plan``; the body of :meth:`TransferPlan.timeline`."""
    total = as_int(epochs)
    if total is None or total < 1:
        raise InputError(f"A plan is laid out over 1 or more whole epochs, got {epochs!r:.200}.")
    names = _names(plan, groups)
    for phase in plan.phases:
        phase.fixed_ratios(len(names))  # raises where there are as many ratios as there are not
    spans = _spans(plan, total)
    if not _fits(plan, spans, total, len(names)):
        raise InputError(_no_room(plan, total, len(names)))
    stretches: list[Stretch] = []
    before = first = 0
    for phase, span in zip(plan.phases, spans, strict=True):
        counts = tuple(_counts(phase, span, before, len(names)))
        stretches.append(Stretch(phase, first, span, counts))
        before, first = counts[-1], first + span
    return Timeline(plan, names, total, tuple(stretches))


def least_epochs(plan: TransferPlan, groups: int) -> int:
    """The fewest epochs in which ``plan`` has room with that many layer groups.

    Raises:
        InputError: there is no such number.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> least_epochs(PLANS["ulmfit"], 5)
    5
    """
    return _next_that_fits(plan, 1, groups)


def _names(plan: TransferPlan, groups: LayerGroups | Sequence[str] | int) -> tuple[str, ...]:
    most = plan.groups
    if isinstance(groups, LayerGroups):
        return (groups if most is None or len(groups) <= most else groups.merged(most)).names
    count = as_int(groups)
    if count is not None:
        require(count >= 1, f"A model has 1 or more layer groups, got {groups!r}.")
        count = min(count, most or count)
        return (*(f"group {number}" for number in range(1, count)), "head")
    require(
        not isinstance(groups, (str, int)) and all(isinstance(name, str) for name in groups),
        f"Layer groups are LayerGroups, their names or their number, got {groups!r:.200}.",
    )
    names = tuple(groups) if not isinstance(groups, int) else ()
    require(bool(names), "A model has 1 or more layer groups, got no names.")
    require(
        most is None or len(names) <= most,
        f"The plan {plan.name!r} merges layer groups to {most} at most, and {len(names)} names "
        "were given: names alone cannot be merged. Give the LayerGroups.",
    )
    return names


def _spans(plan: TransferPlan, epochs: int) -> list[int]:
    """Epochs of every phase; that of the rest may come out below 1."""
    wished = [phase.share(epochs) for phase in plan.phases]
    left = epochs - sum(share for share in wished if share is not None)
    return [left if share is None else share for share in wished]


def _fits(plan: TransferPlan, spans: Sequence[int], epochs: int, groups: int) -> bool:
    room = all(span >= need for span, need in zip(spans, _needs(plan, groups), strict=True))
    return room and sum(spans) == epochs


def _needs(plan: TransferPlan, groups: int) -> Iterator[int]:
    """The fewest epochs of every phase."""
    before = 0
    for phase in plan.phases:
        count = phase.first_trainable(before, groups)
        gradual = phase.trainable == "gradual"
        yield (groups - count) * phase.unfreeze_epochs + 1 if gradual else 1
        before = groups if gradual else count


def _counts(phase: Phase, epochs: int, before: int, groups: int) -> Iterator[int]:
    first = phase.first_trainable(before, groups)
    gradual = phase.trainable == "gradual"
    for epoch in range(epochs):
        yield min(first + epoch // phase.unfreeze_epochs, groups) if gradual else first


def _next_that_fits(plan: TransferPlan, first: int, groups: int) -> int:
    for epochs in range(first, _most_needed(plan, groups) + 1):
        if _fits(plan, _spans(plan, epochs), epochs, groups):
            return epochs
    raise InputError(
        f"The plan {plan.name!r} has no room in any number of epochs with {groups} layer groups, "
        f"from {_epochs(first)} on: {_wishes(plan, groups)}. Give its phases other lengths."
    )


def _most_needed(plan: TransferPlan, groups: int) -> int:
    """A number of epochs from which on the plan has room, if it has room in any; else 0.

    Every share is long enough there, whatever is rounded, and so is what all of them leave.
    """
    taken, percent = 0, Fraction(0)
    enough = [Fraction(0)]
    for phase, need in zip(plan.phases, _needs(plan, groups), strict=True):
        longest = phase.share(MOST_EPOCHS)
        if longest is not None and longest < need:
            return 0
        taken += int(phase.epochs) if isinstance(phase.epochs, int) else need
        if phase.percent is not None:
            enough.append(need * 100 / phase.percent)
            percent += phase.percent
    enough.append((taken + len(plan.phases)) * 100 / (100 - percent))
    return min(ceil(max(enough)), MOST_EPOCHS)


def _no_room(plan: TransferPlan, epochs: int, groups: int) -> str:
    if all(isinstance(phase.epochs, int) for phase in plan.phases):
        takes = sum(int(phase.epochs) for phase in plan.phases)
        if _fits(plan, _spans(plan, takes), takes, groups):
            return (
                f"The phases of the plan {plan.name!r} take {takes} epochs, and {epochs} were "
                f"asked for. Train {takes} epochs, or let a phase take the rest (epochs='rest')."
            )
    return (
        f"The plan {plan.name!r} has no room in {_epochs(epochs)} with {groups} layer groups "
        f"({_wishes(plan, groups)}). Give it {_next_that_fits(plan, epochs, groups)} epochs at "
        "least, or a plan with fewer groups."
    )


def _wishes(plan: TransferPlan, groups: int) -> str:
    """What every phase asks for, and the least that it needs."""
    return ", ".join(
        f"{phase.name} {phase.epochs}{f', {need} at least' if need > 1 else ''}"
        for phase, need in zip(plan.phases, _needs(plan, groups), strict=True)
    )


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"
