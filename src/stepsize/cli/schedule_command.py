"""``stepsize schedule EXPR ... --steps N``: what a schedule will do, before anything is trained."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.cli import arguments, messages
from stepsize.cli.exit_codes import DONE
from stepsize.cli.output_folder import OutputFolder
from stepsize.errors import InputError, StepsizeError, require

if TYPE_CHECKING:
    from stepsize.report.schedule_preview import Preview
    from stepsize.report.schedule_view import ScheduleView
    from stepsize.schedules import Finding

FILES = ("schedule.png", "schedule.svg", "schedule.csv")
_OUT = "stepsize-schedule"


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "schedule",
        help="preview, check and export schedules",
        description="Show what schedules do over a run: values, phases, area under the curve, "
        "remarks. Writes schedule.png, schedule.svg and schedule.csv.",
        epilog="Remarks, errors among them, do not change the exit code: they are printed, and "
        "listed under 'lint' with --json.",
    )
    parser.add_argument(
        "schedules",
        metavar="EXPR",
        nargs="+",
        help="such as 'warmup(cosine(0.1), steps=5%%)'; several are drawn over each other",
    )
    group = parser.add_argument_group("run")
    group.add_argument("--steps", type=int, metavar="N", help="its updates")
    group.add_argument("--epochs", type=int, metavar="E", help="its epochs, instead of --steps")
    group.add_argument(
        "--steps-per-epoch",
        type=int,
        metavar="K",
        help="updates in one epoch: for lengths in epochs, and to show a decay read in both units",
    )
    parser.add_argument(
        "--groups",
        action="store_true",
        help="the schedules are those of parameter groups: remark on ratios that are not kept",
    )
    parser.add_argument("--momentum", metavar="EXPR", help="a schedule of the momentum beside it")
    parser.add_argument("--log", action="store_true", help="logarithmic axis of the values")
    arguments.add_output(parser, out=_OUT)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at every schedule, write, print."""
    from stepsize.report.figures import need_matplotlib
    from stepsize.report.schedule_view import view_of

    need_matplotlib()  # not after the work
    with _functions_explained(options):
        previews, momentum = _look(options)
    view = view_of(
        [one.trace for one in previews],
        log=options.log,
        momentum=momentum and momentum.trace,
        steps_per_epoch=options.steps_per_epoch,
    )
    with OutputFolder(options.out or _OUT) as folder:
        _write(folder.path, view, [*previews, *([momentum] if momentum else [])])
        folder.keep()
    _print(previews, momentum, view, options, _groups(previews) if options.groups else ())
    if not options.quiet:
        written = ", ".join(str(folder.path / name) for name in FILES)
        print(f"wrote {written}", file=sys.stderr)
    return DONE


@contextmanager
def _functions_explained(options: argparse.Namespace) -> Iterator[None]:
    """Tell what a function that is named in an expression raises in one line."""
    texts = [*options.schedules, options.momentum or ""]
    try:
        yield
    except StepsizeError:
        raise
    except Exception as error:
        if not any("function" in text for text in texts):
            raise  # ours: it keeps its traceback
        raise InputError(
            f"A function that the schedule names raised {type(error).__name__}: {error}. It is "
            "called with the number of each update, 0, 1, 2, ..."
        ) from error


def _look(options: argparse.Namespace) -> tuple[list[Preview], Preview | None]:
    from stepsize.report.schedule_preview import Preview, preview
    from stepsize.report.schedule_trace import trace
    from stepsize.schedules import parse
    from stepsize.schedules.linting import lint_momentum

    steps = _steps(options)
    texts = [*options.schedules, *([options.momentum] if options.momentum is not None else [])]
    # The user's own words name the function that is to be run.
    parsed = [parse(text, functions=True) for text in texts]
    beside = None
    if options.momentum is not None:
        momentum = parsed.pop().resolve(steps, options.steps_per_epoch)
        findings = lint_momentum(momentum, steps)
        beside = Preview(options.momentum, trace(momentum, steps), findings)
    previews = [
        preview(schedule, steps, options.steps_per_epoch, text=text)
        for text, schedule in zip(options.schedules, parsed, strict=True)
    ]
    return previews, beside


def _groups(previews: Sequence[Preview]) -> tuple[Finding, ...]:
    from stepsize.schedules.linting import lint_groups

    named = {f"schedule {n}": one.trace.schedule for n, one in enumerate(previews, start=1)}
    return lint_groups(named, previews[0].trace.steps)


def _steps(options: argparse.Namespace) -> int:
    """The updates of the run: ``--steps``, or ``--epochs`` times ``--steps-per-epoch``."""
    if (options.steps is None) == (options.epochs is None):
        raise InputError(
            "How long is the run? Give --steps N, or --epochs E with --steps-per-epoch K."
        )
    if options.steps is not None:
        return int(options.steps)
    if options.steps_per_epoch is None:
        raise InputError(
            f"--epochs {options.epochs} needs the updates in one epoch: --steps-per-epoch K."
        )
    for name, number in (("epochs", options.epochs), ("steps-per-epoch", options.steps_per_epoch)):
        require(number >= 1, f"--{name} must be 1 or more, got {number}.")
    return int(options.epochs * options.steps_per_epoch)


def _write(folder: Path, view: ScheduleView, columns: Sequence[Preview]) -> None:
    from stepsize.report import schedule_csv, schedule_figure
    from stepsize.report.atomic import write_all

    names = [line.text for line in view.lines] + ["momentum"][: len(columns) - len(view.lines)]
    table = schedule_csv.render([one.trace.schedule for one in columns], names, view.steps)
    contents = (schedule_figure.png(view), schedule_figure.svg(view), table)
    write_all({folder / name: data for name, data in zip(FILES, contents, strict=True)})


def _print(
    previews: Sequence[Preview],
    momentum: Preview | None,
    view: ScheduleView,
    options: argparse.Namespace,
    groups: Sequence[Finding],
) -> None:
    """The answer on standard output."""
    from stepsize.report import schedule_terminal

    ascii_only = messages.ascii_only()
    if options.json:
        data: dict[str, Any] = {"schedules": [one.to_dict() for one in previews]}
        if momentum:
            data["momentum"] = momentum.to_dict()
        if options.groups:
            data["groups"] = [finding.to_dict() for finding in groups]
        print(json.dumps(data, allow_nan=False))
    elif options.quiet:
        for one in previews:
            print(one.trace.schedule)
    else:
        style: dict[str, Any] = {"colour": sys.stdout.isatty(), "ascii_only": ascii_only}
        print(schedule_terminal.plot(view, **style))
        print(schedule_terminal.table(previews, **style))
        if momentum:
            print(schedule_terminal.table([momentum], title="momentum", **style))
        if options.groups:
            print("groups:", *(map(str, groups) if groups else ["every ratio is kept"]), sep="\n  ")
        if not options.log and any(one.trace.lies_low for one in previews):
            print("Many values are below 1 % of the peak: --log shows them.", file=sys.stderr)
