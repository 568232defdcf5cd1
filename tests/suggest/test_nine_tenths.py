import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes import Function
from strategies import curves, falls

from stepsize import Curve, Geometric, InputError, Linear, LossAbove, range_test
from stepsize.records import VERDICTS
from stepsize.suggest import RULES, nine_tenths, pool, smooth


def curve_of(loss, rates=100, start=1e-6, stop=10.0):
    """The curve a range test leaves over ``loss(lr)``."""
    return range_test(Function(loss), Geometric(start, stop, rates=rates))


def noisy(loss, seed, sigma):
    draw = random.Random(seed)
    return lambda lr: loss(lr) + draw.gauss(0.0, sigma)


def decades(a, b):
    return abs(math.log10(a / b))


@given(falls())
def test_a_clean_fall_is_answered_below_its_minimum_and_above_its_middle(loss):
    curve = curve_of(loss)
    answer = nine_tenths([curve])
    lowest = curve.lr[curve.loss.index(min(curve.loss))]
    assert answer.verdict == "ok"
    assert answer.lr < lowest
    assert loss(answer.lr) < 1.5  # half of the fall is at 1.5
    low, high = answer.interval
    assert low <= answer.lr <= high
    assert answer.clr.base_lr < answer.lr <= answer.clr.max_lr


@given(falls(), st.integers(60, 1000), st.integers(60, 1000))
def test_the_answer_does_not_move_with_the_number_of_points(loss, few, many):
    a = nine_tenths([replace(curve_of(loss, few), lag=0)])
    b = nine_tenths([replace(curve_of(loss, many), lag=0)])
    assert decades(a.lr, b.lr) < 0.12


@given(falls(), st.floats(-1e4, 1e4), st.floats(1e-3, 1e3))
def test_the_answer_does_not_move_with_an_offset_or_a_scale(loss, offset, scale):
    plain = nine_tenths([curve_of(loss)])
    moved = nine_tenths([curve_of(lambda lr: scale * loss(lr) + offset * scale)])
    assert moved.verdict == plain.verdict == "ok"
    assert decades(moved.lr, plain.lr) < 1e-3


@given(falls(), st.floats(-3.0, 3.0))
def test_the_answer_moves_with_the_rates(loss, shift):
    factor = 10.0**shift
    curve = curve_of(loss)
    moved = Curve(tuple(lr * factor for lr in curve.lr), curve.loss, stop=curve.stop)
    assert nine_tenths([moved]).lr == pytest.approx(nine_tenths([curve]).lr * factor, rel=1e-3)


@given(st.lists(curves(), min_size=1, max_size=1))
def test_any_curve_at_all_gets_a_verdict_and_a_reason(anything):
    answer = nine_tenths(anything)
    assert answer.verdict in VERDICTS
    assert answer.reason
    if answer.lr is not None:
        low, high = answer.interval
        assert 0 < low <= answer.lr <= high < math.inf


@given(curves())
def test_every_rule_survives_any_curve(curve):
    for rule in RULES.values():
        rate = rule(curve)
        assert rate is None or rate > 0
    assert len(smooth(curve)) == len(curve)


@pytest.mark.parametrize("points", [35, 100, 300])
@pytest.mark.parametrize("blow_up", [False, True])
def test_a_curve_that_never_learned_is_refused(points, blow_up):
    """Pure noise, with and without a blow-up at the end: never an answer in 60 draws."""
    flat = 0
    for seed in range(60):
        level = noisy(lambda lr: 2.3 + (lr**2 if blow_up else 0.0), seed, 0.1)
        answer = nine_tenths([curve_of(level, points)])
        assert answer.lr is None, seed
        flat += answer.verdict == "flat"
    assert flat >= 57


def test_one_wild_loss_is_no_fall():
    for seed in range(10):
        curve = curve_of(noisy(lambda lr: 2.3, seed, 0.1), 300)
        wild = (*curve.loss[:200], -0.5, *curve.loss[201:])
        assert nine_tenths([replace(curve, loss=wild)]).lr is None, seed


def test_noise_that_grows_out_of_silence_is_no_fall():
    """A model whose outputs start at zero: its loss is exact until its weights wander."""
    for seed in range(20):
        draw = random.Random(seed)
        answer = nine_tenths([curve_of(lambda lr, d=draw: 2.3 + d.gauss(0.0, lr), 300)])
        assert answer.lr is None, seed


def test_a_constant_loss_is_flat():
    assert nine_tenths([curve_of(lambda lr: 2.3)]).verdict == "flat"


def test_a_loss_that_only_rises_is_refused():
    assert nine_tenths([curve_of(lambda lr: 2.0 + lr)]).verdict in ("flat", "diverged_at_start")


def test_a_fall_without_end_is_still_falling():
    falling = Curve(*zip(*[(10.0 ** (i / 10 - 5), -i / 10) for i in range(60)], strict=True))
    assert nine_tenths([falling]).verdict == "still_falling"


def test_a_blow_up_at_the_first_rates_is_told():
    lrs = tuple(0.1 * 1.2**i for i in range(12))
    blown = Curve(lrs, (2.0, 3.0, 9.0, 100.0, *(10.0 ** (3 + i) for i in range(8))))
    assert nine_tenths([replace(blown, stop="rise")]).verdict == "diverged_at_start"
    assert nine_tenths([Curve((0.1,), (math.nan,), stop="not_finite")]).verdict == (
        "diverged_at_start"
    )


@pytest.mark.parametrize("points", [0, 1, 7])
def test_too_few_points_are_told(points):
    curve = Curve(tuple(10.0**-i for i in range(9, 9 - points, -1)), (1.0,) * points)
    assert nine_tenths([curve]).verdict == "too_few_points"


def test_a_fall_drowned_in_noise_is_never_answered_wrongly():
    """The fall is as large as the noise: abstain, or hold the truth in the interval."""

    def fall(lr):
        return 2.0 - 1.0 / (1.0 + (0.01 / lr) ** 3) + (lr / 1.0) ** 3

    truth = nine_tenths([curve_of(fall)]).lr
    held = refused = 0
    for seed in range(100):
        repeats = [curve_of(noisy(fall, 1000 * seed + r, 0.5)) for r in range(3)]
        answer = nine_tenths(repeats)
        refused += answer.lr is None
        held += answer.lr is not None and answer.interval[0] <= truth <= answer.interval[1]
    assert held + refused >= 90


def test_the_interval_shrinks_with_repeats_and_grows_with_noise():
    def fall(lr):
        return 2.0 - 1.0 / (1.0 + (0.01 / lr) ** 3) + (lr / 1.0) ** 3

    def width(repeats, sigma):
        total = 0.0
        for seed in range(20):
            draws = [curve_of(noisy(fall, 100 * seed + r, sigma)) for r in range(repeats)]
            total += decades(*nine_tenths(draws).interval)
        return total

    assert width(6, 0.02) < width(2, 0.02)
    assert width(3, 0.01) < width(3, 0.04)


def test_one_sweep_without_noise_still_doubts_that_another_would_say_the_same():
    def fall(lr):
        return 2.0 - 1.0 / (1.0 + (0.01 / lr) ** 3) + (lr / 1.0) ** 3

    one, nine = (nine_tenths([curve_of(fall)] * repeats) for repeats in (1, 9))
    assert decades(*one.interval) > 0.3
    assert decades(*nine.interval) < decades(*one.interval)


def test_the_answer_on_a_slow_and_noisy_fall_is_not_too_high():
    """The lowest of many noisy values is too low, and so would be the level."""

    def fall(lr):
        return 2.3 - 1.8 / (1.0 + (1e-3 / lr) ** 0.65) + 4.0 * max(0.0, math.log10(lr) + 0.5) ** 2

    truth = nine_tenths([curve_of(fall, 300)]).lr
    draws = [nine_tenths([curve_of(noisy(fall, seed, 0.4), 300)]).lr for seed in range(30)]
    misses = [math.log10(lr / truth) for lr in draws if lr]
    assert len(misses) > 10
    assert sum(misses) / len(misses) < 0.04


def test_the_blow_up_does_not_leak_into_the_answer():
    def fall(lr):
        return 2.0 - 1.0 / (1.0 + (0.01 / lr) ** 3)

    lrs = [10.0 ** (i / 14 - 6) for i in range(86)]
    quiet = Curve(tuple(lrs), tuple(map(fall, lrs)), stop="rise")
    loud = Curve((*lrs, 2.0, 2.5), (*map(fall, lrs), 1e6, 1e12), stop="rise")
    assert decades(nine_tenths([quiet]).lr, nine_tenths([loud]).lr) < 0.05


def test_the_mean_curve_ends_where_the_first_repeat_does():
    short = Curve((0.1, 0.2), (1.0, 2.0), stop="rise")
    long = Curve((0.1, 0.2, 0.3), (3.0, 4.0, 5.0))
    mean = pool([short, long])
    assert (mean.lr, mean.loss, mean.stop) == ((0.1, 0.2), (2.0, 3.0), "rise")


def test_repeats_over_other_rates_or_none_at_all_are_refused():
    with pytest.raises(InputError):
        pool([])
    with pytest.raises(InputError):
        pool([Curve((0.1,), (1.0,)), Curve((0.2,), (1.0,))])


@given(falls())
def test_the_smoothed_line_follows_the_points_until_the_blow_up(loss):
    curve = range_test(
        Function(loss), Geometric(1e-6, 10.0), stop=(LossAbove(50.0),), extend_decades=0
    )
    line = smooth(curve)
    shown = [i for i, value in enumerate(line) if math.isfinite(value)]
    assert len(shown) > 50
    assert shown == list(range(len(shown)))
    lowest = line.index(min(line))
    for i in range(lowest - 7):  # half a decade before the sharp turn
        assert abs(line[i] - curve.loss[i]) < 0.15


def test_a_fall_that_begins_with_the_ladder_is_no_fall_from_a_level():
    curve = curve_of(lambda lr: 0.5 + 1.8 * (lr / 1e-6) ** -1.74 + (lr / 0.3) ** 4)
    assert nine_tenths([curve]).verdict == "diverged_at_start"


def test_a_constant_zero_is_flat():
    assert nine_tenths([curve_of(lambda lr: 0.0)]).verdict == "flat"


def test_few_points_over_many_decades_are_too_few_whatever_happened():
    lrs = tuple(10.0 ** (i - 6) for i in range(8))
    blown = Curve(lrs[:7], (2.0, 2.0, 2.0, 1.0, 0.5, 0.4, math.nan), stop="not_finite")
    assert nine_tenths([blown]).verdict == "too_few_points"


def test_nan_before_the_first_update_is_told():
    answer = nine_tenths([Curve((1e-6,), (math.nan,), stop="not_finite")])
    assert answer.verdict == "diverged_at_start"
    assert "before the first update" in answer.reason


def test_a_cap_that_cut_the_test_short_is_named():
    curve = range_test(Function(lambda lr: 2.3), Geometric(1e-6, 10.0), max_updates=40)
    assert "cap on updates" in nine_tenths([curve]).reason


@given(falls())
def test_the_interval_stays_in_the_measured_range(loss):
    curve = curve_of(loss)
    answer = nine_tenths([curve])
    low, high = answer.interval
    assert curve.at_effect().lr[0] * 0.999 <= low <= high <= curve.lr[-1]


def test_on_a_plateau_without_a_blow_up_max_lr_is_where_it_begins():
    def plateau(lr):
        return 2.0 - 1.0 / (1.0 + (0.01 / lr) ** 3)

    answer = nine_tenths([curve_of(noisy(plateau, 3, 0.01), stop=1e3)])
    assert answer.clr.max_lr < 1.0


def test_a_linear_ladder_reads_the_same_fall():
    def fall(lr):
        return 2.0 - 1.0 / (1.0 + (0.1 / lr) ** 3) + (lr / 1.0) ** 3

    truth = nine_tenths([curve_of(fall)]).lr
    ladder = Linear(0.005, 3.0, 150)
    repeats = [range_test(Function(noisy(fall, seed, 0.02)), ladder) for seed in range(3)]
    assert decades(nine_tenths(repeats).lr, truth) < 0.15


def test_repeats_that_differ_more_than_their_noise_are_believed():
    def fall(lr, shift):
        return 2.0 - 1.0 / (1.0 + (shift * 0.01 / lr) ** 3) + (lr / 1.0) ** 3

    repeats = [curve_of(lambda lr, s=s: fall(lr, s)) for s in (0.3, 1.0, 3.0)]
    assert decades(*nine_tenths(repeats).interval) > 0.5


def test_a_tie_between_repeats_ends_with_the_divergence():
    calm = Curve((0.1, 0.2), (1.0, 2.0))
    blown = Curve((0.1, 0.2), (1.0, 9.0), stop="rise")
    assert pool([calm, blown]).stop == pool([blown, calm]).stop == "rise"
