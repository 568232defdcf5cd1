"""``stepsize find TASK``: range test, suggestion, and the three files that show it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.cli import arguments, messages
from stepsize.cli.exit_codes import ABSTAINED, DONE
from stepsize.cli.keeping import add_kept, keeping
from stepsize.cli.output_folder import OutputFolder, task_folder
from stepsize.report import find_figure, find_html
from stepsize.report.figures import need_matplotlib

if TYPE_CHECKING:
    from stepsize.records import FindResult

FILES = ("find.json", "find.png", "find.html")


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "find",
        help="find a learning rate with a range test",
        description="Run a learning-rate range test and suggest a rate. Writes find.json, "
        "find.png and find.html.",
    )
    arguments.add_task(parser)
    arguments.add_common(parser, out="stepsize-find/TASK")
    add_kept(parser)
    arguments.add_engine(parser)
    arguments.add_ladder(parser)
    arguments.add_search(parser)
    arguments.add_update(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Find, write, print."""
    need_matplotlib()  # not after the work
    default = task_folder("stepsize-find", options.task)
    with keeping(options.store) as keep, OutputFolder(options.out or default) as folder:
        result = _find(options)
        _write(result, folder.path)
        keep("find", result.to_dict())
        folder.keep()
    _print(result, folder.path, options)
    return DONE if result.verdict == "ok" else ABSTAINED


def _find(options: argparse.Namespace) -> FindResult:
    """Range-test the task; what its own code raises becomes one clear message."""
    from dataclasses import replace

    import stepsize
    from stepsize.tasks import load
    from stepsize.tasks.explain import explained

    find = stepsize.find  # says what to install when there is no torch
    task = load(options.task)
    search = arguments.search(options)
    with messages.shown(options.quiet), explained(task):
        result = find(
            task,
            recipe=arguments.recipe(options),
            engine=options.engine,
            progress=messages.bars(options.quiet),
            **search,
        )
    return replace(result, settings={"command": arguments.command(options), **result.settings})


def _write(result: FindResult, folder: Path) -> None:
    from stepsize.report.atomic import write_all

    text = json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n"
    contents = (text.encode(), find_figure.png(result), find_html.render(result).encode())
    write_all({folder / name: data for name, data in zip(FILES, contents, strict=True)})


def _print(result: FindResult, folder: Path, options: argparse.Namespace) -> None:
    """The answer on standard output; where the files are on standard error."""
    from stepsize.report import terminal
    from stepsize.report.wording import headline

    ascii_only = messages.ascii_only()
    if options.json:
        print(json.dumps(result.to_dict(), allow_nan=False))
    elif options.quiet:
        print(headline(result))
    else:
        print(terminal.plot(result, colour=sys.stdout.isatty(), ascii_only=ascii_only))
        print(terminal.table(result, ascii_only=ascii_only))
    if not options.quiet:
        written = ", ".join(str(folder / name) for name in FILES)
        print(f"wrote {written}", file=sys.stderr)
