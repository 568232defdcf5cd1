"""Results to draw in tests."""

import math
import random

from stepsize.records import Clr, Curve, FindResult, Suggestion

RULES = {
    "steepest": 0.021,
    "torch_lr_finder": 0.021,
    "ignite": 0.021,
    "lightning": 0.0223,
    "valley": 0.012,
    "slide": 0.06,
    "minimum_over_ten": 0.009,
    "stubborn": None,
}


def make_result(verdict="ok", losses=None, *, points=60, stop="ladder_end", **fields):
    """A bowl with noise (or the given losses) and the verdict on it, fit or not."""
    noise = random.Random(0)
    count = points if losses is None else len(losses)
    rates = [1e-5 * 10 ** (6 * i / max(1, count - 1)) for i in range(count)]
    if losses is None:
        losses = [bowl(rate) + noise.gauss(0, 0.03) for rate in rates]
    curve = Curve(tuple(rates), tuple(losses), stop=stop)
    if verdict == "ok":
        suggestion = Suggestion("ok", "why", 0.03, (0.02, 0.045), Clr(0.003, 0.04))
    else:
        suggestion = Suggestion(verdict, "why not")
    defaults = {
        "curve": curve,
        "smoothed": curve.loss,
        "rules": RULES,
        "task": "digits",
        "updates": count,
        "settings": {"seed": 0, "command": "stepsize find digits"},
        "seconds": 1.5,
    }
    return FindResult(suggestion, **{**defaults, **fields})


def bowl(rate):
    return 2.3 - 1.8 / (1 + (0.02 / rate) ** 1.2) + 5 * rate**2


#: Curves that have broken pictures before, or could.
ODD_LOSSES = {
    "none": [],
    "one": [2.0],
    "one lost": [math.inf],
    "all lost": [math.inf] * 20,
    "constant": [2.0] * 20,
    "zero": [0.0] * 20,
    "negative": [-40 + bowl(10 ** (i / 5 - 5)) for i in range(30)],
    "far from zero": [1e6 + 1e-3 * bowl(10 ** (i / 5 - 5)) for i in range(30)],
    "huge": [1e30 * bowl(10 ** (i / 5 - 5)) for i in range(30)],
    "overflow": [1.0, 1e308, -1e308, 2.0],
    "tiny": [1e-300, 2e-300, 3e-300],
    "spike then lost": [2.0] * 10 + [1.0] * 5 + [1e30, math.inf],
    "blows up at once": [10.0**i for i in range(30)],
}
