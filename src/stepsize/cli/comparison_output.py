"""A comparison's answer, printed as the options ask for it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.cli import messages

if TYPE_CHECKING:
    from stepsize.records import Comparison


def print_comparison(comparison: Comparison, folder: Path, options: argparse.Namespace) -> None:
    """The answer on standard output; where the files are on standard error."""
    from stepsize.report import compare_files, compare_terminal

    ascii_only = messages.ascii_only()
    if options.json:
        print(json.dumps(comparison.to_dict(), allow_nan=False))
    elif options.quiet:
        print(compare_terminal.line(comparison, ascii_only=ascii_only))
    else:
        colour = sys.stdout.isatty()
        print(compare_terminal.table(comparison, ascii_only=ascii_only, colour=colour))
    if not options.quiet:
        written = ", ".join(str(folder / name) for name in compare_files.FILES)
        print(f"wrote {written}; the runs are in {comparison.store}", file=sys.stderr)
