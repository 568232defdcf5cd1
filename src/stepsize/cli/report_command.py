"""``stepsize report``: a comparison that the runs database holds, drawn again."""

from __future__ import annotations

import argparse
from dataclasses import replace
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
        "compare.json, compare.html and compare.png, or of transfer plans transfer.json, "
        "transfer.html, transfer.png and timeline.png.",
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
    from stepsize.store import Store

    need_matplotlib()  # not after the work
    with Store(arguments.store_path(options), create=False) as store:
        stored = store.comparison(options.comparison)
        of_plans = "transfer" in stored.plan["settings"]
        with OutputFolder(options.out or Path("stepsize-report") / _folder(stored)) as folder:
            (_draw_plans if of_plans else _draw)(store, stored, folder.path, options)
            folder.keep()
    return DONE


def _draw(
    store: Store, stored: StoredComparison, folder: Path, options: argparse.Namespace
) -> None:
    """A comparison of schedules."""
    from stepsize.report import compare_files

    comparison = _read(store, stored)
    compare_files.write(comparison, folder, store)
    print_comparison(comparison, folder, options)


def _draw_plans(
    store: Store, stored: StoredComparison, folder: Path, options: argparse.Namespace
) -> None:
    """A comparison of transfer plans."""
    from stepsize.adapters.torch.fine_tuning.plans.stored_transfer import transfer_result_of
    from stepsize.cli.transfer_command import print_transfer
    from stepsize.report import transfer_files

    result = replace(transfer_result_of(store, stored.id), comparison=_read(store, stored))
    transfer_files.write(result, folder, store)
    print_transfer(result, folder, options)


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
