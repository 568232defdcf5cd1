"""What every matplotlib picture has in common: the style, the canvas, the panels, the file.

A picture is a ``Figure`` with the Agg canvas, never pyplot: no window, no global state.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.errors import MissingDependencyError, OutputError
from stepsize.report.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

FORMATS = (".png", ".svg", ".pdf")

#: Dots per inch: 1600 pixels for a width of 10 inches. The smallest text, 9 points, is 20 pixels
#: high there and 10 at half the size.
DPI = 160
#: Inches: a generous mean for a character of 9 point DejaVu Sans.
CHARACTER = 0.081

# Chosen by lightness first (they differ in greyscale), by hue second (Okabe and Ito's palette).
INK, SOFT, FAINT, GRID = "#1a1a1a", "#555555", "#8a949e", "#eeeeee"
BLUE, ORANGE = "#0b3c6f", "#d55e00"

#: User text is text: a dollar sign starts no formula.
PLAIN: dict[str, Any] = {"parse_math": False}


def need_matplotlib() -> Any:
    """The ``matplotlib`` module, with its styles.

    Raises:
        MissingDependencyError: matplotlib is not installed, or is installed and does not load.
    """
    try:
        import matplotlib
        import matplotlib.style
    except Exception as error:  # a broken install raises more than ImportError
        raise MissingDependencyError(
            f"Drawing needs matplotlib, which cannot be imported ({error}): "
            "pip install 'stepsize[plot]'"
        ) from error
    return matplotlib


def checked(path: str | Path) -> Path:
    """``path``, if its ending is one of :data:`FORMATS`.

    Raises:
        OutputError: it has another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"Cannot draw into {path}: its name must end in {', '.join(FORMATS)}.")
    return path


@contextmanager
def own_style() -> Iterator[None]:
    """matplotlib's own defaults for a moment, whatever style the user has set."""
    matplotlib = need_matplotlib()
    ours: dict[str, Any] = {
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same picture everywhere
        "font.size": 10,
        "svg.hashsalt": "stepsize",  # the same SVG every time
        "hatch.linewidth": 0.7,
        "axes.unicode_minus": False,
    }
    with matplotlib.style.context(["default", ours]):
        yield


def drawn(make: Callable[[], Figure], path: str | Path | None) -> Figure:
    """The figure that ``make`` makes in our own style; with a ``path`` it is also saved.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: ``path`` has another ending or cannot be written.
    """
    target = None if path is None else checked(path)
    with own_style():
        figure = make()
        if target is not None:
            write_atomically(target, file_bytes(figure, target.suffix.lower()))
    return figure


def rendered(make: Callable[[], Figure], suffix: str) -> bytes:
    """The figure that ``make`` makes in our own style, as the bytes of a file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with own_style():
        return file_bytes(make(), suffix)


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of that many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panel(figure: Figure, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes with the given edges, in inches from the left and from the top."""
    width, height = figure.get_size_inches()
    box = (left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height)
    axes = figure.add_axes(box)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=SOFT, labelsize=10, labelcolor=INK)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    return axes


def across(axes: Axes) -> dict[str, Any]:
    """Data along the axis, heights as shares of the panel."""
    return {"transform": axes.get_xaxis_transform()}


def write(figure: Figure, x: float, y: float, text: str, style: dict[str, Any]) -> Text:
    """Text so many inches from the left and from the top."""
    width, height = figure.get_size_inches()
    return figure.text(x / width, 1 - y / height, writable(text), **style)


def balanced(text: str, most: int) -> list[str]:
    """As few lines of at most ``most`` characters as it takes, about equally long.

    >>> balanced("one two three four", 12)
    ['one two', 'three four']
    """
    fewest = len(textwrap.wrap(text, most, break_on_hyphens=False))
    for width in range(-(-len(text) // max(fewest, 1)), most + 1):
        lines = textwrap.wrap(text, width, break_on_hyphens=False)
        if len(lines) <= fewest:
            return lines
    return [text]


def fit(text: Text, width: float) -> None:
    """Shrink ``text`` to ``width`` inches; letters differ too much to count them."""
    actual = text.get_window_extent().width / DPI
    if actual > width:
        text.set_fontsize(float(text.get_fontsize()) * width / actual)


def writable(text: str) -> str:
    """``text`` without characters the font lacks, which would warn and draw boxes."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(char if ord(char) in known else "?" for char in text)


def file_bytes(figure: Figure, suffix: str) -> bytes:
    """The figure as the bytes of a ``.png``, ``.svg`` or ``.pdf``, the same every time."""
    dates = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    buffer = BytesIO()
    figure.savefig(buffer, format=suffix[1:], dpi=DPI, metadata=dates[suffix])
    return buffer.getvalue()
