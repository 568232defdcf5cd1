"""``stepsize runs``: what the runs database holds."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stepsize.cli import arguments, messages
from stepsize.cli.exit_codes import DONE
from stepsize.errors import InputError
from stepsize.records import STATUSES
from stepsize.records.run import plain_values

if TYPE_CHECKING:
    from stepsize.report.runs_terminal import Listed
    from stepsize.store import Store, StoredComparison, StoredRun

    Groups = list[tuple[StoredComparison | None, list[Listed]]]


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "runs",
        help="list the runs that the database holds",
        description="List comparisons and their runs, newest last; or tell all of one run.",
    )
    parser.add_argument(
        "run_id", metavar="RUN", nargs="?", help="a run's number or key: tell all of it"
    )
    arguments.add_store(parser)
    parser.add_argument("--task", metavar="TASK", help="only the runs of that task")
    parser.add_argument("--status", choices=STATUSES, help="only the runs of that status")
    parser.add_argument(
        "--comparison", metavar="ID", help="only the runs of the comparison of that number or name"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, print."""
    from stepsize.store import Store

    with Store(arguments.store_path(options), create=False) as store:
        if options.run_id is not None:
            _print_one(store, options)
        else:
            _print_list(store, options)
    return DONE


def _print_one(store: Store, options: argparse.Namespace) -> None:
    from stepsize.report import runs_terminal

    run_id = _run_id(store, options.run_id)
    stored = store.read(run_id)
    within = [
        (each, arm) for each in store.comparisons() for number, arm in each.runs if number == run_id
    ]
    if options.json:
        print(json.dumps(_whole(stored, within), allow_nan=False))
    else:
        print(runs_terminal.details(stored, within, ascii_only=messages.ascii_only()))


def _run_id(store: Store, text: str) -> int:
    """The number of the run that the user's word names."""
    known = {each.id for each in store.runs()}
    number = int(text) if text.isdecimal() else None
    found = number if number in known else store.run_id(text)
    if found is None:
        raise InputError(
            f"The store {store.path} has no run {text!r}. 'stepsize runs' lists the "
            f"{len(known)} that it holds."
        )
    return found


def _print_list(store: Store, options: argparse.Namespace) -> None:
    from stepsize.report import runs_terminal

    groups = _groups(store, options)
    listed = {each.run.id: each for _, runs in groups for each in runs}
    if options.json:
        within = _within(groups)
        data = {
            "store": str(store.path),
            "comparisons": [_comparison(one, runs) for one, runs in groups if one is not None],
            "runs": [
                {
                    **_brief(listed[number].run),
                    "comparisons": within.get(number, []),
                    "final": plain_values(listed[number].final),
                }
                for number in sorted(listed)
            ],
        }
        print(json.dumps(data, allow_nan=False))
        return
    if not groups:
        print("no such runs" if _filtered(options) else f"the store {store.path} holds no runs")
        return
    print(runs_terminal.listing(groups, ascii_only=messages.ascii_only()))
    crashed = sum(each.run.status == "crashed" for each in listed.values())
    if crashed:
        print(
            f"{crashed} crashed: the command that began {'it' if crashed == 1 else 'them'} goes on "
            "where the last checkpoint is",
            file=sys.stderr,
        )


def _filtered(options: argparse.Namespace) -> bool:
    return any((options.task, options.status, options.comparison))


def _groups(store: Store, options: argparse.Namespace) -> Groups:
    """The runs that were asked for by comparison; those of none come first."""
    from stepsize.report.runs_terminal import Listed

    only = None if options.comparison is None else store.comparison(options.comparison)
    found = {each.id: each for each in store.runs(options.task, options.status, only and only.id)}
    comparisons = store.comparisons() if only is None else [only]
    finals = _finals(store, found, comparisons)
    groups: Groups = []
    for comparison in comparisons:
        arms = list(dict.fromkeys(arm for _, arm in comparison.runs))
        runs = [
            Listed(found[number], arm, finals[number])
            for number, arm in sorted(comparison.runs, key=lambda pair: arms.index(pair[1]))
            if number in found
        ]
        if runs or not _filtered(options):
            groups.append((comparison, runs))
    placed = {number for comparison in comparisons for number, _ in comparison.runs}
    alone = [
        Listed(each, each.definition["schedule"], finals[number])
        for number, each in found.items()
        if number not in placed
    ]
    return [*([(None, alone)] if alone else []), *groups]


def _finals(
    store: Store, found: Mapping[int, StoredRun], comparisons: Sequence[StoredComparison]
) -> dict[int, Mapping[str, float]]:
    """The values at the end of each run; those of finished comparisons are in their results."""
    kept = {
        run["key"]: run["final"]
        for comparison in comparisons
        for run in (comparison.result or {}).get("runs", ())
    }
    finals: dict[int, Mapping[str, float]] = {}
    for number, each in found.items():
        if each.status != "finished":
            finals[number] = {}
        elif kept.get(each.key):
            values = kept[each.key].items()
            finals[number] = {name: math.inf if v is None else v for name, v in values}
        else:
            finals[number] = store.read(number).as_run("").final
    return finals


def _comparison(one: StoredComparison, runs: Sequence[Listed]) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "key": one.key,
        "created": one.created,
        "finished": one.result is not None,
        "runs": [each.run.id for each in runs],
    }


def _within(groups: Groups) -> dict[int, list[dict[str, Any]]]:
    """By run, the comparisons that it is in and what it is called there."""
    within: dict[int, list[dict[str, Any]]] = {}
    for comparison, runs in groups:
        for each in runs:
            if comparison is not None:
                within.setdefault(each.run.id, []).append({"id": comparison.id, "arm": each.arm})
    return within


def _whole(stored: StoredRun, within: Sequence[tuple[StoredComparison, str]]) -> dict[str, Any]:
    return {
        **_brief(stored),
        "comparisons": [{"id": one.id, "arm": arm} for one, arm in within],
        "final": plain_values(stored.as_run("").final),
        "history": [each.to_dict() for each in stored.history],
        "definition": dict(stored.definition),
        "environment": dict(stored.environment),
        "facts": dict(stored.facts),
        "owner": None if stored.owner is None else list(stored.owner),
        "events": [event._asdict() for event in stored.events],
    }


def _brief(stored: StoredRun) -> dict[str, Any]:
    definition = stored.definition
    return {
        "id": stored.id,
        "key": stored.key,
        "task": definition["task"],
        "schedule": definition["schedule"],
        "seed": definition["seed"],
        "status": stored.status,
        "done": stored.done,
        "updates": definition["updates"],
        "error": stored.error,
        "seconds": stored.seconds,
        "started": stored.started,
        "ended": stored.ended,
    }
