"""The words and numbers of a comparison of transfer plans, the same in every form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

from stepsize.fine_tuning.transfer_result import NO_SCRATCH
from stepsize.report.compare_words import decimals_of, interval_text, metric_text, number_text
from stepsize.report.wording import (
    count_text,
    plain_text,
    rate_text,
    seconds_text,
    shorten,
)

if TYPE_CHECKING:
    from stepsize.fine_tuning import PhaseDecision, Timeline, TransferPlan, TransferResult

#: A number with more digits than anybody reads.
_LONG = re.compile(r"\b\d+\.\d{5,}(?:e[+-]?\d+)?")
#: What a search took, as one run says it.
_COUNT = re.compile(r" \([\d,]+ updates?\)")
#: More ratios than this are told by their ends.
_MOST_RATIOS = 6
#: Ratios that differ by less are the same to a reader.
_SAME = 0.005
_LONGEST_NAME = 40


def worth_headline(result: TransferResult) -> str:
    """Was transfer worth it? A few words, the evidence follows."""
    if result.worth is None:
        return "Was transfer worth it? Not known."
    return {
        "worth it": "Transfer was worth it:",
        "not distinguishable": "Not shown that transfer was worth it:",
        "not worth it": "Transfer was not worth it:",
    }[result.worth["verdict"]]


def worth_text(result: TransferResult) -> str:
    """The evidence for the answer to that, or why there is none."""
    worth = result.worth
    if worth is None:
        if all(plan.start != "scratch" for plan in result.plans):
            if any(note.startswith(NO_SCRATCH) for note in result.comparison.notes):
                return f"{NO_SCRATCH} The notes say why, and what to do."
            return (
                "Nothing was trained from scratch to compare with. Without --no-scratch (in "
                "Python: scratch=True) a plan that starts from fresh weights comes along."
            )
        return "There is no finished pair of a plan and a training from scratch to compare."
    plan, metric = _name(worth["plan"]), metric_text(worth["metric"])
    decimals = decimals_of(result.comparison.ranking)
    difference = float(worth["difference"])
    ends = worth.get("ci95")
    numbers = [f"difference in {metric} {number_text(difference, decimals, sign=True)}"]
    if ends is not None:
        shown = interval_text((float(ends[0]), float(ends[1])), decimals, sign=True)
        numbers.append(f"95 % interval {shown}")
    if worth.get("p") is not None:
        numbers.append(p_text(worth["p"]))
    better = (difference > 0) == result.comparison.higher
    said = {
        "worth it": f"{plan} is better than the same network trained from scratch",
        "not worth it": f"training from scratch is better than {plan}",
        "not distinguishable": f"{plan} cannot be told from the same network trained from scratch"
        + ("" if difference == 0 else f", {'ahead' if better else 'behind'} in the mean"),
    }[worth["verdict"]]
    few = "" if ends is not None else ". One seed cannot tell"
    return f"{said} ({', '.join(numbers)}){few}."


def p_text(p: float) -> str:
    """A p value as in the ranking.

    >>> p_text(0.0001), p_text(0.034), p_text(0.34)
    ('p < 0.001', 'p = 0.034', 'p = 0.34')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def schedule_text(schedule: str) -> str:
    """A schedule's text with its numbers to four digits.

    >>> schedule_text("cosine(0.01916973414258064, steps=2500)")
    'cosine(0.01917, steps=2500)'
    """
    return _LONG.sub(lambda found: f"{float(found[0]):.4g}", plain_text(schedule))


def plan_text(plan: TransferPlan, timeline: Timeline | None) -> str:
    """The phases of a plan in a line, such as ``head 2 epochs, all 10 epochs``."""
    start = "from scratch: " if plan.start == "scratch" else ""
    if timeline is None:
        return start + ", then ".join(plain_text(phase.name) for phase in plan.phases)
    phases = (f"{plain_text(s.phase.name)} {epochs(s.epochs)}" for s in timeline.stretches)
    return start + ", then ".join(phases)


def epochs(number: int) -> str:
    """A number of epochs.

    >>> epochs(1), epochs(12)
    ('1 epoch', '12 epochs')
    """
    return f"{count_text(number)} epoch{'' if number == 1 else 's'}"


def span_text(first: int, number: int) -> str:
    """Which epochs, counted from 1.

    >>> span_text(0, 1), span_text(2, 10)
    ('1', '3 to 12')
    """
    return str(first + 1) if number == 1 else f"{first + 1} to {first + number}"


def trained_text(trainable: Sequence[int], groups: int) -> str:
    """How many of the layer groups train, epoch by epoch.

    >>> trained_text((1, 1), 5), trained_text((5,), 5), trained_text((2, 3, 4, 4), 4)
    ('the last of 5', 'all 5', 'the last 2, 3, then 4 of 4')
    """
    counts = [count for count, _ in groupby(trainable)]
    if groups == 1:
        return "the only one"
    if counts == [groups]:
        return f"all {groups}"
    if counts == [1]:
        return f"the last of {groups}"
    if len(counts) > _MOST_RATIOS:
        return f"the last {counts[0]}, one after the other up to {counts[-1]} of {groups}"
    said = ", ".join(map(str, counts[:-1]))
    return f"the last {f'{said}, then ' if said else ''}{counts[-1]} of {groups}"


def peaks_text(decisions: Sequence[PhaseDecision]) -> tuple[str, str]:
    """The peak rate of a phase: its geometric mean over the seeds, and what they have each."""
    peaks = [decision.peak for decision in decisions]
    if len({rate_text(peak, 3) for peak in peaks}) == 1:
        return rate_text(peaks[0], 3), ""
    return rate_text(geometric_mean(peaks)), ", ".join(map(rate_text, peaks))


def ratios_text(decisions: Sequence[PhaseDecision]) -> str:
    """The groups' rates as shares of the peak: equal, a factor, or one by one.

    Over several seeds they are geometric means. What never trains in the phase is left out.
    """
    if not decisions:
        return ""
    width = len(decisions[0].ratios)
    most = max(max(decision.trainable) for decision in decisions)
    means = [
        geometric_mean([one.ratios[i] for one in decisions]) for i in range(width - most, width)
    ]
    if all(abs(mean - 1) < _SAME for mean in means):
        return "" if len(means) == 1 else "equal"
    steps = [after / before if before else math.inf for before, after in pairwise(means)]
    if steps[0] < math.inf and all(abs(step / steps[0] - 1) < _SAME for step in steps):
        factor = steps[0]
        return (
            f"each {factor:.3g} times lower than the next"
            if factor > 1
            else (f"each {1 / factor:.3g} times higher than the next")
        )
    if len(means) > _MOST_RATIOS:
        return f"{rate_text(means[0])} (input) … {rate_text(means[-1])} (head)"
    return ", ".join(map(rate_text, means))


def source_text(decisions: Sequence[PhaseDecision]) -> str:
    """Where a phase's rates come from: each way once, then what they took, updates by run."""
    ways = dict.fromkeys(
        _COUNT.sub("", part).strip()
        for one in decisions
        for part in plain_text(one.lr_from).split(";")
    )
    spent = sorted(one.search_updates for one in decisions)
    if not spent[-1]:
        return "; ".join(ways)
    low, high = count_text(spent[0]), count_text(spent[-1])
    took = f"{low} updates" if low == high else f"{low} to {high} updates"
    return f"{'; '.join(ways)} ({took})"


def geometric_mean(numbers: Sequence[float]) -> float:
    """The geometric mean; 0 if one of them is 0.

    >>> round(geometric_mean([0.01, 1.0]), 6)
    0.1
    """
    if min(numbers) <= 0:
        return 0.0
    return math.exp(fmean(map(math.log, numbers)))


def activations_text(facts: Mapping[str, Any]) -> str:
    """What became of the wish to train on precomputed activations, in a sentence."""
    if "refused" in facts:
        return f"Not precomputed: {plain_text(facts['refused'])}"
    parts = []
    if isinstance(facts.get("examples"), int):
        parts.append(f"{count_text(facts['examples'])} examples")
    if isinstance(facts.get("passes"), int) and facts["passes"] != 1:
        parts.append(f"{facts['passes']} passes")
    if isinstance(facts.get("bytes"), int):
        parts.append(f"{facts['bytes'] / 1e6:.3g} MB")
    if isinstance(facts.get("seconds"), int | float):
        reused = " (reused)" if facts.get("reused") else ""
        parts.append(f"{seconds_text(float(facts['seconds']))}{reused}")
    said = "Trained on precomputed activations"
    note = f" {plain_text(facts['note'])}" if facts.get("note") else ""
    return f"{said}: {', '.join(parts)}.{note}" if parts else f"{said}.{note}"


def cost_texts(decisions: Iterable[Sequence[PhaseDecision]], updates: int) -> tuple[str, str, str]:
    """What it took to find the rates, a run in the mean: updates, trainings, time."""
    runs = [tuple(known) for known in decisions]
    if not runs:
        return "–", "–", "–"
    spent = fmean(sum(one.search_updates for one in known) for known in runs)
    seconds = fmean(sum(one.search_seconds for one in known) for known in runs)
    share = f"{spent / updates:.2f}" if updates else "–"
    return count_text(round(spent)), share, seconds_text(seconds) if seconds > 0 else "–"


def _name(name: object) -> str:
    return shorten(plain_text(name), _LONGEST_NAME)
