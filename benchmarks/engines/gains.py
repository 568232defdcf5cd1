"""What ``find`` with repeats, ``tune`` and ``compare`` gain from each engine, on built-in tasks.

    STEPSIZE_DATA=... python benchmarks/engines/gains.py [--repetitions 3]

The calls are those of the README, longer where the task is small. Wall time of the whole call:
making tasks, starting workers and measuring are in it. In each repetition the engines take turns in
an order shuffled anew; ratios are serial / engine within a repetition. ``fashion-mnist-mlp`` is
left out where its data cannot be had.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import in_turns, machine, middle, ratios, say, shown, table

import stepsize as ss
from stepsize.errors import DataError
from stepsize.tasks import load, make_task

#: In the order of the table; serial is what the others are measured against.
ENGINES = ("serial", "fused", "processes:2", "auto")
DIGITS, FASHION = "digits", "fashion-mnist-mlp"
SCHEDULES = ["constant(0.03)", "cosine(0.1)", "linear(0.1)", "warmup(cosine(0.1), steps=5%)"]

Call = Callable[[str], object]
#: By task: the calls as tables have them, each with the engine left open.
CALLS: dict[str, dict[str, Call]] = {
    DIGITS: {
        "find, 3 repeats": lambda engine: ss.find(DIGITS, repeats=3, engine=engine),
        "find, 8 repeats": lambda engine: ss.find(DIGITS, repeats=8, engine=engine),
        "tune, 200 epochs": lambda engine: ss.tune(DIGITS, 200, engine=engine),
        "compare, 4 schedules x 3 seeds, 60 epochs": lambda engine: ss.compare(
            DIGITS, SCHEDULES, 60, 3, store=None, engine=engine
        ),
    },
    FASHION: {
        "find, 3 repeats": lambda engine: ss.find(FASHION, repeats=3, engine=engine),
        "find, 8 repeats": lambda engine: ss.find(FASHION, repeats=8, engine=engine),
        "tune, 2 epochs": lambda engine: ss.tune(FASHION, 2, engine=engine),
        "compare, 3 schedules x 2 seeds, 1 epoch": lambda engine: ss.compare(
            FASHION, SCHEDULES[:3], 1, (0, 1), store=None, engine=engine
        ),
    },
}


def timed(call: Call, engine: str) -> float:
    start = time.perf_counter()
    call(engine)
    seconds = time.perf_counter() - start
    say(f"  {engine}: {seconds:.1f} s")
    return seconds


def has_data(task: str) -> bool:
    try:
        make_task(load(task), 0)
    except DataError:
        return False
    return True


def measure_call(call: Call, repetitions: int) -> dict[str, Any]:
    took = in_turns(
        {engine: lambda engine=engine: timed(call, engine) for engine in ENGINES},
        repetitions,
        warm=False,
    )
    return {
        engine: {"seconds": middle(took[engine]), "ratio": ratios(took["serial"], took[engine])}
        for engine in ENGINES
    }


def measure(repetitions: int = 3, tasks: tuple[str, ...] = tuple(CALLS)) -> dict[str, Any]:
    there = [task for task in tasks if has_data(task)]
    cases = {}
    for task in there:
        for title, call in CALLS[task].items():
            say(f"gains: {task}, {title}")
            cases[f"{task}: {title}"] = measure_call(call, repetitions)
    missing = [task for task in tasks if task not in there]
    return {**machine(), "repetitions": repetitions, "missing": missing, "cases": cases}


def markdown(record: dict[str, Any]) -> list[str]:
    lines = [
        "## What find, tune and compare gain",
        "",
        "`gains.py`; wall time of the whole call; ratio = serial / engine within a repetition, "
        f"median [quartiles] of {record['repetitions']}.",
        "",
        *[f"Not measured, for its data is not here: `{task}`." for task in record["missing"]],
    ]
    rows = [
        (title, f"{case['serial']['seconds']:.1f}", *(shown(case[e]["ratio"]) for e in ENGINES[1:]))
        for title, case in record["cases"].items()
    ]
    return [*lines, *table(("call", "serial, s", *ENGINES[1:]), rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CALLS), default=list(CALLS))
    parser.add_argument("--out", type=Path, help="a file for the figures")
    options = parser.parse_args()
    record = measure(options.repetitions, tuple(options.only))
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print("\n".join(markdown(record)))


if __name__ == "__main__":
    main()
