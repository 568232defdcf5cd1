"""When there is no answer; and the answer to stop early, where more training does harm."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuner.landscapes import CENTRE, Landscape, answer_of

from stepsize.records import Reading
from stepsize.schedules import parse
from stepsize.tuner.decision import Decision
from stepsize.tuner.learned import abstention
from stepsize.tuner.seen import Seen


@pytest.mark.parametrize("after", [1, 2, 50])
def test_where_every_rate_diverges_there_is_none(after):
    landscape = Landscape(limit=-30.0, ends_after=after)
    answer = answer_of(landscape)
    assert (answer.verdict, answer.lr, answer.schedule) == ("diverged", None, None)
    assert {arm.fate for arm in answer.evidence} == {"diverged"}
    assert min(arm.lr for arm in answer.evidence) <= CENTRE * 1e-6
    assert answer.cost.ratio <= 1.0
    assert answer.alternatives == ()


def test_before_it_gives_up_it_goes_down_six_decades():
    landscape = Landscape(best=CENTRE * 10**-7.0, limit=1.5)
    answer = answer_of(landscape)
    assert answer.verdict == "ok"
    assert answer.lr < CENTRE * 10**-5.5


@pytest.mark.parametrize("gain", [0.0, -1.0])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_where_nothing_learns_there_is_none(gain, scale):
    answer = answer_of(Landscape(gain=gain, scale=scale, offset=-1.0))
    assert (answer.verdict, answer.lr, answer.schedule) == ("flat", None, None)
    assert answer.evidence
    assert answer.start_loss == pytest.approx(2.3 * scale - 1.0)


def test_noise_is_not_taken_for_learning():
    verdicts = [
        answer_of(Landscape(gain=0.0, noise=0.1, noise_seed=seed, updates=300)).verdict
        for seed in range(120)
    ]
    assert verdicts.count("flat") >= 119


@pytest.mark.parametrize("updates", [300, 2000])
def test_what_is_learned_is_seen_through_the_noise(updates):
    for seed in range(8):
        landscape = Landscape(noise=0.05, noise_seed=seed, updates=updates)
        assert answer_of(landscape).verdict == "ok"


def test_a_short_training_is_believed_by_its_validation_loss():
    """At the first rung there are too few training losses to compare anything with."""
    for seed in range(8):
        landscape = Landscape(noise=0.3, noise_seed=seed, updates=130)
        assert answer_of(landscape).verdict == "ok"


def test_a_training_loss_that_falls_while_the_validation_does_not_is_flat():
    """It remembers the examples and learns nothing of the rest."""

    class Memory(Landscape):
        def advance(self, entry, updates):
            reading = super().advance(entry, updates)
            worse = 4.6 - reading.val_loss
            return Reading(reading.updates, worse, reading.train_loss, reading.train_error)

    assert answer_of(Memory()).verdict == "flat"


def seen_of(losses, errors=0.01, start=1.0):
    """A first rung with these training losses, from the lowest rate on; the validation falls."""
    found = Seen(start, 1000, (10, 20, 40, 80))
    for step, loss in losses.items():
        found.level[step, 0] = 0.9
        found.train[step, 0] = Reading(10, 0.9, loss, errors)
    return found


@pytest.mark.parametrize(
    ("fall", "verdict"), [(0.03, "flat"), (0.05, "flat"), (0.07, None), (-0.2, "flat")]
)
def test_the_training_loss_must_fall_by_four_standard_errors(fall, verdict):
    found = abstention(seen_of({-4: 1.0, 0: 1.0 - fall}), Decision(0.0, 0, 0), False)
    assert (found and found[0]) == verdict


def test_a_reading_that_is_not_finite_counts_for_nothing():
    seen = seen_of({-4: 1.0, 0: math.inf, 4: 1.0})
    found = abstention(seen, Decision(0.0, 0, 0), False)
    assert found is not None
    assert found[0] == "flat"


@given(
    rung=st.sampled_from([1, 2]),
    scale=st.sampled_from([1.0, 1e-5]),
    offset=st.sampled_from([0.0, -5.0]),
)
@settings(max_examples=12)
def test_where_training_on_does_harm_the_schedule_decays_early(rung, scale, offset):
    rungs = answer_of(Landscape()).settings["rungs"]
    landscape = Landscape(overfits_after=rungs[rung] * 1.2, scale=scale, offset=offset)
    answer = answer_of(landscape)
    assert answer.verdict == "ok"
    schedule = parse(answer.schedule).resolve(landscape.updates)
    zero = next(step for step in range(landscape.updates) if schedule(step) == 0.0)
    assert zero == pytest.approx(rungs[2] * 1.25, abs=1)
    assert all(schedule(step) == 0.0 for step in range(zero, landscape.updates))
    measured = [arm for arm in answer.evidence if arm.schedule == answer.schedule]
    (arm,) = measured
    expected = answer.expected["val_loss"]
    assert expected["mean"] == arm.readings[-1].val_loss
    assert expected["ci95"][0] < expected["mean"] < expected["ci95"][1]
    assert arm.lr == answer.lr


def test_worse_than_the_start_in_the_end_is_still_an_answer_that_can_be_written():
    answer = answer_of(Landscape(overfits_after=2.0, updates=600, gain=0.5))
    assert json.dumps(answer.to_dict(), allow_nan=False)
    for expected in answer.expected.values():
        assert expected["ci95"][0] <= expected["mean"] <= expected["ci95"][1]
