"""A schedule written out in Python is the schedule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.report.tune_formula import formula
from stepsize.schedules import parse

PLAIN = (
    "wsd(0.2)",
    "wsd(0.2, 0.01, decay_steps=30%, shape='cosine', init_value=0.001)",
    "warmup(cosine(0.2, 0.001), steps=5%)",
    "warmup(linear(0.2), steps=10%)",
    "warmup(constant(0.2), steps=5%)",
    "chain(wsd(0.2, warmup_steps=3, stable_steps=9, decay_steps=4), constant(0))",
    "flat_cosine(0.2)",
    "constant(0.2)",
    "one_cycle(0.2)",
)


@given(st.sampled_from(PLAIN), st.integers(20, 3000))
def test_the_function_is_the_schedule(text, updates):
    schedule = parse(text, steps=updates)
    names = {"math": math}
    exec(formula(schedule, updates), names)
    steps = {*range(min(updates + 5, 300)), updates - 1, updates, updates + 1, 2 * updates}
    for step in sorted(steps):
        assert names["rate"](step) == pytest.approx(schedule(step), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("text", ["polynomial(0.2, power=2)", "noam(1, 512, 10)", "rex(0.2)"])
def test_what_is_not_plain_is_not_written(text):
    assert formula(parse(text, steps=100), 100) == ""
