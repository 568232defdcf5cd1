"""``stepsize tune TASK --epochs N``: recommend a peak rate and a schedule within a budget."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.cli import arguments, messages
from stepsize.cli.exit_codes import ABSTAINED, DONE, INTERRUPTED
from stepsize.cli.keeping import add_kept, keeping
from stepsize.cli.output_folder import OutputFolder, task_folder
from stepsize.report.figures import need_matplotlib
from stepsize.tuner import OPTIMIZERS

if TYPE_CHECKING:
    from stepsize.records import Recommendation


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "tune",
        help="recommend a peak learning rate and a schedule for a training of N epochs",
        description="Recommend a peak learning rate and a schedule for a training of N epochs: "
        "rates race on one schedule, ever fewer of them ever longer, judged by validation. Costs "
        "at most the budget, evaluations included. Writes tune.json, tune.html and tune.png.",
    )
    arguments.add_task(parser)
    parser.add_argument(
        "--epochs", type=int, required=True, metavar="N", help="of the training to come"
    )
    parser.add_argument(
        "--budget", type=float, default=1.0, metavar="B",
        help="what the search may cost, in such trainings (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--around", type=float, metavar="LR", help="a rate to begin the search around"
    )
    parser.add_argument(
        "--optimizer", action="append", default=[], choices=OPTIMIZERS,
        help="another optimizer to try beside the task's own; may be repeated",
    )  # fmt: skip
    arguments.add_common(parser, out="stepsize-tune/TASK")
    add_kept(parser)
    arguments.add_engine(parser)
    arguments.add_update(parser)
    parser.set_defaults(run=run, interrupted="no rate had been tried, nothing was written")


def run(options: argparse.Namespace) -> int:
    """Tune, write, print."""
    need_matplotlib()  # not after the work
    default = task_folder("stepsize-tune", options.task)
    with keeping(options.store) as keep, OutputFolder(options.out or default) as folder:
        answer = _tune(options)
        if answer.interrupted and not answer.evidence:
            raise KeyboardInterrupt
        from stepsize.report import tune_files

        tune_files.write(answer, folder.path)
        folder.keep()
        keep("tune", answer.to_dict())
    _print(answer, folder.path, options)
    if answer.interrupted:
        return INTERRUPTED
    return DONE if answer.verdict == "ok" else ABSTAINED


def _tune(options: argparse.Namespace) -> Recommendation:
    import stepsize

    tune = stepsize.tune  # says what to install when there is no torch
    with messages.shown(options.quiet):
        return tune(
            options.task,
            options.epochs,
            options.budget,
            seed=options.seed,
            around=options.around,
            optimizers=options.optimizer,
            recipe=arguments.recipe(options),
            engine=options.engine,
            progress=messages.bars(options.quiet),
            settings={"command": arguments.command(options)},
        )


def _print(answer: Recommendation, folder: Path, options: argparse.Namespace) -> None:
    """The answer on standard output; where the files are on standard error."""
    from stepsize.report import tune_files, tune_terminal

    if options.json:
        print(json.dumps(answer.to_dict(), allow_nan=False))
    elif options.quiet:
        with_optimizer = f" with {answer.optimizer}" if answer.optimizer else ""
        print(answer.verdict if answer.schedule is None else answer.schedule + with_optimizer)
    else:
        print(tune_terminal.summary(answer, ascii_only=messages.ascii_only()))
    if not options.quiet:
        print(f"{', '.join(tune_files.FILES)} are in {folder}", file=sys.stderr)
