"""The page of a comparison of transfer plans: one file, for a browser without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from stepsize.records import Trace
from stepsize.report import compare_html, plan_svg
from stepsize.report import compare_tables as tables
from stepsize.report.compare_svg import swatch
from stepsize.report.find_view import FindView
from stepsize.report.layer_rates_svg import layer_rates
from stepsize.report.page import asset, items, section, table, text
from stepsize.report.transfer_svg import range_tests
from stepsize.report.transfer_view import PhaseReport, PlanReport, TransferView, view_of
from stepsize.report.wording import count_text, rate_text

if TYPE_CHECKING:
    from stepsize.fine_tuning import LayerGroups, LayerRangeTests, TransferResult

#: Settings that the page shows in full: plans and layer groups.
_ELSEWHERE = ("transfer",)
#: Classes of the answer by verdict.
_KINDS = {"worth it": "good", "not worth it": "bad"}
_STYLES = ("layer_rates.css", "transfer.css")
#: Modules in a row of the table of groups; of more, the first and the last.
_MOST_MODULES = 6


def render(result: TransferResult, traces: Mapping[str, Trace] | None = None) -> str:
    """The whole page. The same input gives the same page, byte for byte.

    Args:
        result: what to show.
        traces: the updates of its runs by the run's key. Without them the training loss is that
            of the epochs, and the rates are those of each plan's first run.
    """
    view = view_of(result)
    answer = compare_html.answer_of(result.comparison, view.compare) + _worth(view)
    return compare_html.page_of(
        result.comparison,
        view.compare,
        traces or {},
        answer=answer,
        sections=_sections(result, view),
        style="".join(map(asset, _STYLES)) + plan_svg.CSS,
    )


def fragment(result: TransferResult) -> str:
    """A few lines of HTML for a notebook: was it worth it, and the ranking; no script."""
    view = view_of(result)
    worth = f"<strong>{text(view.headline)}</strong><div>{text(view.evidence)}</div>"
    return f"<div>{worth}</div>{compare_html.fragment_of(view.compare)}"


def _worth(view: TransferView) -> str:
    kind = _KINDS.get(view.verdict, "open")
    return (
        f'<div class="worth {kind}"><b>{text(view.headline)}</b> '
        f"<span>{text(view.evidence)}</span></div>"
    )


def _sections(result: TransferResult, view: TransferView) -> Iterator[str]:
    yield section("Ranking", tables.ranking(view.compare))
    yield section("What each plan did", "".join(_plan(plan) for plan in view.plans))
    yield section("Layer groups", _groups(result.groups))
    yield section("What finding the rates took", _costs(view))
    shown = {k: v for k, v in result.comparison.settings.items() if k not in _ELSEWHERE}
    comparison = replace(result.comparison, settings=shown)
    yield from compare_html.closing_sections(comparison, view.compare)


def _plan(plan: PlanReport) -> str:
    about = f'<p class="key about">{text(plan.about)}</p>' if plan.about else ""
    drawn = (
        "" if plan.timeline is None else plan_svg.html(plan.timeline, plan.decisions, words=False)
    )
    return (
        f'<article class="made arm-{plan.number}"><h3>{swatch(plan.number, plan.style)}'
        f"<span>{text(plan.arm)}</span></h3>{about}"
        f"{drawn}{_phases(plan)}{_finds(plan)}"
        f"{''.join(_measured(phase) for phase in plan.phases)}</article>"
    )


def _phases(plan: PlanReport) -> str:
    if not plan.phases:
        return '<p class="key">None of its runs got as far as a phase.</p>'
    head = (
        "phase",
        "epochs",
        "layer groups trained",
        "peak rate",
        "shares of it, input first",
        "rate from",
    )
    rows = [
        (
            f"{text(phase.name)}<small><code>{tables.name_text(phase.schedule)}</code></small>",
            phase.span,
            text(phase.trained),
            f"<b>{escape(phase.peak)}</b>" + _below(phase.peaks),
            text(phase.ratios) or "–",
            text(phase.lr_from),
        )
        for phase in plan.phases
    ]
    said = [phase.activations for phase in plan.phases if phase.activations]
    said += [
        f"Race at {p.name}, seed {s}: {race}" for p in plan.phases for s, race in p.races.items()
    ]
    return f'<div class="phases">{table(head, rows)}</div>' + (items(said) if said else "")


def _below(more: str) -> str:
    return f'<span class="sub">{escape(more)}</span>' if more else ""


def _finds(plan: PlanReport) -> str:
    """The range test of every phase that has one, all seeds in one picture."""
    pictures = "".join(
        f"<figure><figcaption>{text(phase.name)}: {text(_said(phase.finds))}</figcaption>"
        f'<div role="img" aria-label="range test: {text(_said(phase.finds))}">'
        f"{range_tests(tuple(phase.finds.values()))}</div></figure>"
        for phase in plan.phases
        if phase.finds
    )
    if not pictures:
        return ""
    return f'<h4>Range tests</h4><div class="tests">{pictures}</div>'


def _said(finds: Mapping[int, FindView]) -> str:
    rates = [rate_text(view.lr) if view.lr is not None else "no rate" for view in finds.values()]
    return ", ".join(rates) if len(set(rates)) > 1 else rates[0]


def _measured(phase: PhaseReport) -> str:
    """The rates measured group by group: the first seed's, the others folded away."""
    if not phase.layer_tests:
        return ""
    (first, tests), *others = phase.layer_tests.items()
    several = f", seed {first}" if others else ""
    title = f"Layer rates measured before the phase {text(phase.name)}{several}"
    shown = f"<h4>{title}</h4>{layer_rates(tests)}"
    return shown + "".join(_folded(seed, other) for seed, other in others)


def _folded(seed: int, tests: LayerRangeTests) -> str:
    return f'<details class="small"><summary>Seed {seed}</summary>{layer_rates(tests)}</details>'


def _groups(groups: LayerGroups) -> str:
    rows = []
    for group in groups:
        names = group.modules or group.parameters
        shown = names if len(names) <= _MOST_MODULES else (*names[:2], "…", names[-1])
        rows.append(
            (
                tables.name_text(group.name),
                text(", ".join(shown)),
                count_text(group.numel),
                f"{len(group.plain)} of {len(group.parameters)}",
            )
        )
    head = ("layer group, input first", "modules", "numbers", "norm and bias tensors")
    said = [f"The order is that of the {groups.order}." if groups.order != "given" else ""]
    said += [f"{other} is tied to {one}, and counted once." for other, one in groups.tied.items()]
    said += groups.notes
    below = f'<p class="key">{text(" ".join(filter(None, said)))}</p>'
    return f'<div class="groups">{table(head, rows, frozenset((2, 3)))}</div>{below}'


def _costs(view: TransferView) -> str:
    rows = [
        (f"{swatch(p.number, p.style)} {text(p.arm)}", *map(escape, p.cost)) for p in view.plans
    ]
    head = ("plan", "updates a run", "in trainings", "time a run")
    kind = '<div class="costs">'
    said = "Range tests and races before and between the phases; evaluations of a race included."
    return f'{kind}{table(head, rows, frozenset((1, 2, 3)))}</div><p class="key">{said}</p>'
