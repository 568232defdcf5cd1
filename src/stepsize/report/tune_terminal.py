"""A recommendation for a terminal: the answer, the best arms, the cost, what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from stepsize.records import Recommendation
from stepsize.report.characters import encoded
from stepsize.report.compare_words import decimals_of_values, number_text
from stepsize.report.tune_arms import last_reading
from stepsize.report.tune_code import one_line
from stepsize.report.tune_view import TuneView, view_of
from stepsize.report.tune_words import (
    FATE_WORDS,
    attempts,
    check_command,
    check_words,
    cost_text,
    expected_text,
    sensitivity_text,
    title,
    under,
)
from stepsize.report.wording import count_text, plain_text

_WIDTH = 80
#: Arms in the table; the page has them all.
_MOST_ARMS = 5
_GAP = "  "


def summary(recommendation: Recommendation, ascii_only: bool = False) -> str:
    """The answer in about fifteen lines of plain text, what one looks for first.

    Commands and code are never broken: they are there to be copied.

    >>> from stepsize.records import Cost
    >>> some = Recommendation("digits", 2, 100, "flat", "No rate fell.", Cost(50, 0.0, 100))
    >>> print(summary(some, ascii_only=True).partition("What to try")[0])
    digits: no rate recommended - no rate learned anything
      No rate fell.
      cost: 0.50 trainings: 50 updates
    <BLANKLINE>
    """
    return encoded("\n".join(_lines(recommendation)), ascii_only)


def _lines(recommendation: Recommendation) -> Iterator[str]:
    view = view_of(recommendation)
    yield from textwrap.wrap(title(recommendation), _WIDTH, subsequent_indent=_GAP)
    if recommendation.schedule is not None:
        yield f"{_GAP}{under(recommendation)}"
    yield from _wrapped(recommendation.reason)
    expected = expected_text(recommendation)
    yield from _wrapped(f"expected at the end: {expected}" if expected else "")
    yield from _wrapped(sensitivity_text(recommendation))
    if recommendation.interrupted and recommendation.lr is not None:
        yield from _wrapped("Stopped early: the answer of what was known then.")
    yield from _wrapped(f"cost: {cost_text(recommendation)}")
    for note in recommendation.notes:
        yield from _wrapped(f"note: {note}")
    if not view.empty:
        yield ""
        yield from _arms(view)
    yield from _next(recommendation)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        plain_text(text),
        _WIDTH,
        initial_indent=_GAP,
        subsequent_indent=_GAP * 2,
        break_on_hyphens=False,
    )


def _arms(view: TuneView) -> Iterator[str]:
    """The arms that came farthest, each at its last rung; how many others there are."""
    order = sorted(
        (arm for arm in view.arms if arm.points),
        key=lambda arm: (-last_reading(arm.arm)[0], last_reading(arm.arm)[1]),
    )
    shown = order[:_MOST_ARMS]
    shown += [arm for arm in order[_MOST_ARMS:] if arm.winner]
    decimals = decimals_of_values([last_reading(arm.arm)[1] for arm in shown])
    rows = [("rate", "loss", "at update", "")]
    for arm in shown:
        updates, loss = last_reading(arm.arm)
        said = FATE_WORDS[arm.arm.fate] + (", nearest to the answer" if arm.winner else "")
        rows.append((arm.name, number_text(loss, decimals), count_text(updates), said))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, low, at, said in rows:
        cells = (f"{name:<{widths[0]}}", f"{low:>{widths[1]}}", f"{at:>{widths[2]}}", said)
        yield f"{_GAP}{_GAP.join(cells)}".rstrip()
    others = len(view.arms) - len(shown)
    if others:
        lost = sum(arm.lost is not None for arm in view.arms if arm not in shown)
        diverged = f", {lost} of them diverged" if lost else ""
        yield f"{_GAP}and {others} more{diverged}"


def _next(recommendation: Recommendation) -> Iterator[str]:
    yield ""
    tries = attempts(recommendation)
    if tries:
        yield "What to try:"
        for words, command in tries:
            yield from _wrapped(words)
            if command:
                yield f"{_GAP * 2}{command}"
        return
    yield "In PyTorch:"
    yield f"{_GAP}{one_line(recommendation)}"
    yield from textwrap.wrap(check_words(recommendation), _WIDTH, subsequent_indent=_GAP)
    yield f"{_GAP}{check_command(recommendation)}"
