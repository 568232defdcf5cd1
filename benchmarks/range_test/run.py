"""What a range test costs beside the bare training loop, for stepsize and its peers.

    python benchmarks/range_test/run.py [--repetitions 25] [--updates 100 300] [--only NAME ...]

Every repetition runs all contestants once, in an order shuffled anew, and divides each time by the
bare loop's of the same repetition; the table shows medians and quartiles of these ratios. So a
machine that is busy for a while slows down both sides of a ratio. Writes results.json and
results.md beside this file (elsewhere with ``--out``).
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import platform
import random
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles

from contestants import CONTESTANTS, LARGE, PACKAGES, SMALL, Workload, quiet

import stepsize as ss

HERE = Path(__file__).resolve().parent
TARGET = 1.05
TARGET_TEXT = (
    f"Target: `stepsize find_lr` takes at most {TARGET} times the bare loop on {LARGE.name} for "
    "100 updates or more."
)


def available(workload: Workload, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Who can run here (each is warmed up), and why the others cannot."""
    present, missing = [], {}
    for name in names:
        try:
            CONTESTANTS[name](workload, 20)
            present.append(name)
        except ImportError as error:
            missing[name] = f"{error}"
    return present, missing


def measure(workload: Workload, n: int, names: list[str], repetitions: int) -> dict:
    """Seconds of every contestant in every repetition."""
    shuffler = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repetitions):
        for name in shuffler.sample(names, len(names)):
            gc.collect()
            seconds[name].append(CONTESTANTS[name](workload, n))
    return seconds


def summary(seconds: dict[str, list[float]], n: int) -> dict:
    """Medians and quartiles of time, ratio to the bare loop and extra time per update."""
    base = seconds["bare loop"]
    rows = {}
    for name, values in seconds.items():
        ratios = [value / bare for value, bare in zip(values, base, strict=True)]
        extra = [(value - bare) / n for value, bare in zip(values, base, strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        rows[name] = {
            "median_seconds": round(median(values), 5),
            "ratio": round(middle, 4),
            "ratio_quartiles": [round(low, 4), round(high, 4)],
            "extra_microseconds_per_update": round(median(extra) * 1e6, 1),
        }
    return rows


def machine() -> str:
    """The machine, in a few words."""
    return (
        f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} VM, "
        f"torch {version('torch')}, Python {platform.python_version()}, one thread"
    )


def versions() -> dict[str, str]:
    """The version of each package, ``not installed`` where there is none."""
    found = {"stepsize": ss.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def markdown(record: dict) -> str:
    """The results as a page."""
    lines = [
        "# What a range test costs",
        "",
        f"{record['machine']}; {record['date']}; shared, load {record['load']} before.",
        f"Command: `{record['command']}`. How it is measured: `run.py`, `contestants.py`.",
        f"{record['repetitions']} interleaved repetitions; ratio to the bare loop of the same "
        "repetition, median [quartiles]. `bare loop again` shows what noise alone does.",
        "",
        TARGET_TEXT,
    ]
    for case in record["cases"]:
        lines += [
            "",
            f"## {case['workload']} ({case['parameters']:,} parameters), {case['updates']} updates",
            "",
            "| | seconds | ratio to bare loop | extra per update |",
            "|---|--:|--:|--:|",
        ]
        for name, row in case["rows"].items():
            low, high = row["ratio_quartiles"]
            lines.append(
                f"| {name} | {row['median_seconds']:.4f} | {row['ratio']:.3f} "
                f"[{low:.3f}, {high:.3f}] | {row['extra_microseconds_per_update']:.0f} µs |"
            )
        lines += [f"| {name} | missing: {why} | | |" for name, why in record["missing"].items()]
    found = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return "\n".join([*lines, "", f"Versions: {found}.", ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--updates", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    quiet()
    names = list(dict.fromkeys(["bare loop", *options.only]))
    names, missing = available(SMALL, names)
    record = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "load": round(os.getloadavg()[0], 1),
        "command": shlex.join(["python", "benchmarks/range_test/run.py", *sys.argv[1:]]),
        "repetitions": options.repetitions,
        "target": TARGET_TEXT,
        "versions": versions(),
        "missing": missing,
        "cases": [],
    }
    for workload in (LARGE, SMALL):
        available(workload, names)  # warm up
        for n in options.updates:
            seconds = measure(workload, n, names, options.repetitions)
            case = {
                "workload": workload.name,
                "parameters": workload.parameters,
                "updates": n,
                "rows": summary(seconds, n),
                "seconds": {k: [round(v, 5) for v in values] for k, values in seconds.items()},
            }
            record["cases"].append(case)
            print(workload.name, n, json.dumps(case["rows"], indent=1), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (options.out / "results.md").write_text(markdown(record), encoding="utf-8")


if __name__ == "__main__":
    main()
