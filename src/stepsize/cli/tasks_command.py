"""``stepsize tasks``: the tasks that come with the package."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from stepsize.cli.exit_codes import DONE
from stepsize.tasks import BUILTIN


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("tasks", help="list the built-in tasks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every built-in task with what it is and needs."""
    if options.json:
        tasks = {t.name: {"summary": t.summary, "needs": list(t.needs)} for t in BUILTIN.values()}
        print(json.dumps({"tasks": tasks}))
        return DONE
    width = max(map(len, BUILTIN))
    for task in BUILTIN.values():
        text = f"{task.name:{width}}  {task.summary}; needs {' and '.join(task.needs)}"
        print(textwrap.fill(text, 88, subsequent_indent=" " * (width + 2)))
    print("\nYour own: path/to/file.py:callable or package.module:callable")
    return DONE
