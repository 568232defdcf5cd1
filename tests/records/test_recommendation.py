"""The answer of ``tune`` as a value: JSON and back, and what it may not be."""

import json
import math
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.errors import InputError
from stepsize.records import (
    FATES,
    STAGES,
    Alternative,
    Cost,
    RaceArm,
    Reading,
    Recommendation,
)
from stepsize.records.recommendation import FORMAT, TUNE_VERDICTS

finite = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(1e-9, 1e3)
texts = st.text(max_size=12)
intervals = st.tuples(positive, positive)
readings = st.builds(
    Reading,
    updates=st.integers(1, 10**6),
    val_loss=finite | st.just(math.inf),
    train_loss=finite | st.just(math.inf),
    train_error=st.floats(0, 10) | st.just(math.inf),
)
arms = st.builds(
    RaceArm,
    schedule=texts,
    lr=positive,
    stage=st.sampled_from(STAGES),
    fate=st.sampled_from(FATES),
    readings=st.lists(readings, max_size=3).map(tuple),
    updates=st.integers(0, 10**6),
    optimizer=texts,
    seed=st.integers(0, 9),
)
expectations = st.dictionaries(
    texts, st.builds(lambda mean, low, high: {"mean": mean, "ci95": [low, high]}, *[finite] * 3)
)
shared = {
    "task": texts,
    "epochs": st.integers(1, 100),
    "updates": st.integers(1, 10**6),
    "reason": texts,
    "cost": st.builds(Cost, st.integers(0, 10**6), st.floats(0, 1e5), st.integers(1, 10**6)),
    "sensitivity": st.none() | st.floats(0, 1),
    "start_loss": st.none() | finite,
    "evidence": st.lists(arms, max_size=3).map(tuple),
    "interrupted": st.booleans(),
    "notes": st.lists(texts, max_size=2).map(tuple),
    "settings": st.dictionaries(texts, st.none() | st.integers() | texts, max_size=3),
    "seconds": st.floats(0, 1e5),
}
answers = st.builds(
    Recommendation,
    verdict=st.just("ok"),
    lr=positive,
    interval=st.none() | intervals,
    schedule=texts,
    optimizer=texts,
    expected=expectations,
    alternatives=st.lists(st.builds(Alternative, texts, texts, intervals, texts)).map(tuple),
    **shared,
)
abstentions = st.builds(
    Recommendation,
    verdict=st.sampled_from([verdict for verdict in TUNE_VERDICTS if verdict != "ok"]),
    **shared,
)

ANSWER = Recommendation(
    "digits",
    5,
    220,
    "ok",
    "because",
    Cost(150, 15.0, 220),
    lr=0.1,
    interval=(0.0316, 0.316),
    schedule="wsd(0.1)",
    expected={"val_loss": {"mean": 0.3, "ci95": [0.2, 0.4]}},
)
NONE = Recommendation("digits", 5, 220, "flat", "nothing learns", Cost(150, 15.0, 220))


@given(answers | abstentions)
@settings(max_examples=50)
def test_it_survives_json_and_pickle(record):
    text = json.dumps(record.to_dict(), allow_nan=False)
    again = Recommendation.from_dict(json.loads(text))
    assert again == record
    assert again.seconds == record.seconds
    assert again.to_dict() == record.to_dict()
    assert pickle.loads(pickle.dumps(record)) == record
    assert record.task in repr(record)


@given(readings | arms)
@settings(max_examples=50)
def test_so_do_its_parts(record):
    text = json.dumps(record.to_dict(), allow_nan=False)
    assert type(record).from_dict(json.loads(text)) == record


def test_losses_that_are_not_finite_are_null():
    for value in (math.inf, math.nan, -math.inf):
        data = Reading(9, value, value, value).to_dict()
        assert data == {"updates": 9, "val_loss": None, "train_loss": None, "train_error": None}
        assert Reading.from_dict(data) == Reading(9, math.inf, math.inf, math.inf)


@pytest.mark.parametrize("record", [ANSWER, NONE])
def test_tune_json_has_the_fields_of_the_contract(record):
    data = record.to_dict()
    assert {
        "task", "epochs", "verdict", "lr", "interval", "schedule", "cost", "expected", "evidence",
    } <= set(data)  # fmt: skip
    assert {"updates", "full_training_updates", "ratio"} <= set(data["cost"])
    assert data["format"] == FORMAT
    if data["verdict"] == "ok":
        assert {"mean", "ci95"} <= set(data["expected"]["val_loss"])
        assert len(data["interval"]) == 2
    else:
        assert data["lr"] is data["interval"] is data["schedule"] is None


def test_the_cost_is_in_full_trainings():
    assert Cost(150, 15.0, 220).ratio == 0.75
    assert ANSWER.to_dict()["cost"]["ratio"] == 0.75


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "good"},
        {"verdict": "flat"},
        {"verdict": "diverged", "lr": None},
        {"verdict": "diverged", "schedule": None},
        {"lr": None},
        {"schedule": None},
    ],
)
def test_an_abstention_carries_no_rate_and_an_answer_does(wrong):
    with pytest.raises(InputError, match="verdict"):
        replace(ANSWER, **wrong)


@pytest.mark.parametrize("wrong", [{"stage": "final"}, {"fate": "lost"}])
def test_arms_have_known_stages_and_fates(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=name):
        RaceArm("wsd(0.1)", 0.1, **wrong)


def test_records_are_frozen():
    for record, name in ((ANSWER, "lr"), (NONE, "verdict"), (RaceArm("wsd(0.1)", 0.1), "lr")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, name, None)
    with pytest.raises(FrozenInstanceError):
        Reading(1, 0.5, 0.5).updates = 2


def test_the_repr_says_what_matters():
    assert all(part in repr(ANSWER) for part in ("digits", "wsd(0.1)", "0.0316", "0.75"))
    assert "AdamW" in repr(replace(ANSWER, optimizer="AdamW"))
    assert "flat" in repr(NONE)
    assert "wsd" not in repr(NONE)


def test_seconds_do_not_count_in_comparisons():
    assert replace(ANSWER, seconds=9.0) == ANSWER
    assert replace(ANSWER, lr=0.2) != ANSWER
