"""What the library logs, on standard error, for as long as a command runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


def ascii_only() -> bool:
    """Whether standard output takes no more than ASCII."""
    return not (sys.stdout.encoding or "ascii").lower().startswith("utf")


def bars(quiet: bool) -> bool:
    """Whether progress bars are shown: on a terminal, where their package is installed."""
    return not quiet and sys.stderr.isatty() and bool(find_spec("tqdm"))


@contextmanager
def shown(quiet: bool) -> Iterator[None]:
    """Show the log of stepsize, such as a download's start; only warnings when ``quiet``."""
    logger = logging.getLogger("stepsize")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
