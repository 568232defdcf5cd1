"""What one update of K copies costs: one after the other, fused, fused and compiled.

    python benchmarks/engines/updates.py [--repetitions 7]

Steady state: data in memory, no log, no evaluation. *Serial* is the loop a user would write
(``zero_grad``, forward, ``backward``, ``optimizer.step``), times K; beside it, with one thread,
the same after ``torch.compile(model)``. *Fused* is ``Stack.update`` with K rates, as it is and
compiled. All are built and warmed up first (compiling is timed apart, with nothing in its caches),
then in each repetition every one of them runs for about ``--seconds``, in an order shuffled anew.
First CPU time (``time.process_time``) with one thread, then wall time with two. Ratios are K x
serial / contestant within a repetition, medians and quartiles over the repetitions. A last column
says how long the same work would take one after the other where compiling begins to pay.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measuring import in_turns, machine, middle, ratios, say, shown, table, verdict
from plain import steps
from torch._inductor.utils import fresh_cache
from workloads import WORKLOADS, Workload

from stepsize.adapters.torch.fused import Stack, Stream, why_not
from stepsize.adapters.torch.update import Recipe

COPIES = (16, 64)
SERIAL, SERIAL_COMPILED = "serial", "serial, model compiled"
#: With one thread, at K = 16: the ratio that the compiled copies are to reach.
TARGETS = {"mlp_17k": 4.0, "mlp_2k": 15.0}
CLOCKS: dict[int, tuple[str, Callable[[], float]]] = {
    1: ("CPU", time.process_time),
    2: ("wall", time.perf_counter),
}


class Contestant(NamedTuple):
    """One way to make an update.

    Attributes:
        step: makes it, of all copies.
        copies: how many that are.
        build_seconds: until its second update was made; compiling is in it.
        note: why it was not compiled, if it was asked to be and was not.
    """

    step: Callable[[], Any]
    copies: int
    build_seconds: float
    note: str = ""


def stack(
    workload: Workload, copies: int, *, compiled: bool
) -> tuple[Callable[[], Any], Stack | None]:
    task = workload(0)
    batches = cycle(task.train)
    stream = Stream(task.model, task.optimizer, task.loss, lambda: next(batches), task.train)
    if reason := why_not(stream, Recipe()):
        raise SystemExit(f"{workload.title} cannot be fused: {reason}")
    made = Stack([stream], [0] * copies, Recipe(), compiled=compiled)
    rates = workload.spread(copies)
    return (lambda: made.update(rates)), made


def built(make: Callable[[], tuple[Callable[[], Any], Stack | None]], copies: int) -> Contestant:
    """The contestant after a few updates, with nothing found in the compiler's caches."""
    with fresh_cache():
        start = time.perf_counter()
        step, made = make()
        step(), step()
        seconds = time.perf_counter() - start
        for _ in range(3):
            step()
    return Contestant(step, copies, seconds, "" if made is None else made.why_not_compiled)


def contestants(
    workload: Workload, copies: tuple[int, ...], *, with_model_compiled: bool
) -> dict[str, Contestant]:
    found = {SERIAL: built(lambda: (steps(workload(0)), None), 1)}
    if with_model_compiled:
        found[SERIAL_COMPILED] = built(lambda: (steps(workload(0), compiled=True), None), 1)
    for count in copies:
        for compiled in (False, True):
            name = f"fused{', compiled' * compiled}, K = {count}"
            found[name] = built(
                lambda count=count, compiled=compiled: stack(workload, count, compiled=compiled),
                count,
            )
    return found


def seconds_per_update(
    step: Callable[[], Any], clock: Callable[[], float], seconds: float
) -> float:
    """Of as many updates as take about ``seconds``, two at least."""
    start, made = clock(), 0
    while made < 2 or clock() - start < seconds:
        step()
        made += 1
    return (clock() - start) / made


def measure_case(
    workload: Workload, threads: int, copies: tuple[int, ...], repetitions: int, seconds: float
) -> dict[str, Any]:
    torch._dynamo.reset()
    torch.set_num_threads(threads)
    _, clock = CLOCKS[threads]
    tried = contestants(workload, copies, with_model_compiled=threads == 1)
    took = in_turns(
        {
            name: lambda one=one: seconds_per_update(one.step, clock, seconds)
            for name, one in tried.items()
        },
        repetitions,
    )
    rows = {}
    for name, one in tried.items():
        rows[name] = {
            "copies": one.copies,
            "us_per_update": middle([1e6 * value for value in took[name]]),
            "build_seconds": middle([one.build_seconds]),
            "ratio": ratios(took[SERIAL], took[name], one.copies),
            "note": one.note,
        }
    for count in copies:
        eager, compiled = (f"fused{more}, K = {count}" for more in ("", ", compiled"))
        rows[compiled]["pays_after_seconds"] = pays_after(rows[eager], rows[compiled])
    gc.collect()
    return rows


def pays_after(eager: dict[str, Any], compiled: dict[str, Any]) -> float | None:
    """Seconds of serial work from which compiling saves more than it takes."""
    gained = 1 / max(1.0, eager["ratio"][0]) - 1 / compiled["ratio"][0]
    return middle([compiled["build_seconds"] / gained]) if gained > 0 else None


def measure(
    repetitions: int = 5,
    seconds: float = 0.2,
    names: tuple[str, ...] = tuple(WORKLOADS),
    copies: tuple[int, ...] = COPIES,
) -> dict[str, Any]:
    """All cases; with two threads at the first K alone."""
    threads_before = torch.get_num_threads()
    torch.compile(lambda x: x + 1)(torch.ones(1))  # the compiler itself is loaded
    cases = {}
    for threads, (clock, _) in CLOCKS.items():
        for name in names:
            say(f"updates: {name}, {threads} thread(s)")
            counts = copies if threads == 1 else copies[:1]
            cases[f"{name}, {clock}"] = {
                "workload": name,
                "threads": threads,
                "rows": measure_case(WORKLOADS[name], threads, counts, repetitions, seconds),
            }
    torch.set_num_threads(threads_before)
    return {**machine(), "repetitions": repetitions, "seconds": seconds, "cases": cases}


def markdown(record: dict[str, Any]) -> list[str]:
    lines = [
        "## One update of K copies",
        "",
        f"`updates.py`; {record['repetitions']} repetitions in which all take turns, "
        f"{record['seconds']:g} s each; ratio = K x serial / contestant, median [quartiles]. "
        "Serial is the plain loop. *Built*: until the second update, compiling with empty caches. "
        "*Pays from*: seconds of serial work from which the compiled copies are done first, "
        "compiling included.",
    ]
    for name, target in TARGETS.items():
        case = record["cases"].get(f"{name}, CPU")
        row = case and case["rows"].get(f"fused, compiled, K = {COPIES[0]}")
        if row:
            lines += [
                "",
                f"Target for {WORKLOADS[name].title}, compiled, K = {COPIES[0]}: {target:g}x, "
                f"{verdict(row['ratio'][0] >= target)}.",
            ]
    for threads, (clock, _) in CLOCKS.items():
        lines += ["", f"### {clock} time, {'one thread' if threads == 1 else 'two threads'}", ""]
        rows = [
            (
                WORKLOADS[case["workload"]].title if contestant == SERIAL else "",
                contestant + (f" (not compiled: {row['note']})" if row["note"] else ""),
                f"{row['us_per_update']:.0f}",
                shown(row["ratio"]),
                f"{row['build_seconds']:.1f}" if "compiled" in contestant else "",
                f"{row['pays_after_seconds']:.0f} s" if row.get("pays_after_seconds") else "",
            )
            for case in record["cases"].values()
            if case["threads"] == threads
            for contestant, row in case["rows"].items()
        ]
        head = ("", "contestant", "µs an update", "ratio", "built, s", "pays from")
        lines += table(head, rows)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--copies", type=int, nargs="+", default=list(COPIES))
    parser.add_argument("--out", type=Path, help="a file for the figures")
    options = parser.parse_args()
    record = measure(
        options.repetitions, options.seconds, tuple(options.only), tuple(options.copies)
    )
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print("\n".join(markdown(record)))


if __name__ == "__main__":
    main()
