"""The words and numbers of a recommendation, the same in every form."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from typing import Any

from stepsize.records import RaceArm, Recommendation
from stepsize.report.compare_words import (
    decimals_of_values,
    interval_text,
    metric_text,
    number_text,
)
from stepsize.report.wording import (
    count_text,
    interval_texts,
    plain_text,
    rate_text,
    seconds_text,
    shorten,
    task_text,
)

#: What a newcomer reads instead of the name of the verdict.
VERDICT_WORDS = {
    "ok": "a rate is recommended",
    "flat": "no rate learned anything",
    "diverged": "no rate survived",
    "too_short": "stopped before anything was known",
}
#: What became of an arm.
FATE_WORDS = {"kept": "kept to the end", "slower": "left behind", "diverged": "diverged"}
#: Why an arm was trained.
STAGE_WORDS = {
    "race": "the race",
    "cool_down": "a decay on trial",
    "schedule": "another schedule",
    "optimizer": "another optimizer",
}
#: Where the answer for another length or schedule comes from.
BASIS_WORDS = {"measured": "measured in this race", "expected": "expected, not measured"}
#: By verdict, what to do about an abstention: a sentence, and the command for it.
_TRY = {
    "flat": (
        ("Let the network learn one batch by heart: if it cannot, look at labels and loss.", ""),
        ("See how the loss responds to the rate:", "find"),
        ("Give the race longer stretches of training:", "tune"),
    ),
    "diverged": (
        ("Look at the loss before any update: if it is not finite, no rate can help.", ""),
        ("Scale the inputs to about unit variance, and clip the gradients to norm 1.", ""),
        ("See from which rate on it diverges:", "find"),
    ),
    "too_short": (
        ("Let it finish: after the first rung, an interruption still leaves an answer.", ""),
        ("Give it a larger budget:", "tune"),
    ),
}
#: Shares of what the training gains, and what a rate three times off then is.
_SENSITIVITY = (
    (0.02, "The rate hardly matters here"),
    (0.1, "The rate matters little"),
    (0.3, "The rate matters"),
    (math.inf, "The rate matters much"),
)
#: Digits of a rate: those of the text form, which is beside it.
DIGITS = 3
#: Longest name in a title; the page shows the whole name.
_LONGEST_NAME = 30


def title(recommendation: Recommendation) -> str:
    """The answer in one line: the title of every form.

    >>> from stepsize.records import Cost
    >>> title(Recommendation("digits", 2, 100, "flat", "no fall", Cost(50, 0.0, 100)))
    'digits: no rate recommended – no rate learned anything'
    """
    about = shorten(task_text(recommendation.task), _LONGEST_NAME)
    about = f"{about}: " if about else ""
    if recommendation.lr is None:
        return f"{about}no rate recommended – {VERDICT_WORDS[recommendation.verdict]}"
    return f"{about}learning rate {answer(recommendation)}"


def answer(recommendation: Recommendation) -> str:
    """The rate with its interval; empty for an abstention."""
    if recommendation.lr is None:
        return ""
    rate = rate_text(recommendation.lr, DIGITS)
    ends = interval_words(recommendation)
    return f"{rate} ({ends})" if ends else rate


def interval_words(recommendation: Recommendation) -> str:
    """The interval of the rate; empty where there is none."""
    if recommendation.lr is None or recommendation.interval is None:
        return ""
    _, low, high = interval_texts(recommendation.lr, recommendation.interval)
    return f"80 % interval {low} to {high}"


def under(recommendation: Recommendation) -> str:
    """The schedule, and the optimizer if it is another one; empty for an abstention."""
    if recommendation.schedule is None:
        return ""
    optimizer = plain_text(recommendation.optimizer)
    instead = f" with {optimizer} instead of the task's own optimizer" if optimizer else ""
    return f"{plain_text(recommendation.schedule)}{instead}"


def length_text(recommendation: Recommendation) -> str:
    """The training that it is for.

    >>> from stepsize.records import Cost
    >>> length_text(Recommendation("digits", 2, 1080, "flat", "no fall", Cost(50, 0.0, 1080)))
    '2 epochs (1,080 updates)'
    """
    epochs, updates = recommendation.epochs, recommendation.updates
    return f"{_counted(epochs, 'epoch')} ({_counted(updates, 'update')})"


def expected_texts(recommendation: Recommendation) -> Iterator[tuple[str, str, str]]:
    """Of every metric its name in words, the value expected at the end, and the 95 % interval."""
    for metric, value in recommendation.expected.items():
        mean, ends = value.get("mean"), ends_of(value)
        if not isinstance(mean, (int, float)):
            continue
        decimals = decimals_of_values([mean, *(ends or ())])
        if ends is not None and ends[1] > ends[0] and decimals is not None:
            # Two digits of the half width say all there is.
            decimals = min(decimals, max(0, 1 - math.floor(math.log10((ends[1] - ends[0]) / 2))))
        yield metric_text(metric), number_text(mean, decimals), interval_text(ends, decimals)


def ends_of(value: Any) -> tuple[float, float] | None:
    """The ends of an expected value's interval; None where it has none."""
    ends = value.get("ci95")
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return None
    low, high = ends
    known = isinstance(low, (int, float)) and isinstance(high, (int, float))
    return (float(low), float(high)) if known else None


def expected_text(recommendation: Recommendation) -> str:
    """What to expect at the end in one line; empty where that is not known."""
    said = (
        f"{name} {mean}" + (f" (95 % interval {ends[1:-1].replace(', ', ' to ')})" if ends else "")
        for name, mean, ends in expected_texts(recommendation)
    )
    return ", ".join(said)


def sensitivity_text(recommendation: Recommendation) -> str:
    """How far a rate three times off is behind, in a sentence; empty where that is not known.

    >>> from stepsize.records import Cost
    >>> some = Recommendation("digits", 2, 9, "flat", "", Cost(5, 0.0, 9), sensitivity=0.011)
    >>> sensitivity_text(some)
    'The rate hardly matters here: three times off is at most 1.1 % of the gain behind.'
    """
    share = recommendation.sensitivity
    if share is None or not math.isfinite(share):
        return ""
    words = next(words for most, words in _SENSITIVITY if share < most)
    percent = max(100 * share, 0.0)
    number = f"{percent:.1f}" if percent < 9.95 else f"{percent:.0f}"
    return f"{words}: three times off is at most {number} % of the gain behind."


def cost_text(recommendation: Recommendation) -> str:
    """What it cost, everything charged."""
    cost, arms = recommendation.cost, recommendation.evidence
    parts = f"{cost.ratio:.2f} trainings: {_counted(cost.updates, 'update')}"
    if arms:
        parts += f" in {_counted(len(arms), 'arm')}"
    if cost.evaluation_updates > 0:
        parts += f", and evaluations worth {count_text(round(cost.evaluation_updates))}"
    if recommendation.seconds > 0 and math.isfinite(recommendation.seconds):
        parts += f"; {seconds_text(recommendation.seconds)}"
    return parts


def attempts(recommendation: Recommendation) -> tuple[tuple[str, str], ...]:
    """What to try after an abstention, each with a command or none; empty where it answers."""
    if recommendation.lr is not None:
        return ()
    task = quoted(recommendation.task)
    budget = _number(recommendation.settings.get("budget"), recommendation.cost.ratio)
    epochs = recommendation.epochs
    commands = {
        "": "",
        "find": f"stepsize find {task}",
        "tune": f"stepsize tune {task} --epochs {epochs} --budget {max(1.0, 2 * budget):.3g}",
    }
    return tuple((words, commands[name]) for words, name in _TRY[recommendation.verdict])


def check_words(recommendation: Recommendation) -> str:
    """What the command of :func:`check_command` is for."""
    first = plain_text(recommendation.optimizer)
    given = f"With {first} in the task, over" if first else "Over"
    return f"{given} several seeds, beside schedules that you trust:"


def check_command(recommendation: Recommendation) -> str:
    """The command that compares the recommended schedule over seeds; empty for an abstention."""
    if recommendation.schedule is None:
        return ""
    return (
        f"stepsize compare {quoted(recommendation.task)} --epochs {recommendation.epochs} "
        f"--schedule {quoted(recommendation.schedule)}"
    )


def quoted(text: str) -> str:
    """One word of a shell's command, as a line of text that a terminal can show.

    >>> quoted("digits"), quoted("wsd(0.1, decay_steps=20%)")
    ('digits', "'wsd(0.1, decay_steps=20%)'")
    """
    return shlex.quote(plain_text(text))


def arm_text(arm: RaceArm, recommendation: Recommendation) -> str:
    """An arm's name: its rate, and what else sets it apart from the race."""
    parts = [rate_text(arm.lr, DIGITS)]
    if arm.stage == "cool_down":
        parts.append("decayed")
    elif arm.stage == "schedule":
        parts.append(plain_text(arm.schedule).removeprefix("warmup(").partition("(")[0])
    if arm.optimizer:
        parts.append(plain_text(arm.optimizer))
    if arm.seed != min((each.seed for each in recommendation.evidence), default=arm.seed):
        parts.append(f"seed {arm.seed}")
    return shorten(" ".join(parts), _LONGEST_NAME)


def _counted(number: int, noun: str) -> str:
    return f"{count_text(number)} {noun}{'' if number == 1 else 's'}"


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) else default
