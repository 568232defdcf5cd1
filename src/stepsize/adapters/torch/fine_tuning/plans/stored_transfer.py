"""From stored runs to the result of a comparison of plans: as far as they have come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepsize.comparison import pairwise, result_of
from stepsize.comparison.ranking import SIGNIFICANT
from stepsize.errors import StoreError
from stepsize.fine_tuning import LayerGroups
from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.transfer_result import TransferResult
from stepsize.records import Comparison
from stepsize.store import Store


def transfer_result_of(store: Store, which: int | str | None = None) -> TransferResult:
    """The comparison of plans as it stands: finished, or with the runs made so far.

    Args:
        store: where it is.
        which: its id, key or name; None for the latest.

    Raises:
        StoreError: there is none such, or it is one of schedules.
    """
    stored = store.comparison(which)
    known = stored.plan["settings"].get("transfer")
    if known is None:
        raise StoreError(
            f"The comparison {stored.id} of the store {store.path} compares schedules, no plans. "
            "It is read by result_of and 'stepsize report'."
        )
    plans = tuple(TransferPlan.from_dict(plan) for plan in known["plans"])
    decisions: dict[str, dict[int, tuple[PhaseDecision, ...]]] = {plan.name: {} for plan in plans}
    for run_id, arm in stored.runs:
        run = store.read(run_id)
        decided = [PhaseDecision.from_dict(each) for each in run.facts.get("decisions", ())]
        decisions[arm][run.definition["seed"]] = tuple(decided)
    comparison = result_of(store, stored.id)
    groups = LayerGroups.from_dict(known["groups"])
    return TransferResult(comparison, plans, groups, decisions, worth(comparison, plans))


def worth(comparison: Comparison, plans: tuple[TransferPlan, ...]) -> Mapping[str, Any] | None:
    """The best plan that begins pretrained against training from scratch.

    The p value is the ranking's, adjusted for the number of arms and for the choice of the best
    among them: the verdict never contradicts the ranking. Of several plans from scratch the best
    one counts. None where one of the two has not come to an end with every seed.
    """
    start = {plan.name: plan.start for plan in plans}
    rows = [row for row in comparison.ranking if row.place in ("best", "equal", "worse", "unknown")]
    plan = next((row for row in rows if start[row.arm] == "pretrained"), None)
    scratch = next((row for row in rows if start[row.arm] == "scratch"), None)
    if plan is None or scratch is None:
        return None
    pairs = pairwise(
        comparison.runs,
        metric=comparison.metric,
        higher=comparison.higher,
        at=comparison.at,
        method=comparison.interval.removeprefix("paired "),
    )
    pair = pairs[plan.arm, scratch.arm]
    behind = scratch if rows.index(plan) < rows.index(scratch) else plan
    p = behind.p_adjusted  # against the first of all, which is the other one
    verdict = "not distinguishable"
    if p is not None and p <= SIGNIFICANT:
        verdict = "worth it" if behind is scratch else "not worth it"
    return {
        "plan": plan.arm,
        "scratch": scratch.arm,
        "metric": comparison.metric,
        "difference": pair.mean,
        "ci95": None if pair.ci95 is None else list(pair.ci95),
        "p": p,
        "verdict": verdict,
    }
