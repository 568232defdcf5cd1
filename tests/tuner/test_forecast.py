"""The expected loss, how much the rate matters, and the answer carried over: the formulas."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuner.landscapes import Landscape, answer_of

from stepsize.schedules import parse
from stepsize.tuner.alternatives import HALF_INTERVAL, PEAKS, alternatives, interval
from stepsize.tuner.decision import Decision
from stepsize.tuner.forecast import AGAIN, FURTHER_ERROR, SEED_ERROR, expected_loss, sensitivity
from stepsize.tuner.seen import Seen

RUNGS = (10, 20, 40, 80)
LAST = Decision(0.0, 0, 3)


def seen_of(after_decay=(), level=(), start=2.0):
    return Seen(start, 400, RUNGS, dict(level), dict(after_decay))


#: Of 400 updates, two doublings are left after 80 and a cool-down of 20.
TO_COME = 0.6 + 0.36


@pytest.mark.parametrize(
    ("now", "before", "further"),
    [
        (0.5, 0.7, 0.2 * TO_COME),
        (0.5, 0.5, 0.0),
        (0.5, 0.4, 0.0),  # it got worse: no further gain
        (-3.0, -2.0, TO_COME),
        (2.5, 2.6, 0.1 * TO_COME),  # above the start
    ],
)
def test_every_doubling_gains_a_share_of_what_the_one_before_has_gained(now, before, further):
    assert (AGAIN, FURTHER_ERROR, SEED_ERROR) == (0.6, 1.9, 0.03)
    expected = expected_loss(seen_of({(0, 3): now, (0, 2): before, (-2, 3): now + 0.1}), LAST)
    assert expected.mean == pytest.approx(now - further)
    half = 1.9 * further + 0.03 * max(2.0 - expected.mean, 0.0)
    low = expected.mean - half
    assert expected.ci95 == pytest.approx((max(low, 0.0) if now > 0 else low, low + 2 * half))


def test_a_cool_down_at_the_end_of_the_training_is_what_is_expected():
    seen = Seen(2.0, 400, (40, 80, 160, 320), {}, {(0, 3): 0.5, (0, 2): 0.9})
    assert expected_loss(seen, LAST).mean == 0.5


def test_a_loss_that_was_always_positive_is_expected_to_stay_so():
    expected = expected_loss(seen_of({(0, 3): 0.1, (0, 2): 0.9}), LAST)
    assert expected.mean == pytest.approx(0.02)
    assert expected.ci95[0] == 0.0
    assert expected_loss(seen_of({(0, 3): 0.1, (0, 2): 0.9}, {(0, 0): -0.1}), LAST).mean < 0.0


@pytest.mark.parametrize("cools", [{}, {(0, 2): 0.5}, {(0, 3): 0.5}, {(0, 3): math.inf, (0, 2): 1}])
def test_without_two_cool_downs_nothing_is_expected(cools):
    assert expected_loss(seen_of(cools), LAST) is None


@pytest.mark.parametrize("rung", [0, 1, 2])
def test_nothing_is_expected_of_fewer_rungs(rung):
    assert expected_loss(seen_of({(0, 2): 0.5}), Decision(0.0, 0, rung)) is None


@pytest.mark.parametrize("before", [0.5, 2.5])
def test_what_was_measured_is_expected_where_it_stops_early(before):
    seen = seen_of({(0, 2): before, (0, 3): before + 0.1, (-2, 2): 0.1})
    mean, (low, high) = expected_loss(seen, Decision(0.0, 0, 3, stop_at=2))
    half = 0.03 * max(2.0 - before, 0.0)
    assert mean == before
    assert (low, high) == pytest.approx((mean - half, mean + half))


@pytest.mark.parametrize(
    ("low", "high", "share"),
    [(0.65, 0.8, 0.15), (0.5, 0.5, 0.0), (0.4, 0.8, 0.1), (math.inf, 0.5, 0.5), (3.0, 9.0, 1.0)],
)
def test_what_a_wrong_rate_costs_is_a_share_of_the_gain(low, high, share):
    level = {(0, 3): 0.5, (-2, 3): low, (2, 3): high}
    assert sensitivity(seen_of(level=level), LAST) == pytest.approx(share)


def test_the_last_rung_where_both_neighbours_were_read_counts():
    level = {(0, 3): 0.4, (-2, 3): 0.41, (0, 2): 0.5, (-2, 2): 0.8, (2, 2): 0.5, (0, 1): 0.9}
    assert sensitivity(seen_of(level=level), LAST) == pytest.approx(0.1)
    assert sensitivity(seen_of(level={(0, 3): 0.4, (-2, 3): 0.5}), LAST) is None
    nothing_gained = {(0, 3): 2.0, (-2, 3): 2.1, (2, 3): 2.1}
    assert sensitivity(seen_of(level=nothing_gained), LAST) is None


rates = st.floats(1e-6, 100.0).map(lambda lr: float(f"{lr:.3g}"))


@given(rates, st.floats(0.0, 1.0))
def test_the_interval_is_as_wide_in_decades_on_both_sides(lr, further):
    low, high = interval(lr, further)
    for side in (lr / low, high / lr):
        assert math.log10(side) == pytest.approx(HALF_INTERVAL + further, abs=0.005)


@given(rates, st.integers(30, 100_000))
def test_alternatives_can_be_used_as_they_are(lr, updates):
    found = {each.what: each for each in alternatives(lr)}
    assert set(found) == {*PEAKS, "a quarter as long", "4 times as long"}
    for each in found.values():
        low, high = each.interval
        schedule = parse(each.schedule).resolve(updates)
        peak = max(map(schedule, (updates // 20, math.ceil(updates / 20), updates // 20 + 1)))
        assert low < peak < high
        assert each.basis == "expected"
    peaks = {what: math.sqrt(math.prod(each.interval)) for what, each in found.items()}
    for kind, factor in PEAKS.items():
        assert peaks[kind] == pytest.approx(lr * factor, rel=0.02)
    assert peaks["a quarter as long"] == pytest.approx(lr * math.sqrt(2), rel=0.02)
    assert peaks["4 times as long"] == pytest.approx(lr / math.sqrt(2), rel=0.02)
    widths = {what: each.interval[1] / each.interval[0] for what, each in found.items()}
    assert widths["4 times as long"] > widths["linear"] > interval(lr)[1] / interval(lr)[0]


def test_alternatives_are_for_the_tasks_own_optimizer():
    own = answer_of(Landscape(), optimizers=("adamw",))
    other = answer_of(Landscape(better={"adamw": 0.5}), optimizers=("adamw",))
    assert own.optimizer == ""
    assert own.alternatives
    assert other.optimizer != ""
    assert other.alternatives == ()
