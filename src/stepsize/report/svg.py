"""Pieces of small pictures as SVG text, coloured by the page that they stand in."""

from __future__ import annotations

from html import escape

from stepsize.report.compare_panels import Style


def picture(width: int, height: int, inner: str, kind: str) -> str:
    """The parts as one picture; what it says must stand beside it in words."""
    return (
        f'<svg class="{kind}" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'aria-hidden="true">{inner}</svg>'
    )


def label(x: float, y: float, content: str, anchor: str) -> str:
    """Escaped text that begins, has its middle or ends at ``x``."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def dashes(style: Style, width: float) -> str:
    """The attribute that gives a line of that ``width`` its dashes; empty for a solid one."""
    if not style.dash:
        return ""
    return f' stroke-dasharray="{" ".join(f"{part * width:.1f}" for part in style.dash)}"'
