"""``stepsize tasks``: the tasks and studies that come with the package."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from stepsize.cli.exit_codes import DONE
from stepsize.tasks import BUILTIN


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("tasks", help="list the built-in tasks and studies")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every built-in task and study with what it is and needs."""
    from stepsize.comparison import STUDIES  # parses their schedules, which other commands need not

    if options.json:
        tasks = {t.name: {"summary": t.summary, "needs": list(t.needs)} for t in BUILTIN.values()}
        studies = {s.name: {"summary": s.summary, "task": s.task} for s in STUDIES.values()}
        print(json.dumps({"tasks": tasks, "studies": studies}))
        return DONE
    _list({t.name: f"{t.summary}; needs {' and '.join(t.needs)}" for t in BUILTIN.values()})
    print("\nStudies, for 'stepsize compare':")
    _list({study.name: study.summary for study in STUDIES.values()})
    print("\nYour own: path/to/file.py:callable or package.module:callable")
    return DONE


def _list(entries: Mapping[str, str]) -> None:
    width = max(map(len, entries))
    for name, text in entries.items():
        print(textwrap.fill(f"{name:{width}}  {text}", 88, subsequent_indent=" " * (width + 2)))
