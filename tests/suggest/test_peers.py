"""The peers' rules against what the peers' own released functions say of the same curves.

tests/golden/peer_rules.json was made by tools/make_golden.py from the released packages; it names
their versions.
"""

import json
import math
from pathlib import Path

import pytest

from stepsize import Curve
from stepsize.suggest import RULES
from stepsize.suggest.peers.averages import debiased, seeded
from stepsize.suggest.peers.fastai import slide_index, valley_index

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "peer_rules.json").read_text())
CURVES = [curve for curve in GOLDEN["curves"] if None not in curve["loss"]]
NAMES = {
    "valley": "fastai.lr_find.valley",
    "slide": "fastai.lr_find.slide",
    "minimum_over_ten": "fastai.lr_find.minimum",
    "torch_lr_finder": "torch_lr_finder",
    "ignite": "ignite",
    "lightning": "lightning",
}


def by_name(curve):
    return curve["name"]


def recorded(curve):
    return Curve(tuple(curve["lr"]), tuple(curve["loss"]))


@pytest.mark.parametrize("rule", NAMES)
@pytest.mark.parametrize("curve", CURVES, ids=by_name)
def test_a_rule_with_its_smoothing_and_trims_says_what_the_peer_says(curve, rule):
    theirs = curve["expected"]["pipeline"][NAMES[rule]]
    ours = RULES[rule](recorded(curve))
    if theirs is None or isinstance(theirs, dict):  # the peer gave up, or raised
        assert ours is None
    else:
        assert ours == pytest.approx(theirs, rel=2e-6)  # fastai works in single precision


@pytest.mark.parametrize("curve", CURVES, ids=by_name)
def test_the_bare_rules_of_fastai_say_what_the_peer_says(curve):
    expected = curve["expected"]
    assert curve["lr"][valley_index(curve["loss"])] == expected["fastai.valley"]
    slid = slide_index(curve["loss"])
    if isinstance(expected["fastai.slide"], dict):
        assert slid is None
    else:
        assert curve["lr"][slid] == expected["fastai.slide"]


@pytest.mark.parametrize("curve", CURVES, ids=by_name)
def test_the_averages_are_the_peers(curve):
    theirs = curve["expected"]["smoothing"]
    assert debiased(curve["loss"]) == pytest.approx(theirs["fastai"], rel=5e-6)
    assert seeded(curve["loss"]) == pytest.approx(theirs["torch_lr_finder"], rel=1e-9)
    assert seeded(curve["loss"]) == pytest.approx(theirs["ignite"], rel=1e-9)
    ours = debiased(curve["loss"], exponent_shift=1)
    assert ours == pytest.approx(theirs["lightning"], rel=1e-9)


@pytest.mark.parametrize("curve", GOLDEN["curves"], ids=by_name)
def test_a_curve_with_nan_is_read_up_to_it(curve):
    losses = [math.nan if loss is None else loss for loss in curve["loss"]]
    cut = next((i for i, loss in enumerate(losses) if math.isnan(loss)), len(losses))
    whole = Curve(tuple(curve["lr"]), tuple(losses))
    head = Curve(tuple(curve["lr"][:cut]), tuple(losses[:cut]))
    for name in ("torch_lr_finder", "ignite", "lightning", "steepest"):
        assert RULES[name](whole) == RULES[name](head)
