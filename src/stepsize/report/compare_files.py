"""The files of a comparison: the numbers, the page and the picture."""

from __future__ import annotations

import json
from pathlib import Path

from stepsize.records import Comparison, Trace
from stepsize.report import compare_figure, compare_html
from stepsize.report.atomic import write_all
from stepsize.store import Store

FILES = ("compare.json", "compare.html", "compare.png")


def write(comparison: Comparison, folder: Path, store: Store) -> dict[str, bytes]:
    """Write all files of ``comparison`` to ``folder``, or none; return their contents by name.

    Args:
        comparison: what to show.
        folder: where to; it exists.
        store: where the runs' updates are.

    Raises:
        OutputError: the folder cannot be written.
    """
    text = json.dumps(comparison.to_dict(), indent=1, allow_nan=False) + "\n"
    page = compare_html.render(comparison, traces(comparison, store))
    contents = (text.encode(), page.encode(), compare_figure.png(comparison))
    files = dict(zip(FILES, contents, strict=True))
    write_all({folder / name: data for name, data in files.items()})
    return files


def traces(comparison: Comparison, store: Store) -> dict[str, Trace]:
    """The rates and losses of the runs that have any, by the run's key."""
    found = {}
    for run in comparison.runs:
        run_id = store.run_id(run.key)
        if run_id is not None:
            trace = store.trace(run_id)
            if len(trace):
                found[run.key] = trace
    return found
