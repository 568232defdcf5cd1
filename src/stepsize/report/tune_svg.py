"""The pictures of a recommendation's page as SVG, in colours that follow the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from stepsize.report.axes import Tick
from stepsize.report.marks import spread
from stepsize.report.svg import dashes, label, picture
from stepsize.report.tune_arms import ArmView, Valley
from stepsize.report.tune_view import TuneView
from stepsize.report.wording import count_text, loss_text, plain_text, rate_text, shorten

_WIDTH, _HEIGHT = 480, 350
_TOP, _FOOT = 16, 302
#: Left and right ends of the two pictures: the race has the numbers of the loss on its left, the
#: valleys have those of the rungs on their right.
_RACE, _VALLEYS = (52, 460), (14, 400)
_TEST_HEIGHT, _TEST_FOOT = 100, 66
_LINE_HEIGHT = 15


def race(view: TuneView) -> str:
    """The loss of every arm over the updates."""
    box = _Box(_RACE, view)
    parts = [box.grid([(view.time(tick.value), tick) for tick in view.span_ticks], loss=True)]
    parts.append(label(sum(_RACE) / 2, _HEIGHT - 8, "update (logarithmic)", "middle"))
    if view.empty:
        parts.append(label(sum(_RACE) / 2, (_TOP + _FOOT) / 2, "no finite loss", "middle"))
    if view.start is not None and view.starts:
        parts.append(box.across(view.height(view.start), "start"))
    order = sorted(view.arms, key=lambda arm: (arm.winner, arm.style.strong))
    parts += [_arm(view, arm, box) for arm in order]
    parts += _lost_together(view, box)
    if view.expected is not None and not view.empty:
        parts.append(_expected(view, box))
    parts += _names(view, box)
    return picture(_WIDTH, _HEIGHT, "".join(parts), "still")


def valleys(view: TuneView) -> str:
    """The loss over the peak rate, rung by rung."""
    box = _Box(_VALLEYS, view)
    parts = [_answer(view, box, _TOP, _FOOT)]
    parts.append(box.grid([(view.place(tick.value), tick) for tick in view.rate_ticks]))
    parts.append(
        label(sum(_VALLEYS) / 2, _HEIGHT - 8, "peak learning rate (logarithmic)", "middle")
    )
    parts += [_rungs(view, box)]
    parts += [_valley(view, valley, box) for valley in view.valleys]
    for arm in view.arms:
        if arm.lost is not None and view.rates[0] <= arm.arm.lr <= view.rates[1]:
            parts.append(_cross(box.x(view.place(arm.arm.lr)), arm.number, _words(arm)))
    return picture(_WIDTH, _HEIGHT, "".join(parts), "still")


def range_test(view: TuneView) -> str:
    """The range test over the same rates; empty where there is none."""
    if not view.tested:
        return ""
    box = _Box(_VALLEYS, view)
    low, high = view.tested_range
    wide, tall = box.right - box.left, _TEST_FOOT - 4
    heights = [(high - loss) / (high - low) for _, loss in view.tested]
    points = " ".join(
        f"{view.place(rate) * wide:.1f},{min(max(height, -1.0), 2.0) * tall:.1f}"
        for (rate, _), height in zip(view.tested, heights, strict=True)
    )
    parts = [_answer(view, box, 4, _TEST_FOOT)]
    for tick in view.rate_ticks:
        x = box.x(view.place(tick.value))
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{_TEST_FOOT}"/>')
        parts.append(label(x, _TEST_FOOT + 17, tick.text, "middle"))
    # The inner picture cuts what leaves the axis.
    parts.append(
        f'<svg x="{box.left}" y="4" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}">'
        f'<polyline class="tested" points="{points}"/></svg>'
    )
    return picture(_WIDTH, _TEST_HEIGHT, "".join(parts), "still")


def sample(name: str) -> str:
    """A piece of the line or the mark that the legend names."""
    line = '<line x1="1" y1="7" x2="31" y2="7"/>'
    inner = {
        "winner": line + '<circle cx="27" cy="7" r="4.5"/>',
        "kept": line + '<circle cx="28" cy="7" r="3.5"/>',
        "slower": line + '<circle cx="28" cy="7" r="3"/>',
        "trial": line + '<circle cx="28" cy="7" r="3"/>',
        "diverged": line + '<path d="M24 3l8 8m0-8l-8 8"/>',
        "answer": '<rect x="6" y="0" width="20" height="14"/>'
        '<line x1="16" y1="0" x2="16" y2="14"/>',
        "expected": '<path d="M16 1.5l5.5 5.5l-5.5 5.5l-5.5-5.5z"/>',
    }
    return picture(34, 14, inner.get(name, line), f"key-{name}")


def swatch(arm: ArmView) -> str:
    """The line of an arm, as long as it takes to see its dashes."""
    line = f'<line x1="1" y1="5" x2="31" y2="5"{dashes(arm.style, 2.0)}/>'
    return picture(32, 10, line, f"swatch arm-{arm.number}")


class _Box:
    """Where a picture's axes are."""

    def __init__(self, ends: tuple[int, int], view: TuneView) -> None:
        self.left, self.right = ends
        self._view = view

    def x(self, share: float) -> float:
        return self.left + share * (self.right - self.left)

    def y(self, share: float) -> float:
        return _FOOT - share * (_FOOT - _TOP)

    def across(self, share: float, kind: str) -> str:
        y = f"{self.y(share):.1f}"
        return f'<line class="{kind}" x1="{self.left}" y1="{y}" x2="{self.right}" y2="{y}"/>'

    def grid(self, places: Iterable[tuple[float, Tick]], loss: bool = False) -> str:
        """The lines of both axes; the numbers of the loss only where they are asked for."""
        parts = []
        for tick in self._view.losses.ticks:
            share = self._view.losses.place(tick.value)
            parts.append(self.across(share, "grid"))
            if loss:
                parts.append(label(self.left - 8, self.y(share) + 4, tick.text, "end"))
        for share, tick in places:
            x = self.x(share)
            parts.append(
                f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_FOOT}"/>'
                + label(min(x, _WIDTH - 4.4 * len(tick.text)), _FOOT + 17, tick.text, "middle")
            )
        return "".join(parts)


def _arm(view: TuneView, arm: ArmView, box: _Box) -> str:
    places = [(box.x(view.time(time)), box.y(view.height(loss))) for time, loss in arm.line]
    if not arm.points:
        return ""
    wide = 4.0 if arm.winner else 2.2 if arm.style.strong else 1.4
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    kind = "end" if arm.style.strong else "end open"
    parts = [
        f"<title>{escape(_words(arm))}</title>",
        f'<polyline class="near" points="{line}"/>',
        f'<polyline points="{line}" stroke-width="{wide}"{dashes(arm.style, wide)}/>',
    ]
    if arm.lost is None:
        x, y = places[-1]
        size = 4.5 if arm.winner else 3.2
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>')
    return f'<g class="arm arm-{arm.number}" data-arm="{arm.number}">{"".join(parts)}</g>'


def _words(arm: ArmView) -> str:
    """What an arm says when it is pointed at."""
    if arm.lost is not None:
        return f"{arm.name}: diverged within {count_text(arm.lost)} updates"
    updates, loss = arm.points[-1]
    return f"{arm.name}: {loss_text(loss)} after {count_text(updates)} updates"


def _lost_together(view: TuneView, box: _Box) -> Iterable[str]:
    for updates, lost in view.lost.items():
        x = box.x(view.time(updates))
        number = lost[0].number if len(lost) == 1 else None
        yield _cross(x, number, "; ".join(map(_words, lost)))
        if len(lost) > 1:
            yield label(x + 10, _TOP + 4, f"{len(lost)} arms", "start")


def _cross(x: float, number: int | None, words: str) -> str:
    kind = "cross" if number is None else f"cross arm-{number}"
    path = f"M{x - 4:.1f} {_TOP - 4}l8 8m0-8l-8 8"
    return f'<path class="{kind}" d="{path}"><title>{escape(words)}</title></path>'


def _expected(view: TuneView, box: _Box) -> str:
    mean, low, high = (box.y(view.height(value)) for value in view.expected or (0.0, 0.0, 0.0))
    x = box.x(view.time(view.updates))
    return (
        f'<line class="expected" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>'
        f'<path class="expected" d="M{x:.1f} {mean - 6:.1f}l6 6l-6 6l-6-6z"/>'
    )


def _names(view: TuneView, box: _Box) -> Iterable[str]:
    """The names of the arms that stayed, beside their ends."""
    named = [arm for arm in view.named if view.beside(arm) < 0.9]
    heights = [view.height(arm.points[-1][1]) for arm in named]
    gap = _LINE_HEIGHT / (_FOOT - _TOP)
    for arm, place in zip(named, spread(heights, gap), strict=True):
        x = box.x(view.beside(arm)) + 9
        name = shorten(plain_text(arm.name), max(4, int((_WIDTH - x) / 7)))
        text = label(x, box.y(place) + 4, name, "start")
        yield f'<g class="strong">{text}</g>' if arm.winner else text


def _answer(view: TuneView, box: _Box, top: float, foot: float) -> str:
    parts = []
    if view.interval is not None:
        low, high = (box.x(view.place(end)) for end in view.interval)
        parts.append(
            f'<rect class="band" x="{low:.1f}" y="{top}" width="{max(high - low, 1.0):.1f}" '
            f'height="{foot - top}"/>'
        )
    if view.lr is not None:
        x = f"{box.x(view.place(view.lr)):.1f}"
        parts.append(f'<line class="answer-line" x1="{x}" y1="{top}" x2="{x}" y2="{foot}"/>')
    return "".join(parts)


def _valley(view: TuneView, valley: Valley, box: _Box) -> str:
    places = [
        (box.x(view.place(rate)), box.y(view.height(loss)), number)
        for rate, loss, number in valley.points
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    wide = 1.3 + valley.depth
    dash = ' stroke-dasharray="2 2.4"' if valley.optimizer else ""
    strength = 0.3 + 0.7 * valley.depth
    line = (
        f'<polyline class="valley" points="{points}" stroke-width="{wide:.1f}" '
        f'stroke-opacity="{strength:.2f}"{dash}/>'
    )
    return line + "".join(
        f'<circle class="point arm-{number}" cx="{x:.1f}" cy="{y:.1f}" r="4.2">'
        f"<title>{rate_text(rate, 3)}: {loss_text(loss)} after "
        f"{count_text(valley.updates)} updates</title></circle>"
        for (x, y, number), (rate, loss, _) in zip(places, valley.points, strict=True)
    )


def _rungs(view: TuneView, box: _Box) -> str:
    """The updates of each rung beside the picture, as high as its lowest loss."""
    heights: Sequence[float] = [view.height(lowest) for _, lowest in view.rungs]
    places = spread(heights, _LINE_HEIGHT / (_FOOT - _TOP))
    parts = []
    for (updates, _), height, place in zip(view.rungs, heights, places, strict=True):
        parts.append(box.across(height, "rung"))
        y, at = box.y(height), box.y(place)
        parts.append(
            f'<line class="leader" x1="{box.right + 2}" y1="{y:.1f}" x2="{box.right + 11}" '
            f'y2="{at:.1f}"/>' + label(box.right + 15, at + 4, count_text(updates), "start")
        )
    if places:
        top = box.y(max(places)) - _LINE_HEIGHT
        parts.append(label(box.right + 15, top + 2, "updates", "start"))
    return "".join(parts)
