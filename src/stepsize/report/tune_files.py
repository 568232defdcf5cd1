"""The files of a recommendation: the numbers, the page and the picture."""

from __future__ import annotations

import json
from pathlib import Path

from stepsize.records import Recommendation
from stepsize.report import tune_figure, tune_html
from stepsize.report.atomic import write_all

FILES = ("tune.json", "tune.html", "tune.png")


def write(recommendation: Recommendation, folder: str | Path) -> list[Path]:
    """Write all files of ``recommendation`` to ``folder``, or none; return their paths.

    Args:
        recommendation: what to show.
        folder: where to; it exists.

    Raises:
        OutputError: the folder cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    text = json.dumps(recommendation.to_dict(), indent=1, allow_nan=False) + "\n"
    page = tune_html.page(recommendation)
    contents = (text.encode(), page.encode(), tune_figure.png(recommendation))
    paths = [Path(folder) / name for name in FILES]
    write_all(dict(zip(paths, contents, strict=True)))
    return paths
