"""How long it takes to import stepsize and to print the command's help.

    python benchmarks/import_time/run.py [--repetitions 20]

Every measurement is a fresh process. All commands take turns, in an order shuffled anew in each
repetition; the table shows medians with quartiles, and the median of what each command takes
beyond an empty Python in the same repetition. Writes results.json and results.md beside this file
(elsewhere with ``--out``). Byte code is compiled before the clock starts.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).resolve().parent
#: What is measured, the seconds it may take, and whether an empty Python's time is taken off.
TARGETS = {
    "import stepsize": (0.060, True),
    "python -m stepsize --help": (0.3, False),
    "stepsize --help": (0.3, False),
}
_IMPORT_TIME = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|( +)(\S+)")


def commands() -> dict[str, list[str]]:
    """The commands by name; the installed script only where there is one."""
    found = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import stepsize": [sys.executable, "-c", "import stepsize"],
        "python -m stepsize --help": [sys.executable, "-m", "stepsize", "--help"],
    }
    script = shutil.which("stepsize", path=str(Path(sys.executable).parent))
    if script is not None:
        found["stepsize --help"] = [script, "--help"]
    return found


def seconds(command: list[str]) -> float:
    """One fresh process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(repetitions: int) -> dict[str, list[float]]:
    """Every command once per repetition, after two that warm up."""
    shuffler, todo = random.Random(0), commands()
    times: dict[str, list[float]] = {name: [] for name in todo}
    for repetition in range(-2, repetitions):
        for name in shuffler.sample(list(todo), len(todo)):
            took = seconds(todo[name])
            if repetition >= 0:
                times[name].append(took)
    return times


def breakdown(arguments: list[str], repetitions: int = 5) -> dict[str, tuple[float, float]]:
    """Own and cumulative milliseconds of each imported module, median over fresh processes."""
    found: dict[str, list[tuple[int, int]]] = {}
    for _ in range(repetitions):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        for own, cumulative, _, module in _IMPORT_TIME.findall(done.stderr):
            found.setdefault(module, []).append((int(own), int(cumulative)))
    return {
        module: (median(own for own, _ in rows) / 1e3, median(both for _, both in rows) / 1e3)
        for module, rows in found.items()
    }


def costly(arguments: list[str], most: int = 10) -> dict[str, list[tuple[str, float, float]]]:
    """The dearest imports that an empty Python does not make: other people's and our own.

    Others' by what they cost with all they import; ours by what they cost themselves.
    """
    empty = breakdown(["-c", "pass"])
    rows = [
        (module, round(own, 2), round(both, 2))
        for module, (own, both) in breakdown(arguments).items()
        if module not in empty
    ]
    others = [row for row in rows if row[0].split(".")[0] != "stepsize"]
    ours = [row for row in rows if row not in others]
    return {
        "standard library": sorted(others, key=lambda row: -row[2])[:most],
        "stepsize": sorted(ours, key=lambda row: -row[1])[:most],
    }


def summary(times: dict[str, list[float]]) -> dict[str, dict]:
    """Milliseconds: median, quartiles and the part beyond an empty Python."""
    base = times["python -c pass"]
    rows = {}
    for name, values in times.items():
        low, middle, high = (1e3 * value for value in quantiles(values, n=4, method="inclusive"))
        beyond = 1e3 * median(a - b for a, b in zip(values, base, strict=True))
        rows[name] = {
            "median_ms": round(middle, 1),
            "quartiles_ms": [round(low, 1), round(high, 1)],
            "beyond_empty_python_ms": round(beyond, 1),
        }
    return rows


def markdown(record: dict) -> str:
    lines = [
        "# What importing costs",
        "",
        f"{record['machine']}; {record['date']}; shared, load {record['load']} before.",
        f"Command: `python benchmarks/import_time/run.py`; {record['repetitions']} fresh processes "
        "each, taking turns.",
        "",
        "| | median, ms | quartiles | beyond an empty Python, ms | target | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for name, row in record["rows"].items():
        target, relative = TARGETS.get(name, (None, False))
        low, high = row["quartiles_ms"]
        took = row["beyond_empty_python_ms"] if relative else row["median_ms"]
        limit = "" if target is None else f"{1e3 * target:.0f}"
        verdict = "" if target is None else ("met" if took < 1e3 * target else "**missed**")
        lines.append(
            f"| `{name}` | {row['median_ms']} | {low} to {high} | "
            f"{row['beyond_empty_python_ms']} | {limit} | {verdict} |"
        )
    lines += ["", "The target for the import is on the time beyond an empty Python."]
    for command, tables in record["costly"].items():
        lines += ["", f"## The dearest imports of `{command}`", ""]
        lines += ["By `-X importtime`, which adds to them; without what an empty Python imports."]
        for title, rows in tables.items():
            lines += ["", f"| {title} | own, ms | with what it imports, ms |", "|---|--:|--:|"]
            lines += [f"| `{module}` | {own} | {both} |" for module, own, both in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    record = {
        "machine": f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} VM, "
        f"Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
        "load": round(os.getloadavg()[0], 1),
        "repetitions": options.repetitions,
        "rows": summary(measure(options.repetitions)),
        "costly": {
            "import stepsize": costly(["-c", "import stepsize"]),
            "python -m stepsize --help": costly(["-m", "stepsize", "--help"]),
        },
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (options.out / "results.md").write_text(markdown(record), encoding="utf-8")
    print(markdown(record))


if __name__ == "__main__":
    main()
