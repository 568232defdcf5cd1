"""A race's peak is carried over to the schedule of the phase that it was made for."""

import pytest

from stepsize.fine_tuning.raced import raced_peak
from stepsize.records import Recommendation
from stepsize.records.recommendation import Cost
from stepsize.schedules import parse
from stepsize.tuner.alternatives import PEAKS, alternatives


def answer(schedule="wsd(0.1)", lr=0.1, known=("linear",)):
    return Recommendation(
        "mine", 5, 50, "ok", "", Cost(40, 0.0, 50), lr=lr, schedule=schedule,
        alternatives=alternatives(0.1, known),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "factor", "said"),
    [
        ("slanted_triangular(lr)", PEAKS["linear"], "the peak for linear by it, measured"),
        ("stretch(warmup(linear(lr), steps=10%))", PEAKS["linear"], "linear by it, measured"),
        ("warmup(cosine(lr), steps=5%)", PEAKS["cosine"], "the peak for cosine by it, expected"),
        ("warm_restarts(lr, first_steps=10)", PEAKS["cosine"], "cosine by it, expected"),
        ("constant(lr)", PEAKS["constant"], "the peak for constant by it, expected"),
        ("wsd(lr)", 1.0, "its peak as it is"),
        ("0.5 * cosine(lr)", 1.0, "its peak as it is"),
    ],
)
def test_the_peak_is_that_of_the_phases_own_kind_of_schedule(schedule, factor, said):
    asked = parse(schedule, names={"lr": 0.3})
    for one in (asked, asked.resolve(50)):
        peak, words = raced_peak(one, answer())
        assert peak == pytest.approx(0.1 * factor, rel=1e-3)
        assert words.startswith("wsd(0.1) raced")
        assert words.endswith(said)


def test_a_rival_that_won_is_taken_for_its_own_kind_and_for_no_other():
    won = answer("warmup(linear(0.17), steps=2)", 0.17)
    assert raced_peak(parse("linear(1)"), won) == (0.17, "warmup(linear(0.17), steps=2) raced")
    assert raced_peak(parse("constant(1)"), won)[0] == 0.1
