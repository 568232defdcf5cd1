"""``stepsize compare TASK --schedule EXPR ...``: train, rank, and the files that show it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from stepsize.cli import arguments, messages
from stepsize.cli.comparison_output import exit_code, print_comparison
from stepsize.cli.output_folder import OutputFolder, task_folder
from stepsize.report.figures import need_matplotlib

if TYPE_CHECKING:
    from stepsize.records import Comparison


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "compare",
        help="train a task under several schedules and say which is best",
        description="Train a task under several schedules, each from the same weights on the same "
        "batches, and rank them with intervals. Runs are kept in a database: the same command "
        "again goes on where it was. Writes compare.json, compare.html and compare.png.",
    )
    parser.add_argument(
        "task",
        metavar="TASK",
        help="a built-in task or study (see 'stepsize tasks'), file.py:callable or "
        "package.module:callable",
    )
    arguments.add_common(parser, out="stepsize-compare/TASK")
    arguments.add_store(parser)
    arguments.add_engine(parser)
    _add_comparison(parser)
    arguments.add_judgement(parser)
    arguments.add_update(parser)
    parser.set_defaults(
        run=run, interrupted="what is finished is kept, the same command goes on from there"
    )


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("comparison")
    group.add_argument("--epochs", type=int, metavar="N", help="of every run; a study has its own")
    arguments.add_seeds(group)
    group.add_argument(
        "--schedule",
        action="append",
        metavar="EXPR",
        help="such as 'cosine(0.1)' or 'mine: rex(lr)'; lr, base_lr and max_lr are what 'stepsize "
        "find' says; may be repeated (default: five common ones at the rate found)",
    )
    group.add_argument(
        "--rate-factors", metavar="LIST",
        help="first try each schedule times these, such as 0.3,1,3, with seeds of their own",
    )  # fmt: skip
    group.add_argument("--tuning-seeds", metavar="LIST", help="the seeds of those trials")
    group.add_argument(
        "--any-length", action="store_true",
        help="accept schedules that end before or after the run",
    )  # fmt: skip
    arguments.add_record(group)


def run(options: argparse.Namespace) -> int:
    """Compare, write, print."""
    need_matplotlib()  # not after the work
    default = task_folder("stepsize-compare", options.task)
    with OutputFolder(options.out or default) as folder:
        comparison = _compare(options, folder)
        folder.keep()
    print_comparison(comparison, folder.path, options)
    return exit_code(comparison)


def _compare(options: argparse.Namespace, folder: OutputFolder) -> Comparison:
    import stepsize
    from stepsize.report import compare_files
    from stepsize.store import Store
    from stepsize.trackers import mirrored

    compare = stepsize.compare  # says what to install when there is no torch
    store = arguments.store_path(options).absolute()  # a task may change the folder
    with messages.shown(options.quiet), mirrored(options.tracker, store) as mirror:
        comparison = compare(
            options.task,
            options.schedule,
            options.epochs,
            arguments.seeds(options),
            recipe=arguments.recipe(options),
            store=store,
            engine=options.engine,
            progress=messages.bars(options.quiet),
            watchers=mirror.watchers,
            settings={"command": arguments.command(options)},
            **_choices(options),
        )
        with Store(store) as opened:
            files = compare_files.write(comparison, folder.path, opened)
        mirror.finish(comparison, files)
    return comparison


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``CompareOptions`` that were given."""
    chosen = {
        **arguments.judgement(options),
        "any_length": options.any_length,
        "rate_factors": arguments.numbers("--rate-factors", options.rate_factors or "", float),
    }
    if options.tuning_seeds:
        chosen["tuning_seeds"] = arguments.numbers("--tuning-seeds", options.tuning_seeds, int)
    return chosen
