"""A comparison of transfer plans for a terminal: worth it, the ranking, what the best did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stepsize.report.characters import encoded
from stepsize.report.compare_terminal import fact_lines, ranking_lines, wrapped
from stepsize.report.transfer_view import PlanReport, TransferView, view_of
from stepsize.report.wording import rate_text

if TYPE_CHECKING:
    from stepsize.fine_tuning import TransferResult


def line(result: TransferResult, *, ascii_only: bool = False) -> str:
    """The answer in one line."""
    view = view_of(result)
    return encoded(f"{view.compare.answer}; {view.headline.rstrip(':.').lower()}", ascii_only)


def summary(
    result: TransferResult, *, ascii_only: bool = False, colour: bool = False, width: int = 80
) -> str:
    """The ranking, whether transfer was worth it, and the phases of the best plan.

    Args:
        result: what to show.
        ascii_only: for terminals that show nothing else.
        colour: paint the places.
        width: columns of the terminal.
    """
    view = view_of(result)
    lines = [*wrapped(view.compare.answer, width), *wrapped(view.compare.title, width)]
    lines += [*wrapped(f"{view.headline} {view.evidence}", width), ""]
    lines += ranking_lines(view.compare, result.comparison.metric, colour, width)
    lines += ["", *_best(view, width)]
    lines += fact_lines(view.compare, width)
    return encoded("\n".join(lines), ascii_only)


def _best(view: TransferView, width: int) -> Iterator[str]:
    """What the first plan of the ranking did."""
    plan = next((plan for plan in view.plans if plan.number == 0), None)
    if plan is None or not plan.phases:
        return
    yield f"{plan.arm}, phase by phase:"
    for phase in plan.phases:
        rates = f" (of the groups: {phase.ratios})" if phase.ratios not in ("", "equal") else ""
        span = f"epoch{'s' if ' ' in phase.span else ''} {phase.span}"
        trained = f"{phase.trained} layer groups, peak rate {phase.peak}{rates}"
        yield from wrapped(f"  {phase.name}: {span}, {trained}; {phase.lr_from}", width)
    yield from _layers(view, plan, width)
    yield ""


def _layers(view: TransferView, plan: PlanReport, width: int) -> Iterator[str]:
    """The rates that its layer groups ended with, where they differ."""
    known = {name: rate for name, rate in zip(view.names, plan.rates, strict=True) if rate}
    if len({rate_text(rate) for rate in known.values()}) > 1:
        said = ", ".join(f"{name} {rate_text(rate)}" for name, rate in known.items())
        yield from wrapped(f"  peak rates in the end: {said}", width)
