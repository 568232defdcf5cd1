"""The contestants: a rule answers on a workload once per try, from the curves of make_curves.py.

A try is one range test, or several of different seeds that are pooled. The curves are replayed
through stepsize's own range test, so that they stop and extend themselves as ``find``'s do;
*uncut* are those without a stop rule, up to 10 or the first loss that is not finite.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from judge import Grid
from make_curves import HIGHEST, LOWEST, SEEDS

from stepsize import Curve, Geometric, Suggestion, range_test
from stepsize.suggest import RULES, nine_tenths

FOLDER = Path(os.environ.get("REGRET_CURVES", Path(__file__).parent / "curves"))
PEERS = tuple(rule for rule in RULES if rule not in ("nine_tenths", "steepest"))


class Setting(NamedTuple):
    """How a try is measured: the rates of the ladder and how many sweeps are pooled."""

    rates: int
    sweeps: int

    def tries(self) -> list[tuple[int, ...]]:
        """The seeds of each try, none of them used twice."""
        seeds = SEEDS[self.rates]
        last = len(seeds) - self.sweeps + 1
        return [tuple(seeds[i : i + self.sweeps]) for i in range(0, last, self.sweeps)]


#: What ``find`` does by default, and what it could do instead.
DEFAULT = Setting(300, 1)
SETTINGS = (
    Setting(35, 1),
    Setting(35, 3),
    Setting(100, 1),
    Setting(100, 3),
    DEFAULT,
    Setting(300, 3),
)


class Replay:
    """A probe that plays back recorded losses."""

    def __init__(self, losses: Sequence[float]) -> None:
        self.losses = iter(losses)

    def step(self, lr: float) -> float:
        return next(self.losses)


@cache
def recorded(name: str) -> dict[tuple[int, int], list[float]]:
    """The losses of every range test of a workload by (rates, seed)."""
    lines = (FOLDER / f"{name}.json").read_text(encoding="utf-8").splitlines()
    return {
        (row["n"], row["seed"]): [math.inf if loss is None else loss for loss in row["losses"]]
        for row in map(json.loads, lines)
    }


@cache
def found(name: str, rates: int, seed: int) -> Curve:
    """The curve as ``find`` leaves it."""
    return range_test(Replay(recorded(name)[rates, seed]), Geometric(LOWEST, HIGHEST, rates))


@cache
def uncut(name: str, rates: int, seed: int) -> Curve:
    """The curve without a stop rule."""
    losses = Replay(recorded(name)[rates, seed])
    return range_test(losses, Geometric(LOWEST, HIGHEST, rates), stop=(), extend_decades=0)


def curves(name: str, setting: Setting) -> list[list[Curve]]:
    """The curves of every try."""
    return [[found(name, setting.rates, seed) for seed in each] for each in setting.tries()]


def suggestions(name: str, setting: Setting = DEFAULT) -> list[Suggestion]:
    """What the default rule says, try by try."""
    return [nine_tenths(each) for each in curves(name, setting)]


#: The rates that a rule suggests on a workload, one per try; None where it abstains.
Answers = Callable[[str], list[float | None]]


def ours(setting: Setting) -> Answers:
    return lambda name: [answer.lr for answer in suggestions(name, setting)]


def other(rule: str, rates: int, curve: Callable[[str, int, int], Curve] = found) -> Answers:
    """A rule of the registry on single sweeps."""
    return lambda name: [RULES[rule](curve(name, rates, seed)) for seed in SEEDS[rates]]


def contestants() -> dict[str, Answers]:
    """Every rule in the table, by the name it has there."""
    rules: dict[str, Answers] = {
        f"ours, {each.sweeps} x {each.rates} updates": ours(each) for each in SETTINGS
    }
    for rates in (100, 300):
        for rule in ("steepest", *PEERS):
            rules[f"{rule}, {rates}"] = other(rule, rates)
            rules[f"{rule}, {rates}, uncut"] = other(rule, rates, uncut)
    for lr in (1e-3, 1e-2, 1e-1):
        rules[f"always {lr:g}"] = lambda name, lr=lr: [lr] * 3
    return rules


def cost(name: str, setting: Setting) -> float:
    """The updates of a try in trainings, on average over the tries."""
    tries = curves(name, setting)
    spent = sum(curve.spent for each in tries for curve in each)
    return spent / len(tries) / Grid.load(name).updates
