"""Where and with what a run was made: versions, git commit, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stepsize.version import __version__

#: Packages whose version can change a run's numbers.
_PACKAGES = ("torch", "numpy")


def environment(folder: str | Path = ".") -> dict[str, Any]:
    """Versions, the git commit of ``folder`` (None outside a repository) and the machine.

    >>> sorted(environment())
    ['git', 'machine', 'versions']
    """
    return {"versions": versions(), "git": git(folder), "machine": machine()}


def versions() -> dict[str, str]:
    """The versions of Python, stepsize and what computes."""
    found = {"python": platform.python_version(), "stepsize": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git(folder: str | Path = ".") -> dict[str, Any] | None:
    """The commit of the repository around ``folder`` and whether files differ from it."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed": bool(changed)}


def machine() -> dict[str, Any]:
    """The system, the processor and how many there are."""
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _git(folder: str | Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
