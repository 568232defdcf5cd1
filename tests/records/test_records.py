import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import curves

from stepsize import Clr, Curve, FindResult, InputError, Suggestion
from stepsize.records import VERDICTS
from stepsize.suggest import every_rule, nine_tenths, smooth

finite = st.floats(1e-9, 1e3)
abstentions = st.builds(
    Suggestion, st.sampled_from([v for v in VERDICTS if v != "ok"]), st.text(max_size=40)
)
answers = st.builds(
    lambda lr, reason: Suggestion("ok", reason, lr, (lr / 2, lr * 2), Clr(lr / 10, lr)),
    finite,
    st.text(max_size=40),
)
results = st.builds(
    FindResult,
    suggestion=abstentions | answers,
    curve=curves(),
    repeats=st.lists(curves(), max_size=3).map(tuple),
    rules=st.dictionaries(st.text(max_size=5), st.none() | finite, max_size=3),
    task=st.none() | st.text(max_size=10),
    updates=st.integers(0, 1000),
    notes=st.lists(st.text(max_size=10), max_size=2).map(tuple),
    smoothed=st.lists(finite | st.just(math.inf), max_size=5).map(tuple),
)


@given(curves() | abstentions | answers | results)
def test_every_record_survives_json_and_pickle(record):
    text = json.dumps(record.to_dict(), allow_nan=False)
    assert type(record).from_dict(json.loads(text)) == record
    assert pickle.loads(pickle.dumps(record)) == record


@given(curves())
def test_find_json_has_the_fields_of_the_contract(curve):
    result = FindResult(nine_tenths([curve]), curve, smooth(curve), (curve,), every_rule(curve))
    data = result.to_dict()
    assert {
        "task", "verdict", "reason", "lr", "interval", "clr", "rules", "updates", "curve",
    } <= set(data)  # fmt: skip
    assert {"steepest", "valley", "slide", "minimum_over_ten"} <= set(data["rules"])
    assert len(data["curve"]["lr"]) == len(data["curve"]["loss"]) == len(data["curve"]["smoothed"])
    if data["verdict"] != "ok":
        assert data["lr"] is data["interval"] is data["clr"] is None
    else:
        assert set(data["clr"]) == {"base_lr", "max_lr"}
        assert len(data["interval"]) == 2


def test_records_are_frozen():
    with pytest.raises(AttributeError):
        Curve((), ()).lr = (1.0,)
    with pytest.raises(AttributeError):
        Suggestion("flat", "no").verdict = "ok"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Curve((0.1,), ()),
        lambda: Curve((0.0,), (1.0,)),
        lambda: Curve((-0.1,), (1.0,)),
        lambda: Curve((math.nan,), (1.0,)),
        lambda: Curve((0.1,), (1.0,), updates=(1, 2)),
        lambda: Suggestion("good", "?"),
        lambda: Suggestion("ok", "no rate"),
        lambda: Suggestion("flat", "a rate", lr=0.1),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_group_rates_keep_the_ratio():
    result = FindResult(
        Suggestion("ok", "", 0.5, (0.4, 0.6)), Curve((), ()), group_ratios=(0.1, 1.0)
    )
    assert result.group_lrs == (0.05, 0.5)
    assert FindResult(Suggestion("flat", ""), Curve((), ())).group_lrs is None


def test_the_representation_is_one_line_that_tells_the_answer():
    assert "0.5" in repr(FindResult(Suggestion("ok", "", 0.5, (0.4, 0.6)), Curve((), ())))
    assert "flat" in repr(FindResult(Suggestion("flat", ""), Curve((), ())))
