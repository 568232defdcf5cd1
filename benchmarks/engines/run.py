"""What the engines are worth: all figures of this folder, by one command.

    STEPSIZE_DATA=... python benchmarks/engines/run.py --all [--out FOLDER]

Runs the parts one after the other, each in a process of its own; what each measures and how is said
at the top of its file. Writes results.json and results.md beside this file (elsewhere with
``--out``) after every part; a part that was not run keeps its last figures. ``--quick`` shows in a
few minutes that all of it works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gains
import gpu
import memory
import trainings
import updates
from measuring import HERE, say

#: In the order of the page.
PARTS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "updates": updates.markdown,
    "trainings": trainings.markdown,
    "gains": gains.markdown,
    "memory": memory.markdown,
}
#: The options that each part is run with.
WHOLE: dict[str, list[str]] = {
    "updates": ["--repetitions", "5", "--seconds", "0.12"],
    "trainings": ["--repetitions", "3", "--peer-repetitions", "1", "--seconds", "11.5"],
    "gains": ["--repetitions", "3"],
    "memory": [],
}
QUICK: dict[str, list[str]] = {
    "updates": ["--repetitions", "1", "--seconds", "0.02", "--only", "mlp_2k", "--copies", "16"],
    "trainings": ["--repetitions", "1", "--seconds", "0.5", "--only", "mlp_2k", "--copies", "4"],
    "gains": ["--repetitions", "1", "--only", "digits"],
    "memory": [],
}


def measured(part: str, options: list[str]) -> dict[str, Any] | None:
    """The figures of a part; None if it failed, which it has said itself."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{part}.json"
        words = [sys.executable, str(HERE / f"{part}.py"), *options, "--out", str(file)]
        failed = subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode
        return None if failed else json.loads(file.read_text("utf-8"))


def read(folder: Path, name: str) -> Any:
    file = folder / name
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def markdown(record: dict[str, Any], gpu_record: dict[str, Any] | None) -> str:
    lines = [
        "# What the engines are worth",
        "",
        "Command: `python benchmarks/engines/run.py --all`. Ratios above 1: quicker than serial.",
    ]
    for part, section in PARTS.items():
        if part in record:
            found = record[part]
            about = f"{found['machine']}; {found['date']}; load {found['load']} at the end."
            title, *rest = section(found)
            lines += ["", title, "", about, *rest]
    return "\n".join([*lines, "", *gpu.markdown(gpu_record)]) + "\n"


def write(folder: Path) -> None:
    """The page, from the figures that lie in the folder."""
    text = markdown(read(folder, "results.json") or {}, read(folder, gpu.FILE.name))
    (folder / "results.md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"which: {', '.join(PARTS)}")
    parser.add_argument("--all", action="store_true", help="every part")
    parser.add_argument("--quick", action="store_true", help="try it; the figures mean nothing")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    chosen = list(PARTS) if options.all else options.parts
    if not chosen or set(chosen) - set(PARTS):
        parser.error(f"say --all, or which parts: {', '.join(PARTS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for part in chosen:
        say(f"== {part}")
        found = measured(part, (QUICK if options.quick else WHOLE)[part])
        if found is None:
            say(f"{part} failed; what is there stays")
            continue
        record = {**(read(options.out, "results.json") or {}), part: found}
        file = options.out / "results.json"
        file.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        write(options.out)
    say("done")
    print((options.out / "results.md").read_text("utf-8"))


if __name__ == "__main__":
    main()
