"""Where data sets are looked for and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stepsize.errors import DataError


def given_root() -> Path | None:
    """The folder that ``STEPSIZE_DATA`` names, or None when it is unset or empty."""
    named = os.environ.get("STEPSIZE_DATA")
    return Path(named).expanduser() if named else None


def cache_dir() -> Path:
    """The folder for downloads: yours to delete, and fetched again when needed.

    ``$STEPSIZE_CACHE``, else ``$XDG_CACHE_HOME/stepsize``, else ``%LOCALAPPDATA%\\stepsize\\Cache``
    on Windows and ``~/.cache/stepsize`` elsewhere. The folder is not created here.

    Raises:
        DataError: none of these is set and there is no home folder.
    """
    named = os.environ.get("STEPSIZE_CACHE")
    if named:
        return Path(named).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(xdg):  # the XDG specification has relative paths ignored
        return Path(xdg) / "stepsize"
    local = os.environ.get("LOCALAPPDATA")
    if sys.platform == "win32" and local:
        return Path(local) / "stepsize" / "Cache"
    try:
        return Path.home() / ".cache" / "stepsize"
    except RuntimeError as error:
        raise DataError(
            "There is no home folder to keep downloads in. Set STEPSIZE_CACHE to a folder that "
            "can be written."
        ) from error


def data_dir(name: str) -> Path:
    """The folder in which the files of the data set ``name`` are looked for.

    ``$STEPSIZE_DATA/data/<name>`` when ``STEPSIZE_DATA`` is set: your folder, only ever read. Else
    ``<cache_dir()>/data/<name>``, where downloads go.

    Raises:
        DataError: as for :func:`cache_dir`.
    """
    return (given_root() or cache_dir()) / "data" / name


def weights_dir() -> Path:
    """The folder in which weights that tasks begin with are looked for.

    ``$STEPSIZE_DATA/weights`` when ``STEPSIZE_DATA`` is set, else ``<cache_dir()>/weights``, where
    downloads go.

    Raises:
        DataError: as for :func:`cache_dir`.
    """
    return (given_root() or cache_dir()) / "weights"
