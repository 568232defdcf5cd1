"""A plan's timeline as SVG and HTML, coloured by the page that it stands in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.timeline import Timeline
from stepsize.report.axes import whole_ticks
from stepsize.report.plan_view import Block, Cell, Lane, PlanView, name_of, view_of
from stepsize.report.svg import label, picture
from stepsize.report.wording import shorten

_WIDTH = 960
_LEFT, _RIGHT = 150, 944
_TOP, _RATES = 24, 76  # the top of the shapes and their height
_THICKEST, _THINNEST, _LANES = 27, 10, 330
_LETTER, _WIDE = 6.8, 12.5  # a generous mean of letters, and of wide ones
_WIDEST = "mwMW@%"
_READABLE = 15

#: The rules for all that this module makes; the colours are those of ``page.css``, if it is there.
CSS = """
.plan { --on: var(--line, #0b3c6f); --off: var(--block, #f1f3f5); --mark: var(--answer, #d55e00); }
.plan .scroll { overflow-x: auto; }
.plan svg { display: block; }
.plan .timeline { width: 100%; min-width: 44rem; height: auto; }
.plan text { fill: var(--ink, #1a1a1a); font-size: 12px; font-family: inherit; }
.plan text.light { fill: var(--paper, #ffffff); }
.plan text.soft { fill: var(--soft, #555555); }
.plan .frozen { fill: var(--off); stroke: var(--rule, #e2e2e2); }
.plan .trained { fill: var(--on); }
.plan .stored { stroke: var(--soft, #555555); stroke-dasharray: 1 6; stroke-opacity: 0.55; }
.plan .shape { fill: none; stroke: var(--on); stroke-width: 1.8; stroke-linejoin: round; }
.plan .below { fill: var(--on); fill-opacity: 0.13; }
.plan .edge { stroke: var(--soft, #555555); stroke-opacity: 0.6; }
.plan .mark { fill: var(--mark); stroke: var(--paper, #ffffff); }
.plan .cycle { stroke: var(--soft, #555555); stroke-width: 1.4; }
.plan .keys { display: flex; flex-wrap: wrap; gap: 0.2rem 1.3rem; margin: 0.4rem 0; padding: 0;
  list-style: none; font-size: 0.88rem; color: var(--soft, #555555); }
.plan .keys li { display: flex; align-items: center; gap: 0.45rem; }
.plan ol { margin: 0.4rem 0 0; padding-left: 1.4rem; }
.plan ol li { overflow-wrap: anywhere; }
"""


def svg(view: PlanView) -> str:
    """The picture alone; what it says must stand beside it in words, as in :func:`html`.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> svg(view_of(PLANS["ulmfit"].timeline(6, 3))).count('class="trained"')
    3
    """
    box = _Box(view)
    parts = [box.lane(place, lane) for place, lane in enumerate(view.lanes)]
    parts += [box.shape(block) for block in view.blocks]
    parts += [box.head(block) for block in view.blocks]
    parts.append(box.axis())
    return picture(_WIDTH, box.foot + 44, "".join(parts), "timeline")


def html(timeline: Timeline, decisions: Sequence[PhaseDecision] = (), *, words: bool = True) -> str:
    """The picture, its legend and its phases in words, for a page with the rules of :data:`CSS`.

    Args:
        timeline: the plan over its epochs.
        decisions: what was decided in a run that was made; its rates are shown.
        words: the phases in words below; without them the page says it elsewhere.
    """
    view = view_of(timeline, decisions)
    keys = "".join(f"<li>{_key(kind)}{escape(said)}</li>" for kind, said in view.legend.items())
    phases = "".join(f"<li>{escape(block.words)}</li>" for block in view.blocks)
    below = f"<ol>{phases}</ol>" if words else ""
    return (
        f'<div class="plan"><div class="scroll">{svg(view)}</div><ul class="keys">{keys}</ul>'
        f"{below}</div>"
    )


def fragment(timeline: Timeline) -> str:
    """The same with its title and rules, for a notebook.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> "<style>" in fragment(PLANS["full"].timeline(3, 4))
    True
    """
    title = f"<p><b>{escape(view_of(timeline).title)}</b></p>"
    return f"<div><style>{CSS}</style>{title}{html(timeline)}</div>"


class _Box:
    """Where things are in the picture of one view."""

    def __init__(self, view: PlanView) -> None:
        self._view = view
        self._thick = min(_THICKEST, max(_THINNEST, _LANES / len(view.lanes)))
        self._lanes = _TOP + _RATES + 6
        self.foot = round(self._lanes + self._thick * len(view.lanes))

    def x(self, epochs: float) -> float:
        return _LEFT + epochs / self._view.epochs * (_RIGHT - _LEFT)

    def lane(self, place: int, lane: Lane) -> str:
        """The cells of a group, their rates, its name and its tests."""
        top = self._lanes + place * self._thick
        parts = [self._cell(cell, top) for cell in lane.cells]
        middle = top + self._thick / 2
        for epoch in lane.tests:
            parts.append(_mark("groups", self.x(epoch), middle))
        if place % -(-14 // self._thick) == 0:
            name = shorten(lane.name, _letters(lane.name, _LEFT - 14))
            parts.append(label(_LEFT - 10, middle + 4, name, "end"))
        return f"<g><title>{escape(lane.name)}</title>{''.join(parts)}</g>"

    def _cell(self, cell: Cell, top: float) -> str:
        left, right = self.x(cell.start), self.x(cell.stop)
        tall = 0.86 * self._thick
        y = top + 0.07 * self._thick
        where = f'x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{tall:.1f}"'
        if cell.state == "trained":
            text = self._rate(cell, (left + right) / 2, top) if self._fits(cell) else ""
            return f'<rect class="trained" {where} fill-opacity="{cell.strength:.2f}"/>{text}'
        stored = _stored(left, right, y, tall) if cell.state == "precomputed" else ""
        return f'<rect class="frozen" {where}/>{stored}'

    def _fits(self, cell: Cell) -> bool:
        room = self.x(cell.stop) - self.x(cell.start) - 8
        return bool(self._thick >= _READABLE and len(cell.text) * _LETTER <= room)

    def _rate(self, cell: Cell, x: float, top: float) -> str:
        kind = "light" if cell.strength > 0.5 else ""
        y = top + self._thick / 2 + 4
        return (
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">'
            f"{escape(cell.text)}</text>"
        )

    def shape(self, block: Block) -> str:
        """The rate over the phase, and the ends of its cycles."""
        foot = _TOP + _RATES
        if not block.shape:
            return label(self.x((block.start + block.stop) / 2), foot - 30, "by updates", "middle")
        places = [(self.x(epoch), foot - value * (_RATES - 4)) for epoch, value in block.shape]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        ends = "".join(
            f'<line class="cycle" x1="{self.x(end):.1f}" y1="{foot - 4}" x2="{self.x(end):.1f}" '
            f'y2="{foot + 5}"/>'
            for end in block.cycle_ends
        )
        first, last = places[0][0], places[-1][0]
        return (
            f'<polygon class="below" points="{first:.1f},{foot} {line} {last:.1f},{foot}"/>'
            f'<polyline class="shape" points="{line}"/>{ends}'
        )

    def head(self, block: Block) -> str:
        """The line that the phase begins with, its name, and its search."""
        x = self.x(block.start)
        room = self.x(block.stop) - x - (16 if block.search else 8)
        edge = (
            f'<line class="edge" x1="{x:.1f}" y1="2" x2="{x:.1f}" y2="{self.foot}"/>'
            if block.number > 1
            else ""
        )
        said = name_of(block, _letters(block.name, room))
        name = label(x + (12 if block.search else 5), 14, said, "start")
        return edge + name + (_mark(block.search, x, 10) if block.search else "")

    def axis(self) -> str:
        """Epochs below, and what the shapes are."""
        middle = _TOP + _RATES / 2 + 4
        parts = [
            f'<text class="soft" x="{_LEFT - 10}" y="{middle}" text-anchor="end">'
            "rate, of its peak</text>",
            f'<line class="edge" x1="{_LEFT}" y1="{_TOP + _RATES}" x2="{_RIGHT}" '
            f'y2="{_TOP + _RATES}"/>',
            f'<line class="edge" x1="{_LEFT}" y1="{self.foot}" x2="{_RIGHT}" y2="{self.foot}"/>',
            label((_LEFT + _RIGHT) / 2, self.foot + 38, "epochs done", "middle"),
        ]
        for tick in whole_ticks(self._view.epochs, 13):
            x = self.x(tick.value)
            parts.append(
                f'<line class="edge" x1="{x:.1f}" y1="{self.foot}" x2="{x:.1f}" '
                f'y2="{self.foot + 5}"/>' + label(x, self.foot + 19, tick.text, "middle")
            )
        return "".join(parts)


def _letters(text: str, room: float) -> int:
    """How many letters such as those of ``text`` fit into ``room``, by a generous guess.

    >>> _letters("layer", 138), _letters("WWWW", 138)
    (20, 11)
    """
    wide = sum(_WIDE if not char.isascii() or char in _WIDEST else _LETTER for char in text)
    return int(room * len(text) / wide) if text else int(room / _LETTER)


def _stored(left: float, right: float, top: float, tall: float) -> str:
    """Fine upright lines over a frozen cell whose outputs are stored."""
    y = f"{top + tall / 2:.1f}"
    return (
        f'<line class="stored" x1="{left + 3:.1f}" y1="{y}" x2="{right:.1f}" y2="{y}" '
        f'stroke-width="{tall:.1f}"/>'
    )


def _mark(kind: str, x: float, y: float) -> str:
    paths = {
        "find": f"M{x - 5:.1f} {y - 5:.1f}h10l-5 9z",
        "groups": f"M{x - 4:.1f} {y - 5:.1f}v10l9-5z",
        "tune": f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6-6z",
    }
    return f'<path class="mark" d="{paths[kind]}"/>'


def _key(kind: str) -> str:
    return picture(28, 14, "".join(_sample(kind)), "key")


def _sample(kind: str) -> Iterator[str]:
    box = 'x="0.5" y="0.5" width="27" height="13"'
    if kind == "trained":
        yield f'<rect class="trained" {box}/>'
    elif kind == "cycle":
        yield '<line class="cycle" x1="14" y1="2" x2="14" y2="12"/>'
    elif kind in ("frozen", "precomputed"):
        yield f'<rect class="frozen" {box}/>'
        yield _stored(0, 27, 0.5, 13) if kind == "precomputed" else ""
    else:
        yield _mark(kind, 14, 7)
