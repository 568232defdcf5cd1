"""A comparison for a terminal: the ranking as a table, and what one should know of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from stepsize.records import Comparison
from stepsize.report.characters import BLUE, GREEN, ORANGE, RESET, encoded
from stepsize.report.compare_view import CompareView, RankRow, view_of
from stepsize.report.compare_words import answer_of
from stepsize.report.wording import plain_text

#: Colours by place: the best and its equals, and those that went wrong.
_PAINT = {"best": GREEN, "equal": GREEN, "unknown": BLUE, "diverged": ORANGE, "incomplete": ORANGE}
_GAP = "  "


def line(comparison: Comparison, *, ascii_only: bool = False) -> str:
    """The answer in one line."""
    return encoded(answer_of(comparison), ascii_only)


def table(
    comparison: Comparison, *, ascii_only: bool = False, colour: bool = False, width: int = 80
) -> str:
    """The ranking, then the notes, as lines of plain text for ``width`` columns.

    In brackets behind the value at the best epoch is that epoch.

    >>> from stepsize.records import Comparison, Evaluation, Run, Standing
    >>> end = (Evaluation(1, 10, {"val_loss": 0.3}),)
    >>> run = Run("cosine", "cosine(0.1, steps=10)", 0, "finished", 10, 10, end)
    >>> row = Standing("cosine", run.schedule, "best", 0.3, final=end[0].values, seeds=1)
    >>> print(table(Comparison("digits", 1, 10, (0,), "val_loss", (run,), (row,))))
    cosine is best: validation loss 0.3000
    digits: 1 schedule, 1 epoch (10 updates), 1 seed
    <BLANKLINE>
         validation loss  difference to best  at best epoch
    1  cosine: best; rates: given
         0.3000           –                   –
    <BLANKLINE>
    Values at the end of one seed: without more seeds there are no intervals.
    1 run, 10 updates.
    """
    view = view_of(comparison)
    lines = [*wrapped(view.answer, width), *wrapped(view.title, width), ""]
    lines += ranking_lines(view, comparison.metric, colour, width)
    lines += ["", *fact_lines(view, width)]
    return encoded("\n".join(lines), ascii_only)


def fact_lines(view: CompareView, width: int) -> Iterator[str]:
    """How the numbers were made, the test set, the cost, the notes."""
    yield from wrapped(view.method, width)
    if view.test:
        said = ", ".join(f"{name} {text}" for name, text in view.test.items())
        yield from wrapped(f"{said} ({view.test_about}).", width)
    yield from wrapped(f"{view.cost}.", width)
    for note in view.notes:
        yield from wrapped(f"note: {note}", width)


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` columns, all but the first indented."""
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def ranking_lines(view: CompareView, metric: str, colour: bool, width: int) -> Iterator[str]:
    """For each arm its name, its place and where its rates come from, then its numbers."""
    heads = (view.metric, "difference to best", "at best epoch")
    cells = [_cells(row, metric) for row in view.rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    numbers = max((len(row.number) for row in view.rows), default=1)
    margin = " " * (numbers + len(_GAP))
    yield margin + _GAP + _joined(heads, widths)
    for row, texts in zip(view.rows, cells, strict=True):
        paint = _PAINT.get(row.place, "") if colour else ""
        said = f"{plain_text(row.arm)}: {row.place_text}; rates: {_rates(row)}"
        first, *more = wrapped(said, max(width - len(margin), 20))
        yield _painted(f"{row.number:>{numbers}}{_GAP}{first}", paint)
        for text in (*more, _GAP + _joined(texts, widths) if row.mean != "–" else ""):
            if text:
                yield _painted(margin + text, paint)


def _cells(row: RankRow, metric: str) -> tuple[str, str, str]:
    """Mean, difference to the best, value at the best epoch."""
    mean = f"{row.mean} {row.interval}".strip()
    difference = f"{row.difference} {row.difference_interval}".strip() or "–"
    best = f"{row.best[metric]} ({row.best_epoch})" if metric in row.best else "–"
    return mean, difference, best


def _rates(row: RankRow) -> str:
    """Where the rates come from, and what that took."""
    told = row.effort == "none" or row.effort in row.rates_from
    return row.rates_from if told else f"{row.rates_from}, {row.effort}"


def _joined(texts: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(f"{text:<{w}}" for text, w in zip(texts, widths, strict=True)).rstrip()


def _painted(text: str, paint: str) -> str:
    return f"{paint}{text}{RESET}" if paint else text
