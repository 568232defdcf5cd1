"""``stepsize transfer TASK --plan NAME ...``: fine-tune by plans, rank them, was it worth it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.cli import arguments, messages
from stepsize.cli.comparison_output import exit_code, printed
from stepsize.cli.exit_codes import DONE
from stepsize.cli.output_folder import OutputFolder, task_folder
from stepsize.report.figures import need_matplotlib

if TYPE_CHECKING:
    from stepsize.fine_tuning import LayerGroups, Timeline, TransferResult

_DEFAULT_PLANS = ("fastai",)


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "transfer",
        help="fine-tune a pretrained network by plans: freezing, a rate for every layer",
        description="Fine-tune a task's pretrained network by one or several plans, each from the "
        "same weights on the same batches, rank them, and say whether transfer was worth it: the "
        "same network is also trained from scratch. Runs are kept in a database: the same command "
        "again goes on where it was. Writes transfer.json, transfer.html, transfer.png and "
        "timeline.png.",
    )
    arguments.add_task(parser)
    arguments.add_common(parser, out="stepsize-transfer/TASK")
    arguments.add_store(parser)
    _add_transfer(parser)
    arguments.add_judgement(parser)
    arguments.add_update(parser)
    parser.set_defaults(
        run=run, interrupted="what is finished is kept, the same command goes on from there"
    )


def _add_transfer(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("transfer")
    group.add_argument(
        "--plan", action="append", metavar="NAME|FILE",
        help="a plan by name (fastai, ulmfit, head-only, full, measured, gradual, scratch) or a "
        "JSON file; may be repeated (default fastai)",
    )  # fmt: skip
    group.add_argument(
        "--epochs", type=int, required=True, metavar="N", help="of every run, all phases together"
    )
    arguments.add_seeds(group)
    group.add_argument(
        "--groups", type=int, metavar="N",
        help="join neighbouring layer groups until there are at most N (a plan may want fewer)",
    )  # fmt: skip
    group.add_argument(
        "--no-scratch", action="store_true", help="train nothing from scratch to compare with"
    )
    group.add_argument(
        "--scratch-task", metavar="TASK",
        help="the task with an untrained network, where fresh weights cannot be drawn from its "
        "modules",
    )  # fmt: skip
    group.add_argument(
        "--preview", action="store_true",
        help="show the layer groups and what each plan would do when, and train nothing",
    )  # fmt: skip
    arguments.add_record(group)


def run(options: argparse.Namespace) -> int:
    """Fine-tune or preview, write, print."""
    need_matplotlib()  # not after the work
    default = task_folder("stepsize-transfer", options.task)
    with OutputFolder(options.out or default) as folder:
        if options.preview:
            _preview(options, folder.path)
            folder.keep()
            return DONE
        result = _transfer(options, folder)
        folder.keep()
    print_transfer(result, folder.path, options)
    return exit_code(result.comparison)


def _transfer(options: argparse.Namespace, folder: OutputFolder) -> TransferResult:
    from stepsize import transfer
    from stepsize.report import transfer_files
    from stepsize.store import Store
    from stepsize.trackers import mirrored

    compare_plans = transfer.compare_plans  # says what to install when there is no torch
    store = arguments.store_path(options).absolute()  # a task may change the folder
    with messages.shown(options.quiet), mirrored(options.tracker, store) as mirror:
        result = compare_plans(
            options.task,
            options.plan or _DEFAULT_PLANS,
            options.epochs,
            arguments.seeds(options),
            scratch=not options.no_scratch,
            scratch_task=options.scratch_task,
            groups=None if options.groups is None else _groups(options),
            recipe=arguments.recipe(options),
            store=store,
            progress=messages.bars(options.quiet),
            watchers=mirror.watchers,
            settings={"command": arguments.command(options)},
            **arguments.judgement(options),
        )
        with Store(store) as opened:
            files = transfer_files.write(result, folder.path, opened)
        mirror.finish(result.comparison, files)
    return result


def _groups(options: argparse.Namespace) -> LayerGroups:
    """The layer groups of the task's model, joined as the options ask for it."""
    from stepsize import transfer

    found: LayerGroups = transfer.task_groups(options.task, options.seed)
    return found if options.groups is None else found.merged(options.groups)


def _preview(options: argparse.Namespace, folder: Path) -> None:
    """What would be done when, printed and drawn."""
    from stepsize import transfer
    from stepsize.report import transfer_files

    with messages.shown(options.quiet):
        plans = transfer.plans_of(options.plan or _DEFAULT_PLANS, not options.no_scratch)
        groups = _groups(options)
    timelines = [plan.timeline(options.epochs, groups) for plan in plans]
    written = transfer_files.write_preview(timelines, folder)
    if options.json:
        shown = {"groups": groups.to_dict(), "plans": [plan.to_dict() for plan in plans]}
        print(json.dumps(shown, allow_nan=False))
    else:
        _print_preview(groups, timelines, options)
    if not options.quiet:
        print(f"wrote {written}; nothing was trained", file=sys.stderr)


def _print_preview(
    groups: LayerGroups, timelines: list[Timeline], options: argparse.Namespace
) -> None:
    from stepsize.report import plan_terminal
    from stepsize.report.characters import encoded

    ascii_only = messages.ascii_only()
    if not options.quiet:
        print(encoded(groups.table(), ascii_only))
    colour = sys.stdout.isatty()
    for timeline in timelines:
        print(f"\n{plan_terminal.text(timeline, colour=colour, ascii_only=ascii_only)}")


def print_transfer(result: TransferResult, folder: Path, options: argparse.Namespace) -> None:
    """The answer on standard output; where the files are on standard error."""
    from stepsize.report import transfer_files, transfer_terminal

    printed(
        result,
        transfer_terminal.line,
        transfer_terminal.summary,
        [folder / name for name in transfer_files.FILES],
        result.comparison.store,
        options,
    )
