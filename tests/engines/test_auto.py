"""The engine that a few measured updates speak for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.engines.auto import (
    COMPILE_SECONDS,
    NEVER,
    SHARED,
    SHORT_SECONDS,
    START_SECONDS,
    Beat,
    Pace,
    Work,
    decide,
    expected,
    worth_compiling,
)

LONG = Work(trainings=16, updates=10_000, at_once=16)
seconds = st.floats(1e-5, 1.0)
beats = st.builds(Beat, seconds, seconds)


def name_of(decision):
    return "compiled" if decision.compiled else decision.engine.name


@given(
    st.builds(Work, st.integers(2, 64), st.integers(1, 10**5), st.integers(2, 64)),
    st.builds(
        Pace,
        beats,
        beats,
        st.one_of(st.just(NEVER), beats),
        st.one_of(st.just(NEVER), beats),
        st.integers(1, 64),
    ),
)
def test_it_is_within_five_per_cent_of_the_quickest_or_short(work, pace):
    decision = decide(work, pace)
    found = expected(work, pace)
    short = found["serial"] < SHORT_SECONDS
    assert short or found[name_of(decision)] <= min(found.values()) / 0.95 + 1e-9


def test_short_work_and_a_single_training_are_serial():
    quick = Pace(Beat(0.001), Beat(0.001), Beat(1e-9), workers=64)
    assert decide(Work(16, 100, 16), quick).engine.name == "serial"
    assert decide(Work(1, 10**7, 1), quick).engine.name == "serial"


@pytest.mark.parametrize(
    ("pace", "name"),
    [
        (Pace(Beat(0.01), Beat(0.01), workers=2), "processes"),
        (Pace(Beat(0.01), Beat(0.01), workers=1), "serial"),
        (Pace(Beat(0.01), Beat(0.03), workers=2), "serial"),  # threads do more for one training
        (Pace(Beat(0.01), Beat(0.01), workers=2, why_not={"processes": "a lambda"}), "serial"),
        (Pace(Beat(0.01), Beat(0.01), Beat(0.002), workers=2), "fused"),
        (Pace(Beat(0.01), Beat(0.01), Beat(0.0049), workers=2), "fused"),
        (Pace(Beat(0.01), Beat(0.01), Beat(0.0053), workers=2), "processes"),  # as quick, and exact
        (Pace(Beat(0.01), Beat(0.01), Beat(0.002), Beat(0.0005), workers=2, copies=16), "compiled"),
        (Pace(Beat(0.01), Beat(0.01), Beat(0.002), Beat(0.0005), workers=2), "fused"),
    ],
)
def test_the_quickest_is_taken(pace, name):
    assert name_of(decide(LONG, pace)) == name


def test_evaluations_count():
    """Fused updates win nothing where evaluating takes the time."""
    work = Work(16, 1000, 16, evaluations=100)
    pace = Pace(Beat(0.001, 0.1), Beat(0.001, 0.1), Beat(0.0001, 0.12), workers=1)
    assert decide(work, pace).engine.name == "serial"


def test_as_many_workers_as_there_is_work_for():
    work = Work(trainings=3, updates=10_000, at_once=3)
    decision = decide(work, Pace(Beat(0.01), Beat(0.01), workers=16))
    assert str(decision.engine) == "processes:3"
    assert decision.seconds["processes"] == pytest.approx(START_SECONDS + 105.0)


def test_every_batched_model_is_compiled_anew():
    pace = Pace(Beat(0.01), Beat(0.01), Beat(0.002), Beat(0.001), copies=6)
    assert expected(LONG, pace)["compiled"] == pytest.approx(160.0 + 3 * COMPILE_SECONDS)


def test_a_race_is_not_wider_than_it_is():
    """As was measured: 1.75 times as quick with 2 workers, 2.0 times with 3, 2.15 times with 8."""
    work = Work(trainings=6, updates=10**6, at_once=3, alone=0.2)
    for workers, speed in ((2, 1.75), (3, 2.0), (8, 2.15)):
        found = expected(work, Pace(Beat(0.01), Beat(0.01 / SHARED), workers=workers))
        assert found["serial"] / found["processes"] == pytest.approx(speed, rel=0.1)
    fused = expected(work, Pace(Beat(0.01), Beat(0.01), Beat(0.0)))
    assert fused["fused"] == pytest.approx(0.2 * fused["serial"])


def test_compiling_has_to_pay_twenty_times_over():
    small = Pace(Beat(0.001), Beat(0.001), Beat(0.0008), workers=1)
    enough = math.ceil(20 * COMPILE_SECONDS / 0.0008 / 16)
    assert not worth_compiling(Work(16, enough - 10, 16), small)
    assert worth_compiling(Work(16, enough + 10, 16), small)
    heavy = Pace(Beat(0.001), Beat(0.001), Beat(0.0012), workers=1)
    assert not worth_compiling(Work(16, 10**6, 16), heavy)
