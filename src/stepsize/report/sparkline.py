"""A small picture of the loss against the rate, as SVG text: no script, no library."""

from __future__ import annotations

from itertools import groupby

from stepsize.report.find_view import FindView


def sparkline(view: FindView, width: int = 320, height: int = 90) -> str:
    """The smoothed loss with the suggestion and its interval, in the colour of the text around it.

    >>> from stepsize.records import Curve, FindResult, Suggestion
    >>> from stepsize.report.find_view import view_of
    >>> curve = Curve(lr=(0.01, 0.1, 1.0), loss=(2.0, 1.0, 3.0))
    >>> sparkline(view_of(FindResult(Suggestion("flat", "..."), curve))).count("<polyline")
    1
    """
    parts = []
    if view.diverges_from is not None:
        left = view.place(view.diverges_from) * width
        parts.append(_box(left, width - left, height, "currentColor", 0.12))
    if view.interval is not None:
        low, high = (view.place(end) * width for end in view.interval)
        parts.append(_box(low, max(high - low, 1.0), height, "#d55e00", 0.25))
    if view.lr is not None:
        at = f"{view.place(view.lr) * width:.1f}"
        parts.append(
            f'<line x1="{at}" y1="0" x2="{at}" y2="{height}" stroke="#d55e00" stroke-width="2"/>'
        )
    points = zip(view.rates, view.line, strict=True)
    for known, run in groupby(points, key=lambda pair: pair[1] is not None):
        if known:
            places = " ".join(_point(view, rate, loss, width, height) for rate, loss in run)
            parts.append(
                f'<polyline points="{places}" fill="none" stroke="currentColor" stroke-width="2"/>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(parts)}</svg>'
    )


def _point(view: FindView, rate: float, loss: float | None, width: int, height: int) -> str:
    low, high = view.y
    share = ((loss or 0.0) - low) / (high - low)
    # Far outside is as good as outside, and keeps the numbers short.
    return f"{view.place(rate) * width:.1f},{(1 - min(max(share, -1.0), 2.0)) * height:.1f}"


def _box(left: float, width: float, height: int, colour: str, opacity: float) -> str:
    return (
        f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="{height}" '
        f'fill="{colour}" fill-opacity="{opacity}"/>'
    )
