"""From stored runs to the comparison: as far as they have come."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepsize.comparison.plan import Plan
from stepsize.comparison.ranking import rank
from stepsize.records import Comparison, Run, Standing
from stepsize.store import Store, StoredRun


def result_of(store: Store, which: int | str | None = None) -> Comparison:
    """The comparison as it stands: finished, or with the runs made so far.

    Args:
        store: where it is.
        which: its id, key or name; None for the latest.

    Raises:
        StoreError: there is none such.
    """
    stored = store.comparison(which)
    plan = Plan.from_dict(stored.plan)
    found = [(store.read(run_id), arm) for run_id, arm in stored.runs]
    order = {planned.arm: i for i, planned in enumerate(plan.arms)}
    found.sort(key=lambda pair: (order[pair[1]], pair[0].definition["seed"]))
    runs = tuple(run.as_run(arm) for run, arm in found)
    stored_runs = [run for run, _ in found]
    ranking = rank(
        runs,
        metric=plan.metric,
        higher=plan.higher,
        at=plan.at,
        method=plan.interval,
        rates=_rates(plan, found),
    )
    kept: Mapping[str, Any] = store.kept("test", stored.key) or {}
    return Comparison(
        task=plan.task,
        epochs=plan.epochs,
        updates=plan.updates,
        seeds=plan.seeds,
        metric=plan.metric,
        higher=plan.higher,
        at=plan.at,
        interval=f"paired {plan.interval}",
        runs=runs,
        ranking=ranking,
        test=kept,
        notes=(
            *plan.notes,
            *_verdict_notes(ranking),
            *_test_notes(kept),
            *_notes(runs, stored_runs, plan),
        ),
        settings={**plan.settings, **_surroundings(stored_runs)},
        name=plan.name,
        store=str(store.path),
    )


def _rates(plan: Plan, found: Sequence[tuple[StoredRun, str]]) -> dict[str, tuple[int | None, str]]:
    """The effort behind each arm's rates and where they come from.

    They are known before the runs, or each run has chosen its own and says so in its facts: the
    effort is then the mean of what its runs have spent.
    """
    rates = {arm.arm: (arm.effort, arm.rates_from) for arm in plan.arms}
    own: dict[str, list[StoredRun]] = defaultdict(list)
    for run, arm in found:
        if run.facts.get("rates_from"):
            own[arm].append(run)
    for arm, runs in own.items():
        spent = [run.facts["search_updates"] for run in runs]
        effort = round(math.fsum(spent) / len(spent)) if any(spent) else None
        rates[arm] = (effort, runs[0].facts["rates_from"])
    return rates


def _test_notes(test: Mapping[str, Any]) -> Iterator[str]:
    """A test set that is read again and again becomes a validation set."""
    reads = test.get("reads", 1)
    if reads > 1:
        yield (
            f"This was reading number {reads} of this task's test set in this store: every further "
            "comparison that looks at it makes it less of a test."
        )


def _verdict_notes(ranking: Sequence[Standing]) -> Iterator[str]:
    """Explain verdicts that seem to contradict their own interval."""
    compared = sum(row.p_adjusted is not None for row in ranking)
    seeming = [
        row.arm
        for row in ranking
        if row.place == "equal" and row.difference_ci95 and not _holds_zero(row.difference_ci95)
    ]
    if seeming:
        yield (
            f"Not distinguishable although the interval leaves out zero: {'; '.join(seeming)}. "
            "Each interval speaks of one difference alone, the verdict counts all "
            f"{compared} of them."
        )


def _holds_zero(bounds: tuple[float, float]) -> bool:
    return bounds[0] <= 0.0 <= bounds[1]


def _notes(runs: Sequence[Run], stored: Sequence[StoredRun], plan: Plan) -> Iterator[str]:
    """What a reader of the ranking should know of the runs."""
    for run in runs:
        if run.status in ("failed", "diverged"):
            yield f"{run.arm}, seed {run.seed}, {run.status}: {run.error.rstrip('.')}."
        elif not math.isfinite(run.final.get(plan.metric, 0.0)):
            yield f"{plan.metric} of {run.arm}, seed {run.seed}, is not finite at the end."
    missing = sum(run.status in ("waiting", "running", "interrupted", "crashed") for run in runs)
    if missing:
        yield f"{missing} of {len(runs)} runs are not over; the same command makes them."
    if len({run.seed for run in runs}) == 1:
        yield "One seed cannot tell luck from merit: no interval exists. Give three or more."
    yield from _unpaired(stored)
    for what in ("torch", "stepsize"):
        seen = {run.environment.get("versions", {}).get(what) for run in stored} - {None}
        if len(seen) > 1:
            yield f"The runs were made by different versions of {what}: {', '.join(sorted(seen))}."


def _unpaired(stored: Sequence[StoredRun]) -> Iterator[str]:
    """Seeds whose runs did not begin from the same weights, or did not see the same batches."""
    for fact, words in (
        ("initial_weights", "begin from different weights"),
        ("batches", "see different batches"),
    ):
        seen: dict[int, set[str]] = defaultdict(set)
        for run in stored:
            if run.facts.get(fact) and (fact != "batches" or run.status == "finished"):
                seen[run.definition["seed"]].add(run.facts[fact])
        unlike = sorted(seed for seed, digests in seen.items() if len(digests) > 1)
        if unlike:
            yield (
                f"The runs of seed {', '.join(map(str, unlike))} {words}, so their differences "
                "are not paired: does the task draw from an unseeded generator?"
            )


def _surroundings(stored: Sequence[StoredRun]) -> dict[str, Any]:
    """Versions, commit and machine of the latest run, and what all runs share."""
    begun = [run for run in stored if run.environment]
    if not begun:
        return {}
    latest = max(begun, key=lambda run: run.started or "")
    names = ("optimizer", "parameters", "device", "threads", "group_ratios")
    facts = {
        name: latest.facts[name]
        for name in names
        if name in latest.facts and all(run.facts.get(name) == latest.facts[name] for run in begun)
    }
    weights = {
        str(run.definition["seed"]): run.facts["initial_weights"]
        for run in begun
        if "initial_weights" in run.facts
    }
    return {**latest.environment, **facts, "initial_weights": weights}
