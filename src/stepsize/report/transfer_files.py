"""The files of a comparison of transfer plans: numbers, page, picture, timelines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.report import plan_figure, transfer_figure, transfer_html
from stepsize.report.atomic import write_all, write_atomically
from stepsize.report.compare_files import traces
from stepsize.report.transfer_view import view_of

if TYPE_CHECKING:
    from stepsize.fine_tuning import Timeline, TransferResult
    from stepsize.store import Store

FILES = ("transfer.json", "transfer.html", "transfer.png", "timeline.png")
#: What a preview writes.
TIMELINE = FILES[-1]


def write(result: TransferResult, folder: Path, store: Store) -> dict[str, bytes]:
    """Write all files of ``result`` to ``folder``, or none; return their contents by name.

    Args:
        result: what to show.
        folder: where to; it exists.
        store: where the runs' updates are.

    Raises:
        OutputError: the folder cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    timelines = [plan.timeline for plan in view_of(result).plans if plan.timeline is not None]
    text = json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n"
    page = transfer_html.render(result, traces(result.comparison, store))
    pictures = transfer_figure.png(result), plan_figure.png(timelines)
    files = dict(zip(FILES, (text.encode(), page.encode(), *pictures), strict=True))
    write_all({folder / name: data for name, data in files.items()})
    return files


def write_preview(timelines: Iterable[Timeline], folder: Path) -> Path:
    """Draw what plans would do, one below the other, into ``timeline.png``; return its path.

    Raises:
        OutputError: the folder cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    return write_atomically(folder / TIMELINE, plan_figure.png(list(timelines)))
