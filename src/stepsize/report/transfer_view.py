"""What the forms of a comparison of transfer plans show, decided once for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import StepsizeError
from stepsize.records import Comparison
from stepsize.report.compare_panels import Style
from stepsize.report.compare_view import CompareView
from stepsize.report.compare_view import view_of as compare_view_of
from stepsize.report.find_view import FindView
from stepsize.report.find_view import view_of as find_view_of
from stepsize.report.transfer_words import (
    activations_text,
    cost_texts,
    geometric_mean,
    peaks_text,
    plan_text,
    ratios_text,
    schedule_text,
    source_text,
    span_text,
    trained_text,
    worth_headline,
    worth_text,
)
from stepsize.report.tune_words import title as race_title
from stepsize.report.wording import plain_text

if TYPE_CHECKING:
    from stepsize.fine_tuning import (
        LayerGroups,
        LayerRangeTests,
        PhaseDecision,
        Timeline,
        TransferPlan,
        TransferResult,
    )


@final
@dataclass(frozen=True, slots=True)
class PhaseReport:
    """One phase of a plan as the runs had it, the numbers as text.

    Attributes:
        name: of the phase.
        span: which epochs.
        trained: how many of the last layer groups.
        peak, peaks: the rate, and that of every seed where they differ.
        ratios: of the layer groups.
        schedule: its text in the first run.
        lr_from: where the rates come from, each way once, and what that took.
        activations: what became of precomputing, a sentence; or empty.
        races: what races on the validation set said, by seed.
        finds: the range tests, by seed.
        layer_tests: the range tests of the layer groups, by seed.
    """

    name: str
    span: str
    trained: str
    peak: str
    peaks: str
    ratios: str
    schedule: str
    lr_from: str
    activations: str
    races: Mapping[int, str]
    finds: Mapping[int, FindView]
    layer_tests: Mapping[int, LayerRangeTests]


@final
@dataclass(frozen=True, slots=True)
class PlanReport:
    """One plan and what its runs made of it.

    Attributes:
        number: its place in the ranking, from 0.
        arm, about: its name, and what it is for.
        style: how it is drawn.
        timeline: the plan laid out; None where it has no room in so few epochs.
        phases: what was decided, in order.
        decisions: those of its first run that came farthest.
        cost: what finding the rates took in the mean: updates, trainings, time.
        rates: the peak rate of every layer group of the model in the last phase that trains it,
            geometric means over the seeds; None where no phase does.
    """

    number: int
    arm: str
    about: str
    style: Style
    timeline: Timeline | None
    phases: tuple[PhaseReport, ...]
    decisions: tuple[PhaseDecision, ...]
    cost: tuple[str, str, str]
    rates: tuple[float | None, ...]


@final
@dataclass(frozen=True, slots=True)
class TransferView:
    """A :class:`~stepsize.fine_tuning.TransferResult` with every drawing decision made.

    Attributes:
        compare: the ranking and the curves.
        verdict: was transfer worth it: ``worth it``, ``not distinguishable``, ``not worth it``, or
            empty where that is not known.
        headline, evidence: the same in words, and what it rests on.
        plans: best first.
        names: of the model's layer groups, the one nearest the input first.
    """

    compare: CompareView
    verdict: str
    headline: str
    evidence: str
    plans: tuple[PlanReport, ...]
    names: tuple[str, ...]


def view_of(result: TransferResult) -> TransferView:
    """Decide how ``result`` is shown."""
    known = {plan.name: plan for plan in result.plans}
    timelines = {name: _timeline(plan, result) for name, plan in known.items()}
    compare = compare_view_of(_with_rates(result), "plan")
    rows = tuple(
        replace(row, schedule=plan_text(known[row.arm], timelines[row.arm]))
        if row.arm in known
        else row
        for row in compare.rows
    )
    plans = tuple(
        _plan(result, number, row.style, known[row.arm], timelines[row.arm])
        for number, row in enumerate(rows)
        if row.arm in known
    )
    return TransferView(
        compare=replace(compare, rows=rows),
        verdict="" if result.worth is None else str(result.worth["verdict"]),
        headline=worth_headline(result),
        evidence=worth_text(result),
        plans=plans,
        names=result.groups.names,
    )


def _timeline(plan: TransferPlan, result: TransferResult) -> Timeline | None:
    try:
        return plan.timeline(result.comparison.epochs, result.groups)
    except StepsizeError:  # it failed for that reason, and its run says so
        return None


def _plan(
    result: TransferResult,
    number: int,
    style: Style,
    plan: TransferPlan,
    timeline: Timeline | None,
) -> PlanReport:
    decisions = result.decisions.get(plan.name, {})
    count = max(map(len, decisions.values()), default=0)
    groups = result.groups_of(plan.name)
    phases = tuple(
        _phase({seed: known[i] for seed, known in decisions.items() if len(known) > i}, len(groups))
        for i in range(count)
    )
    return PlanReport(
        number=number,
        arm=plain_text(plan.name),
        about=plain_text(plan.about),
        style=style,
        timeline=timeline,
        phases=phases,
        decisions=max(decisions.values(), key=len, default=()),
        cost=cost_texts(decisions.values(), result.comparison.updates),
        rates=rates_of(decisions.values(), result.groups, groups),
    )


def _phase(of: Mapping[int, PhaseDecision], groups: int) -> PhaseReport:
    """One phase of the runs that came to it."""
    decisions = [of[seed] for seed in sorted(of)]
    first = decisions[0]
    peak, peaks = peaks_text(decisions)
    facts = [one.precomputed for one in decisions if one.precomputed is not None]
    return PhaseReport(
        name=plain_text(first.phase),
        span=span_text(first.first_epoch, first.epochs),
        trained=trained_text(first.trainable, groups),
        peak=peak,
        peaks=peaks,
        ratios=ratios_text(decisions),
        schedule=schedule_text(first.schedule),
        lr_from=source_text(decisions),
        activations=" ".join(dict.fromkeys(map(activations_text, facts[:1]))),
        races={s: race_title(r) for s in sorted(of) if (r := of[s].recommendation) is not None},
        finds={s: find_view_of(f) for s in sorted(of) if (f := of[s].find) is not None},
        layer_tests={s: t for s in sorted(of) if (t := of[s].layer_tests) is not None},
    )


def rates_of(runs: Any, whole: LayerGroups, merged: LayerGroups) -> tuple[float | None, ...]:
    """The peak rate of every group of the ``whole`` model where a plan works on ``merged`` ones.

    Args:
        runs: the decisions of every run.
        whole: the model's layer groups.
        merged: the plan's, some of them joined.
    """
    found: list[list[float]] = [[] for _ in merged]
    for decisions in runs:
        last: dict[int, float] = {}
        for decision in decisions:
            trained = range(len(merged) - max(decision.trainable), len(merged))
            last |= {group: decision.rates[group] for group in trained}
        for group, rate in last.items():
            found[group].append(rate)
    means = [geometric_mean(rates) if rates else None for rates in found]
    return tuple(means[merged.group_of(group.parameters[0])] or None for group in whole)


def _with_rates(result: TransferResult) -> Comparison:
    """The comparison with each arm's schedule as one text: the phases of its first run, chained."""
    comparison = result.comparison
    per_epoch = comparison.updates / comparison.epochs
    texts = {}
    for arm, runs in result.decisions.items():
        longest: Sequence[PhaseDecision] = max(runs.values(), key=len, default=())
        if longest:
            pieces = (
                f"cut({one.schedule}, steps={round(one.epochs * per_epoch)})" for one in longest
            )
            texts[arm] = f"chain({', '.join(pieces)})"
    return replace(
        comparison,
        runs=tuple(replace(r, schedule=texts.get(r.arm, r.schedule)) for r in comparison.runs),
        ranking=tuple(
            replace(row, schedule=texts.get(row.arm, row.schedule)) for row in comparison.ranking
        ),
    )
