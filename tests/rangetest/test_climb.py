import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes import Blocks, Function, Quadratic, Recorded, sigmoid_fall

from stepsize import (
    Geometric,
    InputError,
    LossAbove,
    RangeTestError,
    RateAbove,
    Rise,
    Segments,
    TimesBest,
    range_test,
)


def test_every_rate_is_used_once_in_order_and_its_loss_recorded():
    probe = Recorded([3.0, 2.0, 1.0])
    curve = range_test(probe, [0.1, 0.2, 0.3], stop=())
    assert probe.lrs == [0.1, 0.2, 0.3]
    assert (curve.lr, curve.loss) == ((0.1, 0.2, 0.3), (3.0, 2.0, 1.0))
    assert (curve.stop, curve.diverged, curve.spent) == ("ladder_end", False, 3)


def test_several_updates_per_rate_are_averaged():
    probe = Recorded([4.0, 2.0, 3.0, 1.0])
    curve = range_test(probe, Segments([(0.1, 0.1, 2, 0.2)]), stop=(), extend_decades=0)
    assert probe.lrs == [0.1, 0.1, 0.2, 0.2]
    assert curve.loss == (3.0, 2.0)
    assert curve.updates == (2, 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_test_without_any_rule(bad):
    probe = Recorded([1.0, bad, 1.0])
    curve = range_test(probe, [0.1, 0.2, 0.3], stop=())
    assert len(probe.lrs) == 2
    assert curve.loss == (1.0, math.inf)
    assert (curve.stop, curve.diverged) == ("not_finite", True)


def test_the_default_stop_fires_on_a_rise_and_not_on_the_way_down():
    curve = range_test(Function(sigmoid_fall), Geometric(1e-6, 1e3))
    assert curve.stop == "rise"
    assert 1.0 < curve.lr[-1] < 10.0


@given(st.floats(-1e3, 1e3), st.floats(0.01, 100.0))
def test_the_default_stop_does_not_move_with_an_offset_or_a_scale(offset, scale):
    plain = range_test(Function(sigmoid_fall), Geometric(1e-6, 1e3))
    moved = range_test(Function(lambda lr: scale * sigmoid_fall(lr) + offset), Geometric(1e-6, 1e3))
    assert moved.lr == plain.lr


@given(st.integers(40, 400))
def test_the_default_stop_does_not_move_with_the_number_of_rates(rates):
    curve = range_test(Function(sigmoid_fall), Geometric(1e-6, 1e3, rates=rates))
    assert math.log10(curve.lr[-1]) == pytest.approx(0.27, abs=0.75)


def test_a_slow_drift_upwards_before_the_fall_is_no_blow_up():
    drift = range_test(
        Function(lambda lr: sigmoid_fall(lr) + 0.05 * math.log10(lr)), Geometric(1e-6, 1e3)
    )
    assert drift.lr[-1] > 1.0
    noise = range_test(
        Function(lambda lr: 0.7 + 0.02 * math.log10(lr) + 0.004 * math.sin(1e9 * lr)),
        Geometric(1e-6, 1.0),
        extend_decades=0,
    )
    assert noise.stop == "ladder_end"


def test_one_bad_batch_does_not_stop_the_test():
    losses = [sigmoid_fall(rung.lr) for rung in Geometric(1e-6, 0.1).rungs()]
    losses[30] = 50.0
    curve = range_test(Recorded(losses), Geometric(1e-6, 0.1), extend_decades=0)
    assert curve.stop == "ladder_end"


@pytest.mark.parametrize(
    ("rule", "stop", "points"),
    [
        (TimesBest(4.0, beta=0.0), "times_best", 5),
        (LossAbove(3.5), "ceiling", 5),
        (RateAbove(0.25), "rate_limit", 3),
    ],
)
def test_the_classic_stops_mean_what_they_say(rule, stop, points):
    probe = Recorded([2.0, 1.0, 1.5, 3.0, 9.0, 1.0])
    curve = range_test(probe, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], stop=(rule,))
    assert (curve.stop, len(curve), len(probe.lrs)) == (stop, points, points)


def test_the_cap_on_updates_keeps_what_was_measured():
    probe = Function(lambda lr: 1.0)
    curve = range_test(probe, Geometric(1e-3, 1.0, rates=10), max_updates=4)
    assert (curve.stop, len(curve), len(probe.lrs)) == ("max_updates", 4, 4)


def test_the_cap_on_seconds_keeps_what_was_measured():
    time = iter(range(100))
    curve = range_test(
        Function(lambda lr: 1.0), Geometric(1e-3, 1.0), max_seconds=3.5, clock=lambda: next(time)
    )
    assert (curve.stop, len(curve)) == ("max_seconds", 3)


def test_the_range_extends_itself_while_the_loss_is_lowest_at_its_end():
    curve = range_test(Function(sigmoid_fall), Geometric(1e-6, 1e-2, rates=57))
    lowest = curve.lr[curve.loss.index(min(curve.loss))]
    assert lowest > 1e-2
    assert curve.lr[-1] > 3 * lowest
    assert curve.lr[56] == 1e-2


def test_the_range_extends_no_further_than_allowed_nor_when_the_bottom_was_passed():
    falling = Function(lambda lr: -math.log10(lr))
    curve = range_test(falling, Geometric(1e-6, 1e-2), extend_decades=2.0)
    assert curve.stop == "ladder_end"
    assert curve.lr[-1] == pytest.approx(1.0, rel=0.3)
    dead = Function(lambda lr: 2.3 if lr < 1e-4 or lr > 1e-3 else 1.0)  # saturates, never blows up
    assert range_test(dead, Geometric(1e-6, 1e-2)).lr[-1] == 1e-2


def test_a_list_of_rates_is_never_extended():
    assert len(range_test(Function(lambda lr: -lr), [0.1, 0.2, 0.3])) == 3


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.integers(1, 70))
def test_reading_in_blocks_changes_nothing_but_the_number_of_reads(losses, block):
    lrs = [1e-3 * 1.2**i for i in range(len(losses))]
    one_by_one = range_test(Recorded(losses), lrs)
    probe = Blocks(losses, block)
    assert range_test(probe, lrs) == one_by_one
    assert probe.reads <= len(losses) // block + 1


def test_equal_start_judges_every_rate_from_the_same_start_after_its_updates():
    probe = Quadratic(x=2.0)
    lrs = [0.1, 0.5, 1.0, 1.5]
    curve = range_test(probe, lrs, stop=(), equal_start=True)
    assert curve.loss == pytest.approx([(2.0 * (1 - lr)) ** 2 / 2 for lr in lrs])
    assert (curve.lag, curve.spent, probe.restarts) == (0, 8, 4)


def test_a_held_out_objective_is_measured_after_every_mth_update():
    probe = Quadratic(x=1.0)
    curve = range_test(probe, [0.1, 0.2, 0.3, 0.4, 0.5], stop=(), held_out_every=2)
    assert curve.lr == (0.2, 0.4)
    assert curve.updates == (2, 2)
    assert curve.loss[0] == pytest.approx((0.9 * 0.8) ** 2 / 2)
    assert curve.lag == 0


def test_a_held_out_point_of_fewer_updates_is_kept_only_when_it_is_all_there_is():
    curve = range_test(Quadratic(), [0.1, 0.2, 0.3], stop=(), held_out_every=5)
    assert (curve.lr, curve.updates) == ((0.3,), (3,))


def test_an_exception_of_the_probe_is_raised_as_it_is():
    class Empty(Quadratic):
        def step(self, lr):
            return next(iter(()))  # StopIteration, which ends generators

    with pytest.raises(StopIteration):
        range_test(Empty(), [0.1, 0.2])


@pytest.mark.parametrize("ending", ["end", "diverge", "raise", "ctrl-c"])
def test_the_probe_is_entered_and_left_once_however_the_test_ends(ending):
    class Probe(Quadratic):
        def step(self, lr):
            loss = super().step(lr)
            if lr > 0.15 and ending != "end":
                match ending:
                    case "diverge":
                        return math.nan
                    case "raise":
                        raise ZeroDivisionError
                    case "ctrl-c":
                        raise KeyboardInterrupt
            return loss

    probe = Probe()
    try:
        range_test(probe, [0.1, 0.2])
    except (ZeroDivisionError, KeyboardInterrupt):
        assert ending in ("raise", "ctrl-c")
    assert (probe.entered, probe.left, probe.x) == (1, 1, 1.0)


def test_points_are_shown_as_they_are_read():
    seen = []
    range_test(Recorded([2.0, 1.0]), [0.1, 0.2], on_point=lambda lr, loss: seen.append((lr, loss)))
    assert seen == [(0.1, 2.0), (0.2, 1.0)]


@pytest.mark.parametrize(
    "options",
    [
        {"lrs": []},
        {"lrs": [0.2, 0.1]},
        {"lrs": [0.1], "equal_start": True},
        {"lrs": [0.1], "held_out_every": 1},
        {"lrs": [0.1], "held_out_every": -1},
        {"lrs": [0.1], "max_updates": 0},
        {"lrs": [0.1], "max_seconds": 0.0},
        {"lrs": [0.1], "extend_decades": -1.0},
    ],
)
def test_options_that_make_no_sense_are_refused_before_the_first_update(options):
    probe = Recorded([1.0])
    with pytest.raises(InputError):
        range_test(probe, **options)
    assert probe.lrs == []


def test_a_thing_without_step_is_refused():
    with pytest.raises(InputError, match="step"):
        range_test(object(), [0.1])


@pytest.mark.parametrize("loss", ["high", None, [1.0, 2.0]])
def test_a_loss_that_is_no_number_is_refused(loss):
    with pytest.raises(RangeTestError):
        range_test(Recorded([loss]), [0.1])


def test_rise_needs_more_than_noise(subtests):
    import random

    for seed in range(50):
        noise = random.Random(seed)
        with subtests.test(seed=seed):
            curve = range_test(
                Function(lambda lr, noise=noise: noise.gauss(2.3, 0.1)),
                Geometric(1e-6, 10.0),
                stop=(Rise(),),
                extend_decades=0,
            )
            assert curve.stop == "ladder_end"


def test_equal_start_is_not_stopped_by_the_drift_of_last_digits():
    class Paired(Quadratic):
        def step(self, lr):
            super().step(lr)
            return 2.3 - 1e-5 * lr + 3e-5 * lr**2 if lr < 0.1 else 1.0

    curve = range_test(Paired(), Geometric(1e-6, 1.0), equal_start=True, extend_decades=0)
    assert curve.stop == "ladder_end"
