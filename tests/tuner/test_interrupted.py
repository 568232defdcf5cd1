"""Ctrl-C, or the end of the budget, at any moment: the answer is what was known by then."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuner.landscapes import CENTRE, Landscape, answer_of, decades_off, landscapes

from stepsize.errors import InputError
from stepsize.tuner import TuneOptions, recommend


def interrupt_after(number):
    """An ``on_reading`` that Ctrl-C comes into, after so many readings."""
    told = []

    def on_reading(entry, reading):
        told.append((entry, reading))
        if len(told) == number:
            raise KeyboardInterrupt

    return on_reading


WHOLE = answer_of(Landscape(limit=1.2), 1.5)
READINGS = sum(len(arm.readings) for arm in WHOLE.evidence)


@pytest.mark.parametrize("number", range(READINGS))
@pytest.mark.parametrize("moment", ["in the middle", "as it is told"])
def test_after_any_reading_the_answer_is_what_was_known(number, moment):
    landscape = Landscape(limit=1.2, interrupt_at=number if moment == "in the middle" else None)
    on_reading = interrupt_after(number + 1) if moment == "as it is told" else None
    answer = answer_of(landscape, 1.5, on_reading=on_reading)
    assert answer.interrupted
    assert not WHOLE.interrupted
    assert answer.verdict in ("ok", "too_short")
    seen = [(str(entry.schedule), made) for entry, made in landscape.asked]
    assert sorted(seen) == sorted(
        (arm.schedule, reading.updates) for arm in answer.evidence for reading in arm.readings
    )
    assert answer.cost.updates == landscape.spent
    if answer.verdict == "ok":
        assert decades_off(answer, landscape) <= 2.0
        assert any(arm.fate == "kept" for arm in answer.evidence)
    if number >= 8:  # the second rung is over
        assert answer.verdict == "ok"
        assert decades_off(answer, landscape) <= 1.0
    if number < 2:  # one rate alone says nothing
        assert answer.verdict == "too_short"


@given(landscapes(), st.integers(0, 20))
@settings(max_examples=40)
def test_whatever_the_losses_are(landscape, number):
    """The answer is made of what had been read, whatever that was."""
    landscape.interrupt_at = number
    try:
        answer = answer_of(landscape)
    except InputError:
        return
    assert len(landscape.asked) == number or not answer.interrupted
    assert sum(len(arm.readings) for arm in answer.evidence) == len(landscape.asked)
    if not landscape.asked:
        assert (answer.verdict, answer.evidence) == ("too_short", ())
    if answer.interrupted and answer.verdict in ("flat", "diverged"):
        rungs = [reading.updates for arm in answer.evidence for reading in arm.readings]
        assert len(rungs) > 5


def test_a_bracket_that_was_cut_short_says_nothing_of_rates_that_were_not_tried():
    for landscape in (Landscape(limit=-30.0), Landscape(gain=0.0)):
        for number in range(1, 5):
            answer = answer_of(landscape.fresh(), on_reading=interrupt_after(number))
            assert (answer.verdict, answer.lr) == ("too_short", None)
            assert len(answer.evidence) == number


def test_before_the_first_loss_there_is_nothing():
    class Impatient(Landscape):
        def start_loss(self, seed=0):
            raise KeyboardInterrupt

    answer = recommend(Impatient(), TuneOptions(), task="mine")
    assert (answer.verdict, answer.interrupted, answer.start_loss) == ("too_short", True, None)
    assert (answer.evidence, answer.cost.ratio) == ((), 0.0)


def test_other_errors_are_not_swallowed():
    def on_reading(entry, reading):
        raise ValueError("a broken picture")

    with pytest.raises(ValueError, match="broken"):
        answer_of(Landscape(), on_reading=on_reading)


@pytest.mark.parametrize("decades", [-6, 6])
def test_a_budget_that_is_spent_on_the_way_is_said(decades):
    """The bracket goes so far that nothing is left for the last rung."""
    landscape = Landscape(best=CENTRE * 10.0**decades)
    answer = answer_of(landscape, 1.0, optimizers=("adamw",))
    usual = answer_of(Landscape(), 1.0, optimizers=("adamw",))
    assert (answer.verdict, answer.interrupted) == ("ok", False)
    assert decades_off(answer, landscape) <= 0.6
    assert answer.cost.ratio <= 1.0
    last = max(reading.updates for arm in answer.evidence for reading in arm.readings)
    assert bool(answer.notes) == (last < answer.settings["rungs"][-1])
    low, high = answer.interval
    assert high / low >= usual.interval[1] / usual.interval[0] * 0.99


def test_an_answer_from_fewer_rungs_is_less_sure():
    whole = answer_of(Landscape())
    short = answer_of(Landscape(), on_reading=interrupt_after(9))
    widths = [answer.interval[1] / answer.interval[0] for answer in (whole, short)]
    assert widths[1] > 1.5 * widths[0]
    assert (bool(short.notes), bool(whole.notes)) == (True, False)
    assert short.expected == {}
