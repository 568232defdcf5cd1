"""A comparison's answer, printed as the options ask for it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.cli import messages
from stepsize.cli.exit_codes import ABSTAINED, DONE, FAILED

if TYPE_CHECKING:
    from stepsize.records import Comparison


def print_comparison(comparison: Comparison, folder: Path, options: argparse.Namespace) -> None:
    """The answer on standard output; where the files are on standard error."""
    from stepsize.report import compare_files, compare_terminal

    printed(
        comparison,
        compare_terminal.line,
        compare_terminal.table,
        [folder / name for name in compare_files.FILES],
        comparison.store,
        options,
    )


def printed(
    result: Any,
    line: Callable[..., str],
    whole: Callable[..., str],
    files: Sequence[Path],
    store: str,
    options: argparse.Namespace,
) -> None:
    """A result as JSON, as a line or whole, as the options ask; where its files are.

    Args:
        result: has ``to_dict``.
        line: the result in a line, for ``--quiet``.
        whole: all of it as text.
        files: that were written.
        store: where the runs are.
        options: of the command.
    """
    ascii_only = messages.ascii_only()
    if options.json:
        print(json.dumps(result.to_dict(), allow_nan=False))
    elif options.quiet:
        print(line(result, ascii_only=ascii_only))
    else:
        print(whole(result, ascii_only=ascii_only, colour=sys.stdout.isatty()))
    if not options.quiet:
        written = ", ".join(map(str, files))
        print(f"wrote {written}; the runs are in {store}", file=sys.stderr)


def exit_code(comparison: Comparison) -> int:
    """How a command ends that has made a comparison."""
    if any(run.status == "failed" for run in comparison.runs):
        return FAILED
    return DONE if comparison.best is not None else ABSTAINED
