"""The ranking as rows of plain values, for the tables of other tools."""

from __future__ import annotations

from stepsize.records import Comparison
from stepsize.trackers.names import line

#: The columns of :func:`rows`.
COLUMNS = (
    "place", "arm", "schedule", "mean", "ci95_low", "ci95_high", "difference_to_best",
    "difference_low", "difference_high", "p_adjusted", "seeds", "best_epoch", "effort",
    "rates_from",
)  # fmt: skip

Cell = str | int | float | None


def rows(result: Comparison) -> list[list[Cell]]:
    """One row of :data:`COLUMNS` for each arm, best first."""
    none = (None, None)
    return [
        [
            row.place, line(row.arm), line(row.schedule, 1000), row.mean, *(row.ci95 or none),
            row.difference_to_best, *(row.difference_ci95 or none), row.p_adjusted, row.seeds,
            row.best_epoch, row.effort, row.rates_from,
        ]
        for row in result.ranking
    ]  # fmt: skip


def markdown(result: Comparison) -> str:
    """The ranking as a Markdown table, with what it is by and the notes below."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows(result)]
    table = "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)
    by = f"By {result.at} {result.metric}, intervals: {result.interval}."
    return "\n\n".join([table, by, *map(_text, result.notes)])


def headline(result: Comparison) -> dict[str, float | str]:
    """What is best, in a few named values."""
    best = result.best
    if best is None or best.mean is None:
        return {"best_arm": ""}
    equals = ", ".join(row.arm for row in result.equals)
    return {
        "best_arm": line(best.arm),
        "best_schedule": line(best.schedule, 1000),
        f"best_{result.metric}": best.mean,
        "not_distinguishable": line(equals, 1000),
    }


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else _text(str(value))


def _text(text: str) -> str:
    r"""Text of users as text: nothing of it is HTML, a link, or the end of a cell.

    >>> _text("<b> [a](b) | c")
    '&lt;b&gt; \\[a\\](b) \\| c'
    """
    text = line(text, 1000).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|~!#" else c for c in text)
