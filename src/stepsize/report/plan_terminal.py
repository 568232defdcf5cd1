"""A plan's timeline made of characters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from stepsize.fine_tuning.timeline import Timeline
from stepsize.report.axes import whole_ticks
from stepsize.report.characters import BLUE, ORANGE, RESET, column_at, encoded
from stepsize.report.plan_view import Cell, Lane, PlanView, name_of, view_of
from stepsize.report.wording import shorten

#: The height of a rate, from nothing to its peak.
_HEIGHTS = " ▁▂▃▄▅▆▇█"
#: A trained group, from the lowest rate to the highest.
_SHADES = "▒▓█"
#: What stands for all that where a terminal has only ASCII.
_ASCII = str.maketrans(
    {
        "▁": "_", "▂": "_", "▃": ".", "▄": "-", "▅": "-", "▆": "=", "▇": "=", "█": "#",
        "▓": "#", "▒": "+", "░": ":", "·": ".", "▼": "v", "▶": ">", "◆": "o",
        "…": ".",  # as wide as it was
    }
)  # fmt: skip
_STATES = {"trained": "█", "frozen": "·", "precomputed": "░"}
_MARKS = {"find": "▼", "tune": "◆", "groups": "▶"}
_NAME_LETTERS = 20
_LEAST = 40


def text(
    timeline: Timeline, width: int = 88, *, colour: bool = False, ascii_only: bool = False
) -> str:
    """The timeline as lines of at most ``width`` characters, its legend and phases below.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> said = text(PLANS["ulmfit"].timeline(6, 3), 46, ascii_only=True)
    >>> print(said.partition("\\n\\n1")[0])
    ulmfit: 6 epochs in 1 phase
               v1  gradual  (lr found)
         rate  _.=###========--------....________
      group 1  ............#######################
      group 2  ......#############################
         head  ###################################
               0          2           4          6
    <BLANKLINE>
    # trained (fainter: lower rate)  . frozen
    v range test
    """
    view = view_of(timeline)
    margin = max(len(_name(lane)) for lane in view.lanes)
    margin = max(margin, len("peak rate")) + 2
    columns = max(_LEAST, width) - margin
    rows = [_heads(view, columns), _rates(view, columns)]
    rows += [_lane(view, lane, columns) for lane in view.lanes]
    names = ["", "rate", *map(_name, view.lanes)]
    lines = [f"{name:>{margin - 2}}  {row}" for name, row in zip(names, rows, strict=True)]
    lines += [" " * margin + _ticks(view, columns), "", *_legend(view, width), ""]
    for block in view.blocks:
        lines += textwrap.wrap(
            f"{block.number}  {block.words}", max(_LEAST, width), subsequent_indent="   "
        )
    said = "\n".join(line.rstrip() for line in [view.title, *lines])
    if ascii_only:
        return encoded(said.translate(_ASCII), True)
    return _painted(said) if colour else said


def _name(lane: Lane) -> str:
    return shorten(lane.name, _NAME_LETTERS)


def _heads(view: PlanView, columns: int) -> str:
    """The phases where they begin: the mark of a search, the number, the name if there is room."""
    line = ""
    for block, after in zip(view.blocks, [*view.blocks[1:], None], strict=True):
        place = column_at(block.start / view.epochs, columns)
        end = columns if after is None else column_at(after.start / view.epochs, columns)
        mark = _MARKS.get(block.search, "")
        said = f"{mark}{name_of(block, end - max(place, len(line)) - len(mark) - 1)}"
        line = f"{line:<{place}}{said}"
    return line


def _rates(view: PlanView, columns: int) -> str:
    return "".join(_height(view, _epoch(view, column, columns)) for column in range(columns))


def _height(view: PlanView, epoch: float) -> str:
    block = next(block for block in view.blocks if block.start <= epoch < block.stop)
    before = [value for place, value in block.shape if place <= epoch]
    return _HEIGHTS[round(before[-1] * (len(_HEIGHTS) - 1))] if before else "?"


def _lane(view: PlanView, lane: Lane, columns: int) -> str:
    cells = [_cell(lane, _epoch(view, column, columns)) for column in range(columns)]
    for epoch in lane.tests:
        cells[column_at(epoch / view.epochs, columns)] = _MARKS["groups"]
    return "".join(cells)


def _cell(lane: Lane, epoch: float) -> str:
    cell: Cell = next(cell for cell in lane.cells if cell.start <= epoch < cell.stop)
    if cell.state != "trained":
        return _STATES[cell.state]
    return _SHADES[2 if cell.strength > 0.95 else cell.strength > 0.5]


def _epoch(view: PlanView, column: int, columns: int) -> float:
    """Where the middle of a column is."""
    return (column + 0.5) / columns * view.epochs


def _ticks(view: PlanView, columns: int) -> str:
    line = ""
    for tick in whole_ticks(view.epochs, max(2, columns // 7)):
        place = min(column_at(tick.value / view.epochs, columns), columns - len(tick.text))
        line = f"{line:<{place}}{tick.text}"
    return line


def _legend(view: PlanView, width: int) -> Iterator[str]:
    glyphs = _STATES | _MARKS
    said = [f"{glyphs[kind]} {words}" for kind, words in view.legend.items() if kind in glyphs]
    line = ""
    for words in said:
        if line and len(line) + len(words) + 2 > max(_LEAST, width):
            yield line
            line = ""
        line = f"{line}  {words}" if line else words
    yield line


def _painted(said: str) -> str:
    """The marks in orange, what trains in blue."""
    for chars, paint in ((_MARKS.values(), ORANGE), (_SHADES, BLUE)):
        for char in chars:
            said = said.replace(char, f"{paint}{char}{RESET}")
    return said
