"""The contestants: a rule answers for a workload, once per seed (or per three pooled seeds)."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from judge import MAIN, Key, found, uncut

from stepsize import Curve
from stepsize.suggest import RULES, nine_tenths, shape, smoothing

#: The rates that a rule suggests on one workload at n = 100, one per try; None where it abstains.
Answers = Callable[[str], list[float | None]]
#: All ways of choosing three of the five seeds.
TRIPLES: tuple[tuple[Key, ...], ...] = tuple(itertools.combinations(MAIN, 3))
#: The module; in its package the name is the function's.
_RULE = importlib.import_module("stepsize.suggest.nine_tenths")

FRACTION, HALF_WIDTH = _RULE.FRACTION, smoothing.HALF_WIDTH
PEERS = tuple(rule for rule in RULES if rule != "nine_tenths")


def ours(name: str, keys: Sequence[Key]) -> float | None:
    """The default rule on the pooled curves of ``keys``."""
    return nine_tenths([found()[name][key] for key in keys]).lr


def one_repeat(name: str) -> list[float | None]:
    """Our rule on single curves."""
    return [ours(name, [key]) for key in MAIN]


def three_repeats(name: str) -> list[float | None]:
    """Our rule as it is used by default: three repeats pooled."""
    return [ours(name, keys) for keys in TRIPLES]


def contestants() -> dict[str, Answers]:
    """Every rule in the table, by the name it has there."""
    rules: dict[str, Answers] = {"ours, 3 repeats": three_repeats, "ours, 1 repeat": one_repeat}
    for rule in PEERS:
        rules[rule] = _single(rule, found)
    for rule in PEERS:
        rules[f"{rule}, uncut"] = _single(rule, uncut)
    rules["fixed 1e-2"] = lambda name: [1e-2] * len(MAIN)
    rules["fixed 1e-3"] = lambda name: [1e-3] * len(MAIN)
    return rules


def _single(rule: str, curves: Callable[[], Mapping[str, Mapping[Key, Curve]]]) -> Answers:
    return lambda name: [RULES[rule](curves()[name][key]) for key in MAIN]


@contextmanager
def constants(fraction: float, half_width: float, *, forced: bool = False) -> Iterator[None]:
    """The default rule with other constants inside the block.

    ``forced`` takes away the two abstentions that depend on the noise (almost: 200 decades is too
    wide for floating point), so that what is judged is the rate alone.
    """
    names = ("FRACTION", "SIGNIFICANT", "WIDEST")
    before = [getattr(_RULE, name) for name in names]
    values = (fraction, -math.inf if forced else before[1], 200.0 if forced else before[2])
    forget = getattr(shape.shape_of, "cache_clear", lambda: None)  # shapes depend on the constants
    try:
        forget()
        smoothing.HALF_WIDTH = half_width
        for name, value in zip(names, values, strict=True):
            setattr(_RULE, name, value)
        yield
    finally:
        forget()
        smoothing.HALF_WIDTH = HALF_WIDTH
        for name, value in zip(names, before, strict=True):
            setattr(_RULE, name, value)
