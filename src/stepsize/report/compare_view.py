"""What the forms of a comparison show, decided once for the PNG, the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stepsize.records import Comparison, Evaluation, Run, Standing
from stepsize.report.axes import even_ticks
from stepsize.report.compare_panels import Panel, Style, band_text, focus, panels_of, style_of
from stepsize.report.compare_rates import Rates, rates_of
from stepsize.report.compare_words import (
    RANKED,
    answer_of,
    cost_of,
    decimals_by_metric,
    decimals_of_values,
    effort_text,
    interval_text,
    method_text,
    metric_text,
    number_text,
    place_text,
    standings_of,
    title_of,
)
from stepsize.report.schedule_view import Axis
from stepsize.report.wording import count_text, plain_text, seconds_text

#: Intervals beyond those of the better half are shown if they widen the axis by no more than this.
_FOREST_SLACK = 6.0
_MARGIN = 0.04

_Decimals = Mapping[str, int | None]


@final
@dataclass(frozen=True, slots=True)
class RankRow:
    """One row of the ranking, its numbers as text.

    Attributes:
        number: the place from 1; empty for an arm that could not be ranked.
        place: one of :data:`~stepsize.records.comparison.PLACES`, and ``place_text`` in words.
        arm, schedule: the names as they are; every form escapes them in its own way.
        style: how the arm is drawn.
        mean, interval: of the ranking's metric, a dash and nothing where there is none. Of an
            incomplete arm it is over the seeds that are finished.
        difference, difference_interval: to the best; empty for the best.
        p: the adjusted p value, or empty.
        final, best: the mean of every metric at the end and at the best epochs, by its name.
        best_epoch: the mean of the best epochs, or a dash.
        effort: updates spent to choose the rates, ``none`` where the user gave them.
        rates_from: where the rates come from.
    """

    number: str
    place: str
    place_text: str
    arm: str
    schedule: str
    style: Style
    mean: str
    interval: str
    difference: str
    difference_interval: str
    p: str
    final: Mapping[str, str]
    best: Mapping[str, str]
    best_epoch: str
    effort: str
    rates_from: str


@final
@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in words.

    Attributes:
        arm, seed, status, key: whose it is, and what became of it.
        style: how the arm is drawn.
        updates: how many of how many.
        final: the values at the end by metric; empty unless it is finished.
        best: the values at its best epoch by metric, and ``best_epoch``.
        time: spent training.
        error: what went wrong, or empty.
    """

    arm: str
    seed: str
    status: str
    key: str
    style: Style
    updates: str
    final: Mapping[str, str]
    best: Mapping[str, str]
    best_epoch: str
    time: str
    error: str


@final
@dataclass(frozen=True, slots=True)
class ForestRow:
    """An arm's difference to the best, with its interval; None where there is none.

    ``off`` is -1 or 1 where the difference itself lies off the axis, to the left or right.
    """

    difference: float | None
    low: float | None
    high: float | None
    off: int


@final
@dataclass(frozen=True, slots=True)
class Forest:
    """The differences to the best as a forest plot.

    Attributes:
        axis: the horizontal axis: ``place`` goes from 0 at its left to 1 at its right.
        rows: one for each row of the ranking.
        label: what stands below the axis.
    """

    axis: Axis
    rows: tuple[ForestRow, ...]
    label: str

    @property
    def empty(self) -> bool:
        """Whether nothing is compared to the best."""
        return sum(row.difference is not None for row in self.rows) < 2


@final
@dataclass(frozen=True, slots=True)
class CompareView:
    """A :class:`~stepsize.records.Comparison` with every drawing decision made.

    Attributes:
        title: what was compared.
        answer: the headline, one sentence without a full stop.
        metric: what the ranking is by, in words.
        panels: the curves, the ranking's metric first.
        rates: the schedules.
        rows: the ranking.
        forest: the differences to the best, row by row.
        runs: every run, in the order of the ranking.
        test: the test set's values by metric in words; empty without one.
        test_about: whose they are.
        epochs, updates: the budget; the horizontal axes go from 0 to it.
        bands: what lines and bands are, in a sentence; empty for one seed.
        method: how means and intervals were made, in a sentence.
        cost: what the runs took.
        notes: sentences of the comparison that a reader should know.
        remarks: what the picture does not show, in sentences.
        noun: what is compared, such as ``schedule``.
    """

    title: str
    answer: str
    metric: str
    panels: tuple[Panel, ...]
    rates: Rates
    rows: tuple[RankRow, ...]
    forest: Forest
    runs: tuple[RunRow, ...]
    test: Mapping[str, str]
    test_about: str
    epochs: int
    updates: int
    bands: str
    method: str
    cost: str
    notes: tuple[str, ...]
    remarks: tuple[str, ...]
    noun: str


def view_of(comparison: Comparison, noun: str = "schedule") -> CompareView:
    """Decide how ``comparison`` of arms that are each a ``noun`` is shown.

    >>> from stepsize.records import Comparison, Evaluation, Run, Standing
    >>> end = (Evaluation(1, 10, {"val_loss": 0.3}),)
    >>> run = Run("cosine", "cosine(0.1, steps=10)", 0, "finished", 10, 10, end)
    >>> row = Standing("cosine", run.schedule, "best", 0.3, seeds=1)
    >>> view = view_of(Comparison("digits", 1, 10, (0,), "val_loss", (run,), (row,)))
    >>> view.title, view.answer
    ('digits: 1 schedule, 1 epoch (10 updates), 1 seed', 'cosine is best: validation loss 0.3000')
    """
    panels = panels_of(comparison)
    rates = rates_of(comparison)
    decimals = decimals_by_metric(comparison)
    rows = tuple(
        _row(row, style_of(number), comparison, decimals, number)
        for number, row in enumerate(standings_of(comparison))
    )
    remarks = (*(f"{p.label.capitalize()} is {p.remark}" for p in panels if p.remark), rates.remark)
    return CompareView(
        title=title_of(comparison, noun),
        answer=answer_of(comparison, noun),
        metric=metric_text(comparison.metric)
        + (" at the best epoch" if comparison.at == "best" else ""),
        panels=panels,
        rates=rates,
        rows=rows,
        forest=_forest(comparison),
        runs=tuple(_run_rows(comparison, decimals)),
        test=_test_texts(comparison.test),
        test_about=_test_about(comparison.test),
        epochs=comparison.epochs,
        updates=comparison.updates,
        bands=band_text(comparison),
        method=method_text(comparison),
        cost=cost_of(comparison),
        notes=tuple(plain_text(note) for note in comparison.notes),
        remarks=tuple(filter(None, remarks)),
        noun=noun,
    )


def _row(
    row: Standing, style: Style, comparison: Comparison, digits: _Decimals, number: int
) -> RankRow:
    ahead = row.place != "best"
    decimals = digits[comparison.metric]
    ranked = row.place in RANKED  # the means of seeds that are left would flatter an arm
    return RankRow(
        number=str(number + 1) if ranked else "",
        place=row.place,
        place_text=place_text(row, comparison.of(row.arm)),
        arm=row.arm,
        schedule=row.schedule,
        style=style,
        mean=number_text(row.mean, decimals),
        interval=interval_text(row.ci95, decimals),
        difference=_difference(row, decimals) if ahead else "",
        difference_interval=interval_text(row.difference_ci95, decimals, sign=True)
        if ahead
        else "",
        p=_p_text(row.p_adjusted),
        final=_texts(row.final, digits) if ranked else {},
        best=_texts(row.best, digits) if ranked else {},
        best_epoch=f"{row.best_epoch:.0f}" if ranked and row.best_epoch is not None else "–",
        effort=effort_text(row),
        rates_from=plain_text(row.rates_from),
    )


def _difference(row: Standing, decimals: int | None) -> str:
    known = row.difference_to_best is not None
    return number_text(row.difference_to_best, decimals, sign=True) if known else ""


def _p_text(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _texts(values: Mapping[str, float], decimals: _Decimals) -> dict[str, str]:
    return {name: number_text(value, decimals.get(name)) for name, value in values.items()}


def _run_rows(comparison: Comparison, decimals: _Decimals) -> list[RunRow]:
    rows = []
    for number, standing in enumerate(standings_of(comparison)):
        for run in comparison.of(standing.arm):
            best = run.best(comparison.metric, comparison.higher)
            rows.append(_run_row(run, style_of(number), best, decimals))
    return rows


def _run_row(run: Run, style: Style, best: Evaluation | None, decimals: _Decimals) -> RunRow:
    return RunRow(
        arm=run.arm,
        seed=str(run.seed),
        status=run.status,
        key=run.key,
        style=style,
        updates=f"{count_text(run.done)} of {count_text(run.updates)}",
        final=_texts(run.final, decimals),
        best={} if best is None else _texts(best.values, decimals),
        best_epoch="–" if best is None else str(best.epoch),
        time=seconds_text(run.seconds) if run.seconds > 0 else "–",
        error=plain_text(run.error),
    )


def _test_texts(test: Mapping[str, Any]) -> dict[str, str]:
    """The test set's values by metric in words."""
    values = test.get("mean", {})
    decimals = {name: decimals_of_values([value]) for name, value in values.items()}
    return {metric_text(name): text for name, text in _texts(values, decimals).items()}


def _test_about(test: Mapping[str, Any]) -> str:
    """Whose values these are, such as ``cosine(0.1), mean of 3 seeds, read once``.

    A test set that was read for other comparisons too is told in the notes.
    """
    if not test.get("mean"):
        return ""
    seeds = len(test.get("seeds", ()))
    mean = f", mean of {seeds} seeds" if seeds > 1 else ""
    once = "" if test.get("reads", 1) > 1 else ", read once"
    return f"{plain_text(test.get('arm', ''))}{mean}{once}"


def _forest(comparison: Comparison) -> Forest:
    """Differences to the best; the better half decides how wide the axis is."""
    worse = "left" if comparison.higher else "right"
    label = f"difference to the best ({worse}: worse)"
    ranked = [row for row in comparison.ranking if row.place in RANKED]
    core = [end for row in ranked[: max(2, -(-len(ranked) // 2))] for end in _ends(row)]
    every = [end for row in ranked for end in _ends(row)]
    low, high = focus([0.0, *core], every, _FOREST_SLACK)
    margin = _MARGIN * (high - low) or 1.0
    low, high = low - margin, high + margin
    axis = Axis(low, high, False, even_ticks(low, high, 7))
    return Forest(axis, tuple(_forest_row(row, axis) for row in standings_of(comparison)), label)


def _ends(row: Standing) -> tuple[float, ...]:
    known = row.difference_to_best
    if row.place == "best" or known is None:
        return (0.0,)
    return (known, *(row.difference_ci95 or ()))


def _forest_row(row: Standing, axis: Axis) -> ForestRow:
    if row.difference_to_best is None or row.place not in RANKED:
        return ForestRow(None, None, None, 0)
    place = axis.place(row.difference_to_best)
    low, high = (row.place != "best" and row.difference_ci95) or (None, None)
    return ForestRow(row.difference_to_best, low, high, -1 if place < 0 else int(place > 1))
