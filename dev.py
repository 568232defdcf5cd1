#!/usr/bin/env python3
"""Set everything up, then run.

    python3 dev.py find digits      the stepsize command line, in an environment of its own
    python3 dev.py test             format, lint, types, import rules, tests
    python3 dev.py test -k ladder   only pytest, with its own options

Needs Python 3.11 or newer and nothing else. The first run makes .venv and installs into it what
pyproject.toml asks for, at the versions in constraints.txt; later runs see that it is there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
#: What each purpose needs beyond the package with all its extras: dependency groups.
GROUPS = {"use": (), "test": ("test", "lint")}
#: What `test` runs, in order; the quickest to fail comes first.
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("lint-imports",),
    ("mypy",),
    # In as many processes as there are cores, up to four: half the time on two cores.
    ("pytest", "--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal"),
)


def main(words: list[str]) -> int:
    """Set up what the command needs and run it."""
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if words else 2
    if words[0] != "test":
        set_up("use")
        return run("stepsize", *words, folder=None)
    set_up("test")
    if len(words) > 1:
        return run("pytest", *words[1:])
    for check in CHECKS:
        print("+", *check, flush=True)
        if code := run(*check):
            return code
    return 0


def run(program: str, *words: str, folder: Path | None = ROOT) -> int:
    """Run a program of the environment; Ctrl-C is the program's to handle."""
    with subprocess.Popen([BIN / program, *words], cwd=folder) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def set_up(purpose: str) -> None:
    """Make the environment, unless the same one is complete already."""
    wanted = fingerprint()
    stamp = VENV / f"stepsize-{purpose}.stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"setting up {VENV} (once; a few minutes where packages must be fetched)", flush=True)
    if not any((VENV / f"stepsize-{other}.stamp").is_file() for other in GROUPS):
        make_environment()
    packages = [requirement for group in GROUPS[purpose] for requirement in read_group(group)]
    install("--constraint", str(ROOT / "constraints.txt"), "--editable", f"{ROOT}[all]", *packages)
    stamp.write_text(wanted)  # last: an interrupted set-up is done again


def make_environment() -> None:
    """A fresh virtual environment; half of an earlier one is thrown away."""
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            "dev.py: Python cannot make virtual environments here. On Debian and Ubuntu: "
            "apt install python3-venv"
        )


def install(*words: str) -> None:
    """Install with the environment's pip, quietly unless it fails."""
    pip = [BIN / "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    if subprocess.run([*pip, *words], check=False).returncode:
        sys.exit("dev.py: the installation failed; see above. Run the same command again.")


def read_group(name: str) -> list[str]:
    """The requirements of a dependency group in pyproject.toml."""
    import tomllib

    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return list(groups[name])


def fingerprint() -> str:
    """What the environment depends on: the requirements, the pins, the interpreter, the place."""
    parts = [sys.version, str(ROOT)]
    parts += [(ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(f"dev.py: needs Python 3.11 or newer, this is {sys.version.split()[0]}.")
    sys.exit(main(sys.argv[1:]))
