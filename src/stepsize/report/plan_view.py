"""What the picture of a plan shows, decided once for the PNG, the page and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import final

from stepsize.errors import InputError
from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.timeline import Stretch, Timeline
from stepsize.report.plan_words import block_words, peak_words, rate_words, title_words
from stepsize.report.schedule_trace import trace
from stepsize.report.wording import plain_text, shorten

#: What a group does in a stretch of epochs, by the words of the legend.
STATES = {
    "trained": "trained (fainter: lower rate)",
    "frozen": "frozen",
    "precomputed": "frozen, outputs computed once",
}
#: How the rates of a phase are decided before it begins, by the words of the legend.
SEARCHES = {
    "find": "range test",
    "groups": "range test of this group",
    "tune": "race on the validation set",
    "cycle": "end of a cycle",
}
#: Updates of an epoch where nobody says how many; only the shape of schedules depends on it.
_UPDATES = 100
#: Points of a line.
_POINTS = 240
#: Fewer letters than this tell nothing of a name.
_SHORTEST = 9
#: How strong the colour of a rate is: of the highest, a decade lower, just below that, at least.
#: Between the middle two neither dark nor light text could be read in it, on light and dark pages.
_FULL, _STRONG, _WEAK, _FAINTEST = 1.0, 0.74, 0.46, 0.26


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """Epochs in which a group does one thing.

    Attributes:
        start, stop: epochs done before and after it.
        state: one of :data:`STATES`.
        strength: of the colour, from 0 to 1: how high the group's rate is; 0 where it is frozen. On
            more than a half the colour of the page can be read, on less that of its text.
        text: its rate, such as ``"lr/10"``; empty where it is frozen.
    """

    start: int
    stop: int
    state: str
    strength: float = 0.0
    text: str = ""


@final
@dataclass(frozen=True, slots=True)
class Lane:
    """A layer group: its name, what it does, and the epochs before which its rate is measured."""

    name: str
    cells: tuple[Cell, ...]
    tests: tuple[int, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Block:
    """A phase.

    Attributes:
        number: its place, from 1.
        name: its name.
        start, stop: epochs done before and after it.
        shape: the rate of the highest group over the epochs, as shares of its highest value; empty
            where the schedule needs to know how many updates an epoch has.
        cycle_ends: epochs done when a cycle ends, that of the phase itself left out.
        search: ``"find"`` or ``"tune"`` where something is trained before it to decide its peak.
        peak: where its peak comes from, in a few words.
        words: all of it in a sentence.
    """

    number: int
    name: str
    start: int
    stop: int
    shape: tuple[tuple[float, float], ...]
    cycle_ends: tuple[float, ...]
    search: str
    peak: str
    words: str


@final
@dataclass(frozen=True, slots=True)
class PlanView:
    """One plan over its epochs, with every drawing decision made.

    Attributes:
        title: which plan, how long.
        about: where it comes from; may be empty.
        epochs: the horizontal axis goes from 0 to here.
        blocks: the phases in order.
        lanes: the layer groups from the input, on top, to the head.
        legend: the states and searches that occur, with their words.
    """

    title: str
    about: str
    epochs: int
    blocks: tuple[Block, ...]
    lanes: tuple[Lane, ...]
    legend: Mapping[str, str]


def view_of(
    timeline: Timeline,
    decisions: Sequence[PhaseDecision] = (),
    updates_per_epoch: int | None = None,
) -> PlanView:
    """What the picture of ``timeline`` shows.

    Args:
        timeline: the plan over its epochs.
        decisions: what was decided in a run that was made, phase by phase; its rates are shown.
        updates_per_epoch: for schedules with lengths in updates.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> view = view_of(PLANS["fastai"].timeline(12, ["stem", "body", "head"]))
    >>> [(lane.name, [(c.start, c.stop, c.text or c.state) for c in lane.cells])
    ...  for lane in view.lanes[:2]]
    [('stem', [(0, 2, 'precomputed'), (2, 5, 'frozen'), (5, 12, 'lr/100')]),
     ('body', [(0, 2, 'precomputed'), (2, 5, 'frozen'), (5, 12, 'lr/10')])]
    """
    made = {decision.phase: decision for decision in decisions}
    peaks = _peaks(timeline, made)
    blocks = tuple(
        _block(stretch, number, peaks[number - 1], updates_per_epoch or _UPDATES, timeline)
        for number, stretch in enumerate(timeline.stretches, 1)
    )
    lanes = tuple(_lane(timeline, index, made, peaks) for index in range(len(timeline.names)))
    return PlanView(
        title_words(timeline),
        plain_text(timeline.plan.about),
        timeline.epochs,
        blocks,
        lanes,
        dict(_legend(blocks, lanes)),
    )


def name_of(block: Block, letters: int) -> str:
    """The number of a phase, and as much of its name and its peak as that many letters hold.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> block = view_of(PLANS["fastai"].timeline(12, 3)).blocks[0]
    >>> [name_of(block, letters) for letters in (40, 20, 14, 5, -1)]
    ['1  precomputed head  (lr found)', '1  precomputed head', '1  precompute…', '1', '']
    """
    name = f"{block.number}  {block.name}"
    long = f"{name}  ({block.peak})"
    if len(long) <= letters:
        return long
    if letters >= min(_SHORTEST, len(name)):
        return shorten(name, letters)
    return str(block.number)[: max(0, letters)]


def _peaks(timeline: Timeline, made: Mapping[str, PhaseDecision]) -> list[float | None]:
    """The peak of every phase; None where it is not known before the run."""
    peaks: list[float | None] = []
    for stretch in timeline.stretches:
        phase = stretch.phase
        if phase.name in made:
            peaks.append(made[phase.name].peak)
        elif isinstance(phase.lr, float):
            peaks.append(phase.lr)
        else:
            peaks.append(peaks[-1] if phase.lr == "previous" else None)
    return peaks


def _block(
    stretch: Stretch, number: int, peak: float | None, updates: int, timeline: Timeline
) -> Block:
    phase = stretch.phase
    shape, ends = _shape(stretch, updates)
    return Block(
        number,
        plain_text(phase.name),
        stretch.first_epoch,
        stretch.stop,
        shape,
        ends,
        str(phase.lr) if phase.lr in SEARCHES else "",
        peak_words(phase, peak),
        block_words(stretch, len(timeline.names), peak),
    )


def _shape(
    stretch: Stretch, updates: int
) -> tuple[tuple[tuple[float, float], ...], tuple[float, ...]]:
    steps = stretch.epochs * updates
    try:
        schedule = stretch.phase.resolved(1.0, steps, updates)
    except InputError:
        return (), ()
    points = trace(schedule, steps).points
    top = max(point.value for point in points) or 1.0
    kept = points[:: max(1, len(points) // _POINTS)]
    ends = {end for end in schedule.cycle_ends(steps) if 0 < end < steps}
    kept += tuple(point for point in points if {point.step, point.step + 1} & ends)
    line = sorted({*kept, max(points, key=lambda point: point.value), points[-1]})
    place = [
        (stretch.first_epoch + (step + later) / updates, value / top)
        for step, value in line
        for later in ((0, 1) if step + 1 in ends else (0,))  # a restart is upright
    ]
    # A schedule without an end may begin its next cycle there.
    last = points[-1].value if schedule.length is None else schedule(steps)
    return (*place, (float(stretch.stop), last / top)), tuple(
        stretch.first_epoch + end / updates for end in sorted(ends)
    )


def _lane(
    timeline: Timeline,
    index: int,
    made: Mapping[str, PhaseDecision],
    peaks: Sequence[float | None],
) -> Lane:
    count = len(timeline.names)
    cells: list[Cell] = []
    tests: list[int] = []
    for stretch, peak in zip(timeline.stretches, peaks, strict=True):
        for trains, start, stop in _runs(stretch, count - index):
            if trains:
                ratio = _ratio(stretch, index, count, made)
                strength = 1.0 if ratio is None else _strength(ratio)
                cells.append(Cell(start, stop, "trained", strength, rate_words(ratio, peak)))
            else:
                state = "precomputed" if stretch.phase.precompute else "frozen"
                cells.append(Cell(start, stop, state))
        if stretch.phase.ratios == "measured" and stretch.trainable[-1] >= count - index:
            tests.append(stretch.first_epoch)
    return Lane(plain_text(timeline.names[index]), tuple(cells), tuple(tests))


def _runs(stretch: Stretch, least: int) -> Iterator[tuple[bool, int, int]]:
    """Whether the group that trains with ``least`` last ones does, from and until which epoch."""
    for trains, epochs in groupby(enumerate(stretch.trainable), lambda pair: pair[1] >= least):
        places = [stretch.first_epoch + epoch for epoch, _ in epochs]
        yield trains, places[0], places[-1] + 1


def _ratio(
    stretch: Stretch, index: int, count: int, made: Mapping[str, PhaseDecision]
) -> float | None:
    decision = made.get(stretch.phase.name)
    ratios = decision.ratios if decision else stretch.phase.fixed_ratios(count)
    return None if ratios is None else ratios[index]


def _strength(ratio: float) -> float:
    """The strength of the colour of a group whose rate is that share of the highest.

    >>> [round(_strength(ratio), 2) for ratio in (1.0, 0.1, 0.099, 0.01, 1e-6)]
    [1.0, 0.74, 0.46, 0.36, 0.26]
    """
    decades = -math.log10(ratio) if ratio > 0.0 else math.inf
    if decades <= 1.0:
        return min(_FULL, _FULL - (_FULL - _STRONG) * decades)
    return max(_FAINTEST, _WEAK - (_WEAK - _FAINTEST) / 2 * (decades - 1.0))


def _legend(blocks: Sequence[Block], lanes: Sequence[Lane]) -> Iterator[tuple[str, str]]:
    cells = [cell for lane in lanes for cell in lane.cells]
    states = {cell.state for cell in cells}
    for state, words in STATES.items():
        if state in states:
            plain = state == "trained" and min(c.strength for c in cells if c.text) == 1.0
            yield state, "trained" if plain else words
    searches = {block.search for block in blocks}
    searches |= {"groups"} if any(lane.tests for lane in lanes) else set()
    searches |= {"cycle"} if any(block.cycle_ends for block in blocks) else set()
    for search, words in SEARCHES.items():
        if search in searches:
            yield search, words
