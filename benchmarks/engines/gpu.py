"""On a GPU: updates of K copies against K trainings one after the other, with the peak memory.

    python benchmarks/engines/gpu.py [--device cuda] [--copies 16 64 256] [--repetitions 7]

Steady state: the batches lie on the device, no log, no evaluation. *Serial* is the loop a user
would write, as it is and after ``torch.compile(model)``, times K; *fused* is ``Stack.update``, as
it is and compiled (what that is on a GPU: ``stepsize.adapters.torch.fused.compiled``). Each
contestant is built and warmed up, then in each repetition runs for about ``--seconds`` of wall
time, the device waited for at both ends, in an order shuffled anew. Ratios are K x serial /
contestant within a repetition. Peak memory is what ``torch.cuda.max_memory_allocated`` has grown by
while the contestant was built and warmed up.

Writes gpu.json beside this file and puts the figures into results.md; ``--device cpu --copies 2``
shows that it works where there is no GPU, and writes nothing.
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
from measuring import HERE, in_turns, machine, middle, ratios, say, shown, table, verdict
from plain import steps
from workloads import WORKLOADS, Workload

from stepsize.adapters.torch.fused import Stack, Stream
from stepsize.adapters.torch.update import Recipe
from stepsize.tasks import Task

NAMES = ("mlp_506k", "cnn")
COPIES = (16, 64, 256)
#: At K = 64, of the better of both fused contestants.
TARGETS = {"mlp_506k": 10.0, "cnn": 4.0}
SERIAL = "serial"
FILE = HERE / "gpu.json"


class Contestant(NamedTuple):
    """One way to make an update.

    Attributes:
        step: makes it, of all copies.
        copies: how many that are.
        peak_bytes: of memory on the device; None where nothing tells.
        note: what went otherwise than asked.
    """

    step: Callable[[], Any]
    copies: int
    peak_bytes: int | None
    note: str = ""


def on_device(workload: Workload, device: torch.device) -> Task:
    """The task with its model, its optimizer and all its batches there."""
    task = workload(0)
    model = task.model.to(device)
    optimizer = workload.optimizer(model.parameters(), lr=workload.rates[0])
    train = [tuple(part.to(device) for part in batch) for batch in task.train]
    return Task(model, optimizer, task.loss, train)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def built(
    device: torch.device, copies: int, make: Callable[[], tuple[Callable[[], Any], Any]]
) -> Contestant:
    """The contestant after a few updates."""
    cuda = device.type == "cuda"
    before = 0
    if cuda:
        gc.collect()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    step, stack = make()
    for _ in range(5):
        step()
    wait(device)
    peak = torch.cuda.max_memory_allocated(device) - before if cuda else None
    return Contestant(step, copies, peak, getattr(stack, "why_not_compiled", ""))


def stacked(
    workload: Workload, device: torch.device, copies: int, *, compiled: bool
) -> tuple[Callable[[], Any], Stack]:
    task = on_device(workload, device)
    batches = cycle(task.train)
    stream = Stream(task.model, task.optimizer, task.loss, lambda: next(batches), task.train)
    stack = Stack([stream], [0] * copies, Recipe(), compiled=compiled)
    rates = workload.spread(copies)
    return (lambda: stack.update(rates)), stack


def contestants(
    workload: Workload, device: torch.device, copies: tuple[int, ...]
) -> dict[str, Contestant]:
    def serial(*, compiled: bool) -> Contestant:
        task = on_device(workload, device)
        return built(device, 1, lambda: (steps(task, compiled=compiled), None))

    found = {
        SERIAL: serial(compiled=False),
        "serial, model compiled": serial(compiled=True),
    }
    for count in copies:
        for compiled in (False, True):
            name = f"fused{', compiled' * compiled}, K = {count}"
            say(f"gpu: building {name}")
            found[name] = built(
                device,
                count,
                lambda count=count, compiled=compiled: stacked(
                    workload, device, count, compiled=compiled
                ),
            )
    return found


def seconds_per_update(step: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """Of as many updates as take about ``seconds``; twenty between two looks at the clock."""
    wait(device)
    start, made = time.perf_counter(), 0
    while made == 0 or time.perf_counter() - start < seconds:
        for _ in range(20):
            step()
        wait(device)
        made += 20
    return (time.perf_counter() - start) / made


def measure_case(
    name: str, device: torch.device, copies: tuple[int, ...], repetitions: int, seconds: float
) -> dict[str, Any]:
    torch._dynamo.reset()
    tried = contestants(WORKLOADS[name], device, copies)
    took = in_turns(
        {
            contestant: lambda one=one: seconds_per_update(one.step, device, seconds)
            for contestant, one in tried.items()
        },
        repetitions,
    )
    return {
        contestant: {
            "copies": one.copies,
            "us_per_update": middle([1e6 * value for value in took[contestant]]),
            "ratio": ratios(took[SERIAL], took[contestant], one.copies),
            "peak_mib": None if one.peak_bytes is None else round(one.peak_bytes / 2**20, 1),
            "note": one.note,
        }
        for contestant, one in tried.items()
    }


def measure(
    device: torch.device, copies: tuple[int, ...], repetitions: int, seconds: float
) -> dict[str, Any]:
    cases = {}
    for name in NAMES:
        say(f"gpu: {name} on {device}")
        cases[name] = measure_case(name, device, copies, repetitions, seconds)
    cuda = device.type == "cuda"
    return {
        **machine(),
        "device": torch.cuda.get_device_name(device) if cuda else str(device),
        "cuda": torch.version.cuda if cuda else None,
        "repetitions": repetitions,
        "seconds": seconds,
        "cases": cases,
    }


def markdown(record: dict[str, Any] | None) -> list[str]:
    if record is None:
        return [
            "## On a GPU",
            "",
            "**No figures have been measured**: there was no GPU. `python "
            "benchmarks/engines/gpu.py` measures them where there is one, and puts them here. "
            f"Targets at K = 64: {TARGETS['mlp_506k']:g}x for the MLP, {TARGETS['cnn']:g}x for the "
            "small CNN.",
        ]
    lines = [
        "## On a GPU",
        "",
        f"`gpu.py`; {record['device']}, CUDA {record['cuda']}; {record['machine']}; "
        f"{record['date']}; wall time; ratio = K x serial / contestant within a repetition, median "
        f"[quartiles] of {record['repetitions']}.",
        "",
    ]
    rows = []
    for name, case in record["cases"].items():
        pair = [case[c]["ratio"][0] for c in case if c.endswith("K = 64")]
        if pair:
            reached = verdict(max(pair) >= TARGETS[name])
            lines.append(f"- `{name}`, K = 64: at least {TARGETS[name]:g}x, {reached}.")
        for contestant, found in case.items():
            rows.append(
                (
                    WORKLOADS[name].title if contestant == SERIAL else "",
                    contestant + (f" (not compiled: {found['note']})" if found["note"] else ""),
                    f"{found['us_per_update']:.0f}",
                    shown(found["ratio"]),
                    "-" if found["peak_mib"] is None else f"{found['peak_mib']:.1f}",
                )
            )
    head = ("", "contestant", "µs an update", "ratio", "peak, MiB")
    return [*lines, "", *table(head, rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--copies", type=int, nargs="+", default=list(COPIES))
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--out", type=Path, default=FILE, help="the file for the figures")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("There is no GPU here; --device cpu --copies 2 shows that it works.")
    record = measure(device, tuple(options.copies), options.repetitions, options.seconds)
    print("\n".join(markdown(record)))
    if device.type == "cuda":
        options.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        if options.out == FILE:
            from run import write

            write(HERE)


if __name__ == "__main__":
    main()
