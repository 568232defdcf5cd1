"""``stepsize report``: a comparison that the runs database holds, drawn again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.cli import arguments
from stepsize.cli.comparison_output import print_comparison
from stepsize.cli.exit_codes import DONE
from stepsize.cli.output_folder import OutputFolder, folder_name
from stepsize.report.figures import need_matplotlib

if TYPE_CHECKING:
    from stepsize.records import Comparison
    from stepsize.store import Store, StoredComparison


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="draw a comparison again",
        description="Draw a comparison that the runs database holds, finished or not. Writes "
        "compare.json, compare.html and compare.png.",
    )
    parser.add_argument(
        "comparison",
        metavar="COMPARISON",
        nargs="?",
        help="its number or name, as 'stepsize runs' lists them (default: the latest)",
    )
    arguments.add_store(parser)
    arguments.add_output(parser, out="stepsize-report/COMPARISON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, write, print."""
    from stepsize.report import compare_files
    from stepsize.store import Store

    need_matplotlib()  # not after the work
    with Store(arguments.store_path(options), create=False) as store:
        stored = store.comparison(options.comparison)
        comparison = _read(store, stored)
        with OutputFolder(options.out or Path("stepsize-report") / _folder(stored)) as folder:
            compare_files.write(comparison, folder.path, store)
            folder.keep()
    print_comparison(comparison, folder.path, options)
    return DONE


def _read(store: Store, stored: StoredComparison) -> Comparison:
    """The result that was kept, or what can be said of the runs so far."""
    from stepsize.comparison.result import result_of
    from stepsize.records import OVER, Comparison

    if stored.result is not None:
        kept = Comparison.from_dict(stored.result)
        if all(run.status in OVER for run in kept.runs):
            return kept
    return result_of(store, stored.id)  # what failed may have been made since


def _folder(stored: StoredComparison) -> str:
    """A folder's name made of the comparison's name or number."""
    return folder_name(stored.name)[:80] or str(stored.id)
