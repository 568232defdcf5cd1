"""What the benchmarks of this folder share: turns, ratios, tables, the machine in words."""

from __future__ import annotations

import datetime
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles

import torch

HERE = Path(__file__).resolve().parent
CORES = os.cpu_count() or 1


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "machine": f"{CORES}-core {platform.machine().replace('_', '-')} VM{_processor()}, torch "
        f"{torch.__version__}, Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""


def in_turns(
    contestants: Mapping[str, Callable[[], float]],
    repetitions: int,
    *,
    warm: bool = True,
    seed: int = 0,
) -> dict[str, list[float]]:
    """What every contestant returns, once per repetition, in an order shuffled anew each time.

    With ``warm`` there is a repetition before the first that does not count.
    """
    shuffler = random.Random(seed)
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(-1 if warm else 0, repetitions):
        for name in shuffler.sample(list(contestants), len(contestants)):
            spent = contestants[name]()
            if repetition >= 0:
                took[name].append(spent)
    return took


def quartiles(values: Sequence[float]) -> list[float]:
    """The median and the quartiles around it."""
    if len(values) == 1:
        return [_rounded(values[0])] * 3
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return [_rounded(value) for value in (middle, low, high)]


def ratios(over: Sequence[float], under: Sequence[float], times: float = 1.0) -> list[float]:
    """Median and quartiles of ``times * over / under`` within a repetition."""
    return quartiles([times * a / b for a, b in zip(over, under, strict=True)])


def middle(values: Sequence[float]) -> float:
    """The median, in four digits."""
    return _rounded(median(values))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def shown(found: Sequence[float] | None, digits: int = 2) -> str:
    """``median [quartiles]``; a dash where nothing was measured."""
    if not found:
        return "-"
    centre, low, high = (f"{value:.{digits}f}" for value in found)
    return f"{centre} [{low}, {high}]"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table; all columns but the first are set to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def verdict(reached: bool) -> str:
    return "met" if reached else "**missed**"


def say(*words: object) -> None:
    """Progress, on standard error, with the time."""
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)
