"""What a run has decided, and what a comparison of plans says, as values."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.fine_tuning import LayerGroup, LayerGroups, LayerRates
from stepsize.fine_tuning.decision import PhaseDecision, rates_from
from stepsize.fine_tuning.layer_tests import GroupTest, LayerRangeTests
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.thin import thin, thin_tests
from stepsize.fine_tuning.transfer_result import TransferResult
from stepsize.records import Comparison, Curve, FindResult, Recommendation, Suggestion
from stepsize.records.recommendation import Cost


def find(points=7, repeats=2):
    losses = (*(2.0 - 0.1234567 * i for i in range(points - 1)), math.inf)
    curve = Curve(tuple(1e-6 * 1.31**i for i in range(points)), losses, (3,) * points)
    suggestion = Suggestion("ok", "It falls.", lr=0.01, interval=(0.005, 0.02))
    return FindResult(suggestion, curve, losses, (curve,) * repeats, {"valley": None}, "mine", 21)


def decision(**changes):
    known = {
        "phase": "all", "first_epoch": 2, "epochs": 2, "trainable": (1, 2), "peak": 0.1,
        "ratios": (0.1, 1.0), "schedule": "cosine(0.1, steps=20)", "lr_from": "given",
    }  # fmt: skip
    return PhaseDecision(**{**known, **changes})


def layer_tests():
    group = GroupTest("0", find(), True, 0.5, "It falls.")
    silent = GroupTest("2", None, False, said="nothing to train")
    rates = LayerRates(("0", "2"), (0.01, 0.1), "measured")
    return LayerRangeTests(("0", "2"), (group, silent), find(), rates, ((0.005, 0.02), None))


def test_a_decision_survives_json():
    answer = Recommendation(
        "mine", 2, 20, "ok", "", Cost(30, 2.0, 20), lr=0.1, schedule="constant(0.1)", find=find()
    )
    for each in (
        decision(),
        decision(find=thin(find()), search_updates=21, precomputed={"refused": "It moves."}),
        decision(layer_tests=thin_tests(layer_tests()), recommendation=answer),
    ):
        assert PhaseDecision.from_dict(json.loads(json.dumps(each.to_dict()))) == each


@pytest.mark.parametrize("changes", [{"trainable": (1,)}, {"trainable": (1, 3)}, {"ratios": ()}])
def test_a_decision_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ValueError, match="all"):
        decision(**changes)


def test_where_the_rates_of_a_run_come_from():
    found, measured = decision(find=find()), decision(layer_tests=layer_tests())
    assert rates_from([]) == rates_from([decision()]) == "given"
    assert rates_from([decision(), found, measured]) == "range tests, range tests of layer groups"


@given(points=st.integers(1, 400), most=st.integers(1, 150))
def test_thinning_keeps_the_answer_and_counts_every_update(points, most):
    whole = find(points)
    small = thin(whole, most)
    assert len(small.curve) <= most
    assert len(small.smoothed) == len(small.curve)
    assert sum(small.curve.updates) == sum(whole.curve.updates)
    assert (small.suggestion, small.updates, small.repeats) == (whole.suggestion, 21, ())
    assert small.curve.lr[0] == pytest.approx(whole.curve.lr[0], rel=1e-4)
    assert set(small.curve.loss) <= {float(f"{loss:.5g}") for loss in whole.curve.loss}
    assert thin(small, most) == small


def result(**changes):
    groups = LayerGroups(
        tuple(LayerGroup(n, (n,), (f"{n}.w",), k, k) for n, k in zip("abc", (4, 5, 6), strict=True))
    )
    comparison = Comparison("task", 4, 40, (0,), "val_loss", (), ())
    plans = (TransferPlan("mine", (Phase("all"),), groups=2), TransferPlan("own", (Phase("all"),)))
    return TransferResult(comparison, plans, groups, **changes)


def test_a_result_survives_json_and_knows_the_groups_of_its_arms():
    worth = {"plan": "mine", "scratch": "own", "metric": "val_loss", "difference": -0.1,
             "ci95": [-0.2, 0.0], "p": 0.03, "verdict": "worth it"}  # fmt: skip
    whole = result(decisions={"mine": {0: (decision(),), 7: ()}}, worth=worth)
    assert TransferResult.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert whole.groups_of("mine").names == ("a … b", "c")
    assert whole.groups_of("own").names == ("a", "b", "c")
    with pytest.raises(ValueError, match="Did you mean mine"):
        whole.plan("mien")
    with pytest.raises(ValueError, match="perhaps"):
        result(worth={**worth, "verdict": "perhaps"})
