"""How much memory K fused copies take, beside what the formula says.

    python benchmarks/engines/memory.py

Each case is a fresh process that makes a few updates of K copies, uncompiled, with one thread, and
says the most memory it ever had (``VmHWM`` of Linux, else ``getrusage``). Python, torch and the
data take much of it, and a few copies fit into what loading torch took for a moment; so what counts
is the growth from the smallest K to the largest, by copy, beside ``bytes_of(...).copy`` of
``stepsize.adapters.torch.fused.memory``, which decides into how many chunks a request is split.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from measuring import machine, say, table
from workloads import WORKLOADS

from stepsize.adapters.torch.fused import Stack, Stream
from stepsize.adapters.torch.fused.memory import bytes_of
from stepsize.adapters.torch.update import Recipe

#: By workload: what the process is measured with.
COPIES = {
    "mlp_506k": (16, 32, 64),
    "cnn": (64, 128, 256),
    "transformer": (16, 32, 64),
}
MEBIBYTE = 2**20


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux; the unit of macOS is the byte
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def stack_and_say(name: str, copies: int) -> None:
    """What the fresh process does."""
    torch.set_num_threads(1)
    workload = WORKLOADS[name]
    task = workload(0)
    batches = iter(task.train)
    stream = Stream(task.model, task.optimizer, task.loss, lambda: next(batches), task.train)
    formula = bytes_of(stream, Recipe())
    stack = Stack([stream], [0] * copies, Recipe())
    for _ in range(4):
        stack.update(workload.spread(copies))
    print(json.dumps({"peak": peak_bytes(), "copy": formula.copy}))


def case(name: str, copies: int) -> dict[str, int]:
    words = [sys.executable, __file__, "--case", name, str(copies)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = {"copies": copies, **json.loads(done.stdout)}
    say(f"memory: {name}, K = {copies}: {found['peak'] / MEBIBYTE:.0f} MiB")
    return found


def measure() -> dict[str, Any]:
    cases = {}
    for name, counts in COPIES.items():
        found = [case(name, count) for count in counts]
        first, last = found[0], found[-1]
        grown = (last["peak"] - first["peak"]) / (last["copies"] - first["copies"])
        cases[name] = {"peaks": found, "bytes_per_copy": round(grown), "formula": first["copy"]}
    return {**machine(), "cases": cases}


def markdown(record: dict[str, Any]) -> list[str]:
    lines = [
        "## Memory",
        "",
        "`memory.py`; the most memory of a process that makes updates of K copies, and how much "
        "it grows with each copy beside the formula of `bytes_of`.",
        "",
    ]
    rows = []
    for name, found in record["cases"].items():
        measured, formula = found["bytes_per_copy"], found["formula"]
        rows.append(
            (
                WORKLOADS[name].title,
                ", ".join(str(each["copies"]) for each in found["peaks"]),
                ", ".join(f"{each['peak'] / MEBIBYTE:.0f}" for each in found["peaks"]),
                f"{measured / MEBIBYTE:.2f}",
                f"{formula / MEBIBYTE:.2f}",
                f"{formula / measured:.2f}" if measured > 0 else "-",
            )
        )
    head = ("", "K", "MiB in all", "MiB a copy", "formula", "formula / measured")
    return [*lines, *table(head, rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs=2, metavar=("WORKLOAD", "K"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="a file for the figures")
    options = parser.parse_args()
    if options.case:
        stack_and_say(options.case[0], int(options.case[1]))
        return
    record = measure()
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print("\n".join(markdown(record)))


if __name__ == "__main__":
    main()
