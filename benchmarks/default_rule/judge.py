"""Normalised regret: what a suggested rate costs on the workloads that were measured.

Per workload and grid seed ``(final - best) / (init - best)``, clipped to [0, 1]: 0 is the best rate
of the grid, 1 is to have learned nothing. Averaged over the grid's seeds, then linear in the
logarithm of the rate between grid points; rates outside the grid take its end's value. No rate at
all counts as 1. "cosine/strict" puts 1 at the loss of the best constant prediction where that is
below init, so that a training which collapsed into a constant counts as 1.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

from make_data import HIGHEST, LOWEST

from stepsize import Curve, Geometric, range_test

HERE = Path(__file__).resolve().parent
SCHEDULES = ("cosine", "cosine/strict", "constant")
#: Validation loss of the best constant prediction (class frequencies, mean target).
CONSTANT = {
    "digits_mlp_sgd": 2.3111,
    "digits_mlp_adam": 2.3111,
    "fmnist_mlp_sgd": 2.3031,
    "fmnist_cnnbn_sgdm": 2.3038,
    "fmnist_cnn_adamw": 2.3038,
    "adult_mlp_adam": 0.5517,
    "diabetes_mlp_sgdm": 0.9265,
    "digits_ae_adamw": 0.0725,
    "char_transformer_adamw": 3.3506,
    "char_lstm_sgdm_clip": 3.3506,
    "digits_linear_sgd": 2.3111,
    "cancer_tanh4_sgdm": 0.6829,
}
#: The workloads that can be learned, and those that cannot.
NAMES = tuple(CONSTANT)
CANNOT_LEARN = ("nolearn_sgd", "nolearn_adam")
#: Key of a curve among those of its workload: (n, seed, order).
Key = tuple[int, int, int]
MAIN: tuple[Key, ...] = tuple((100, seed, seed) for seed in range(5))


class Replay:
    """A probe that plays back recorded losses."""

    def __init__(self, losses: Sequence[float]) -> None:
        self.losses = iter(losses)

    def step(self, lr: float) -> float:
        return next(self.losses)


def as_found(losses: Sequence[float], n: int) -> Curve:
    """The curve that the default finder leaves: it stops, and extends itself beyond 10."""
    return range_test(Replay(losses), Geometric(LOWEST, HIGHEST, rates=n))


@cache
def recorded() -> dict[str, dict[Key, list[float]]]:
    """The losses of every range test by workload and key."""
    found: dict[str, dict[Key, list[float]]] = {}
    for row in json.loads((HERE / "curves.json").read_text(encoding="utf-8")):
        losses = [math.inf if loss is None else loss for loss in row["losses"]]
        found.setdefault(row["workload"], {})[row["n"], row["seed"], row["order"]] = losses
    return found


@cache
def found() -> dict[str, dict[Key, Curve]]:
    """Every curve as the default finder leaves it."""
    return {
        name: {key: as_found(losses, key[0]) for key, losses in curves.items()}
        for name, curves in recorded().items()
    }


@cache
def uncut() -> dict[str, dict[Key, Curve]]:
    """Every curve without a stop rule: up to 10 or the first loss that is not finite."""
    return {
        name: {
            key: range_test(
                Replay(losses), Geometric(LOWEST, HIGHEST, key[0]), stop=(), extend_decades=0
            )
            for key, losses in curves.items()
        }
        for name, curves in recorded().items()
    }


@cache
def table(name: str, schedule: str) -> tuple[list[float], list[float]]:
    """log10 of the grid's rates and the mean regret at each."""
    kind, _, strict = schedule.partition("/")
    rows, x = [], []
    for run in json.loads((HERE / "grid.json").read_text(encoding="utf-8")):
        if (run["workload"], run["schedule"]) != (name, kind):
            continue
        x = [k / 3 for k in run["k"]]
        finals = [math.inf if final is None else final for final in run["final"]]
        best, top = min(finals), run["init"]
        if strict:
            top = min(top, CONSTANT[name])
        rows.append([min(1.0, max(0.0, (final - best) / (top - best))) for final in finals])
    return x, [fmean(column) for column in zip(*rows, strict=True)]


def regret(name: str, lr: float | None, schedule: str = "cosine") -> float:
    """What the rate ``lr`` costs on the workload ``name``."""
    if lr is None or not 0 < lr < math.inf:
        return 1.0
    x, y = table(name, schedule)
    place = min(max(math.log10(lr), x[0]), x[-1])
    i = max(1, bisect_left(x, place))
    share = (place - x[i - 1]) / (x[i] - x[i - 1])
    return y[i - 1] + share * (y[i] - y[i - 1])


def best(name: str, schedule: str = "cosine", slack: float = 0.05) -> tuple[float, float, float]:
    """The grid's best rate and the range around it that costs at most ``slack`` more."""
    x, y = table(name, schedule)
    i = low = high = min(range(len(y)), key=y.__getitem__)
    while low > 0 and y[low - 1] <= y[i] + slack:
        low -= 1
    while high < len(y) - 1 and y[high + 1] <= y[i] + slack:
        high += 1
    return 10.0 ** x[i], 10.0 ** x[low], 10.0 ** x[high]


def quantile(values: Iterable[float], share: float) -> float:
    """Linear between order statistics."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    i = min(int(place), len(ordered) - 2)
    return ordered[i] + (place - i) * (ordered[i + 1] - ordered[i])


def spread(rates: Iterable[float | None]) -> float:
    """Decades from the lowest to the highest rate; 0 for fewer than two."""
    logs = [math.log10(lr) for lr in rates if lr]
    return max(logs) - min(logs) if logs else 0.0
