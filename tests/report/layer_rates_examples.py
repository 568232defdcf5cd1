"""Range tests of layer groups to draw in tests."""

import random

from report.comparisons import HOSTILE

from stepsize.fine_tuning.discriminative import LayerRates
from stepsize.fine_tuning.layer_tests import Factor, GroupTest, LayerRangeTests
from stepsize.records import Clr, Curve, FindResult, Suggestion

RESNET = ("stem", "layer1", "layer2", "layer3", "fc")


def find(best, *, fall=0.6, seed=0, decades=0.2):
    """A range test whose loss falls by ``fall`` around ``best``; without a fall it is flat."""
    noise = random.Random(seed)
    rates = [1e-6 * 10 ** (7 * i / 69) for i in range(70)]

    def loss(rate):
        return 1.6 - fall / (1 + (0.5 * best / rate) ** 1.3) + 0.4 * (rate / (12 * best)) ** 2

    rates = [rate for rate in rates if loss(rate) < 6]
    losses = [loss(rate) * (1 + noise.gauss(0, 0.015)) for rate in rates]
    curve = Curve(tuple(rates), tuple(losses), stop="rise", lag=0)
    said = Suggestion("flat", "the loss does not respond")
    if fall:
        ends = (best * 10**-decades, best * 10**decades)
        said = Suggestion("ok", "nine tenths of the fall", best, ends, Clr(best / 10, best))
    return FindResult(said, curve, tuple(map(loss, rates)), updates=len(curve), seconds=1.5)


def layer_tests(names=RESNET, *, factor=1.6, flat=(), apart=((0, 1),), peak=0.02, **fields):
    """Groups whose best rates differ by ``factor``; those of the indices ``flat`` say nothing."""
    names, tests, rates, intervals = tuple(names), [], [], []
    for i, name in enumerate(names):
        rate = peak / factor ** (len(names) - 1 - i)
        best = rate * 10 ** random.Random(i).gauss(0, 0.12)
        silent = i in flat
        said = (
            "No fall to read a rate from." if silent else f"Nine tenths of the fall at {best:.2g}."
        )
        own = find(best, fall=0 if silent else 0.3 + 0.5 * i / len(names), seed=i)
        tests.append(GroupTest(name, own, not silent, 9 * best, said))
        rates.append(rate)
        intervals.append(None if silent else (rate / 1.6, rate * 1.6))
    given = {
        "common": find(0.7 * peak, seed=77),
        "rates": LayerRates(names, tuple(rates), "measured"),
        "factor": Factor(factor, (factor / 1.3, factor * 1.3)) if len(names) > 1 else None,
        "told_apart": tuple(tuple(names[i] for i in run) for run in apart),
        "updates": 70 * (len(names) + 1),
        "seconds": 12.3,
        **fields,
    }
    return LayerRangeTests(names, tuple(tests), intervals=tuple(intervals), **given)


def nothing_to_read():
    """No group says anything; one has nothing to train, one does harm at once."""
    tests = (
        GroupTest("body", None, False, None, "nothing to train"),
        GroupTest("neck", find(0.01, fall=0), False, None, "every rate does harm"),
        GroupTest("head", find(0.02, fall=0), False, 0.2, "no fall"),
    )
    return LayerRangeTests(("body", "neck", "head"), tests, updates=140)


def many():
    """A long network with long names, two runs that cannot be told apart, three silent groups."""
    names = [f"bert.encoder.layer.{i}" for i in range(13)]
    names.append("classifier with a very long name that goes on and on")
    apart = (tuple(range(5)), tuple(range(6, 14)))
    return layer_tests(names, factor=1.1, flat=(2, 3, 13), apart=apart)


LAYER_TESTS = {
    "usual": lambda: layer_tests(flat=(4,)),
    "folklore": lambda: layer_tests(factor=5.0, apart=()),
    "upside down": lambda: layer_tests(factor=0.4, apart=(range(5),), common=None),
    "many": many,
    "one group": lambda: layer_tests(("fc",), apart=()),
    "nothing to read": nothing_to_read,
    "hostile": lambda: layer_tests(
        (HOSTILE, "$x_{1}$", "W" * 90), notes=(HOSTILE,), flat=(1,), apart=((0, 1, 2),)
    ),
}
