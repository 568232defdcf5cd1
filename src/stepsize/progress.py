"""The optional package that draws progress bars."""

from __future__ import annotations

from typing import Any

from stepsize.errors import MissingDependencyError


def need_tqdm() -> Any:
    """The class of tqdm's bars.

    Raises:
        MissingDependencyError: tqdm is not installed.
    """
    try:
        from tqdm import tqdm
    except Exception as error:  # a broken optional package must not look like our own fault
        raise MissingDependencyError(
            "progress=True needs tqdm: pip install 'stepsize[cli]', or leave progress out."
        ) from error
    return tqdm
