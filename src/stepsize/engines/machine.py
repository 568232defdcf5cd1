"""How many cores this process may use, and how worker processes share them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stepsize.errors import require


class Sizes(NamedTuple):
    """How cores are shared.

    Attributes:
        workers: how many processes compute at once.
        threads: how many threads each of them computes with.
    """

    workers: int
    threads: int


def sizes(workers: int | None = None, threads: int | None = None) -> Sizes:
    """As many workers as there are cores, or threads as fit: ``workers * threads <= cores``.

    What is given is kept, also where that asks for more than there is. Where ``OMP_NUM_THREADS``
    is set, it is the most threads of a worker.

    Raises:
        InputError: less than one of either.

    >>> sizes(workers=3, threads=2)
    Sizes(workers=3, threads=2)
    """
    for name, count in (("workers", workers), ("threads", threads)):
        require(count is None or count >= 1, f"{name} must be at least 1, got {count}.")
    cores = usable_cores()
    if workers is None:
        return Sizes(max(1, cores // (threads or 1)), threads or 1)
    return Sizes(workers, threads or min(max(1, cores // workers), _most_threads()))


def usable_cores(root: str | Path = "/") -> int:
    """The cores that this process may use: its affinity and its container's quota; at least 1.

    Args:
        root: where ``/proc`` and ``/sys`` are.

    >>> 1 <= usable_cores() <= (os.cpu_count() or 1)
    True
    """
    affine = getattr(os, "sched_getaffinity", None)
    cores = len(affine(0)) if affine else os.cpu_count() or 1
    return max(1, min([cores, *(int(quota) for quota in _quotas(Path(root)))]))


def resident_bytes(root: str | Path = "/") -> int:
    """The memory that this process fills, libraries included; 0 where nothing tells (not Linux).

    Args:
        root: where ``/proc`` is.

    >>> resident_bytes() >= 0
    True
    """
    try:
        lines = (Path(root) / "proc/self/status").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    sizes_in = (line.split() for line in lines if line.startswith("VmRSS:"))
    return next((int(words[1]) * 1024 for words in sizes_in), 0)


def _quotas(root: Path) -> Iterator[float]:
    """The cores' worth of time of every control group that this process is in (Linux)."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2, alone or beside version 1
            for mount in (mounts, mounts / "unified"):
                yield from _at_every_level(mount, path, "cpu.max")
        elif "cpu" in controllers.split(","):
            for mount in (mounts / controllers, mounts / "cpu"):
                yield from _at_every_level(mount, path, "cpu.cfs_quota_us", "cpu.cfs_period_us")


def _at_every_level(mount: Path, path: str, *files: str) -> Iterator[float]:
    """The quotas from a group up to the root; a container may see its own as the root."""
    group = Path(path.lstrip("/"))
    for level in (group, *group.parents):
        try:
            words = " ".join((mount / level / name).read_text() for name in files).split()
            quota, period = (float(word) for word in words)
        except (OSError, ValueError):  # absent, or "max": no limit
            continue
        if quota > 0.0 and period > 0.0:
            yield quota / period


def _most_threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(given) if given.isdecimal() and int(given) >= 1 else sys.maxsize
