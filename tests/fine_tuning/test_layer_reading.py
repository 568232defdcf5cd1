"""From the curves of layer groups to a rate for each: what is believed, and how much."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import falls

from stepsize import Curve, Geometric
from stepsize.errors import InputError
from stepsize.finder import FindOptions, read
from stepsize.fine_tuning.ceiling import ceiling
from stepsize.fine_tuning.fall import fall
from stepsize.fine_tuning.layer_reading import compared, judged, layer_reading, suggested
from stepsize.fine_tuning.layer_tests import GroupTest, LayerRangeTests
from stepsize.fine_tuning.shrinkage import Reading, shrunk
from stepsize.fine_tuning.told_apart import alike

RATES = [rung.lr for rung in Geometric(1e-6, 10.0, 84).rungs()]
READINGS = st.lists(
    st.builds(Reading, st.floats(-6, 1), st.floats(0.05, 1.0)) | st.none(), min_size=1, max_size=7
)


def curve(middle, depth=1.0, noise=0.01, edge=None, seed=0, width=0.25):
    """A fall of ``depth`` around ``middle`` decades; a blow-up at ``edge`` decades."""
    dice, losses = random.Random(seed), []
    for lr in RATES:
        x = math.log10(lr)
        loss = 2.0 - depth / (1.0 + math.exp(-(x - middle) / width)) + dice.gauss(0.0, noise)
        losses.append(loss + (0.0 if edge is None else 10.0 ** (3.0 * (x - edge))))
    return Curve(tuple(RATES), tuple(losses), stop="ladder_end" if edge is None else "rise", lag=0)


def judge(name, seen):
    found = read([seen], FindOptions())
    object.__setattr__(found, "suggestion", fall([seen]))
    return judged(name, found)


def test_shrinkage_gives_the_published_meta_analysis():
    # Colditz et al. 1994, BCG vaccine, log risk ratios and their variances; the DerSimonian-Laird
    # estimates as metafor (Viechtbauer 2010) prints them: tau^2 0.3088, -0.7141 (se 0.1787).
    effects = [-0.8893, -1.5854, -1.3481, -1.4416, -0.2175, -0.7861, -1.6209]
    effects += [0.0120, -0.4694, -1.3713, -0.3394, 0.4459, -0.0173]
    variances = [0.3256, 0.1946, 0.4154, 0.0200, 0.0512, 0.0069, 0.2230]
    variances += [0.0040, 0.0564, 0.0730, 0.0124, 0.5325, 0.0714]
    found = shrunk([Reading(y, v**0.5) for y, v in zip(effects, variances, strict=True)])
    assert found.spread**2 == pytest.approx(0.3088, abs=1e-3)
    assert found.level == pytest.approx(-0.7141, abs=1e-3)
    assert found.level_error == pytest.approx(0.1787, abs=1e-3)


@given(READINGS, st.floats(-3, 3))
def test_shrinkage_lies_between_the_reading_and_the_level(readings, shift):
    found = shrunk(readings)
    if found is None:
        assert all(reading is None for reading in readings)
        return
    for reading, value, error in zip(readings, found.values, found.errors, strict=True):
        if reading is None:
            assert value == found.level
            assert error >= found.level_error
        else:
            ends = sorted((reading.value, found.level))
            assert ends[0] - 1e-9 <= value <= ends[1] + 1e-9
            assert error <= math.hypot(reading.error, found.level_error) + 1e-9
    moved = shrunk([r and Reading(r.value + shift, r.error) for r in readings])
    assert moved.values == pytest.approx([value + shift for value in found.values], abs=1e-6)


@given(READINGS)
def test_alike_runs_are_neighbours_and_cannot_be_joined(readings):
    runs = alike(readings)
    flat = [i for run in runs for i in run]
    assert flat == sorted(set(flat))
    assert all(run == tuple(range(run[0], run[-1] + 1)) and len(run) > 1 for run in runs)
    assert all(readings[i] is not None for i in flat)
    near = [r and Reading(-2.0, r.error) for r in readings]
    assert all(
        near[i] is None or near[i + 1] is None or any({i, i + 1} <= {*run} for run in alike(near))
        for i in range(len(near) - 1)
    )
    sharp = [r and Reading(float(i), 0.01) for i, r in enumerate(readings)]
    assert alike(sharp) == ()


@settings(max_examples=20)
@given(falls(), st.floats(-5, 5), st.floats(0.01, 100))
def test_a_fall_is_read_where_it_is_whatever_the_loss_is_measured_in(loss, shift, scale):
    values = [loss(lr) for lr in RATES]
    seen = Curve(tuple(RATES), tuple(values), stop="rise", lag=0)
    answer = fall([seen])
    assert answer.verdict == "ok"
    place = values[: values.index(min(values))]
    target = values[0] - 0.7 * (values[0] - min(values))
    true = next(lr for lr, value in zip(RATES, place, strict=False) if value <= target)
    assert abs(math.log10(answer.lr / true)) < 0.2
    assert answer.interval[0] < answer.lr < answer.interval[1]
    other = fall(
        [Curve(tuple(RATES), tuple(shift + scale * v for v in values), stop="rise", lag=0)]
    )
    assert other.lr == pytest.approx(answer.lr, rel=1e-3)


def test_a_level_curve_has_a_ceiling_and_no_rate():
    level = judge("head", curve(0.0, depth=0.0, edge=-2.0))
    assert not level.informative
    assert level.find.lr is None
    assert 1e-4 < level.ceiling < 1e-2
    assert ceiling(curve(-3.0)) is None
    for seed in range(12):
        assert fall([curve(0.0, depth=0.0, seed=seed)]).verdict == "flat"


def test_rates_that_differ_are_told_apart_and_others_shrink_together():
    near = [judge("stem", curve(-3.0, seed=1)), judge("body", curve(-3.1, seed=2))]
    far = judge("head", curve(-1.0, seed=3))
    reading = layer_reading([*near, far])
    assert reading.apart == (("stem", "body"),)
    stem, body, head = reading.ratios
    assert head == 1.0
    assert 0.003 < stem < 0.03
    assert 1 / 1.5 < stem / body < 1.5
    assert reading.factor.interval[0] < reading.factor.value < reading.factor.interval[1]
    assert reading.factor.value > 3  # earlier groups lower
    alone = layer_reading(near)
    assert alone.ratios == pytest.approx((1.0, 1.0))  # no more apart than their errors


def test_intervals_are_no_narrower_than_what_each_group_says_alone():
    """Shrunk ones would hold too seldom, for the spread is estimated from few groups."""
    tests = [
        judge("a", curve(-3.0)),
        judge("b", curve(-2.5, seed=1)),
        judge("c", curve(-2.0, seed=2)),
    ]
    reading = layer_reading(tests)
    intervals = reading.intervals(reading.peak)
    for test, (low, high) in zip(tests, intervals, strict=True):
        own = math.log10(test.find.interval[1] / test.find.interval[0])
        assert math.log10(high / low) >= own * (1 - 1e-9)


def test_a_group_that_does_not_inform_gets_the_level_below_its_ceiling():
    tests = [judge("a", curve(-2.0)), judge("b", curve(-2.1, seed=5))]
    free = judge("c", curve(0.0, depth=0.0, seed=6))
    low = judge("c", curve(0.0, depth=0.0, edge=-3.0, seed=6))
    assert layer_reading([*tests, free]).values[2] == pytest.approx(-2.0, abs=0.4)
    held = layer_reading([*tests, low])
    assert 10.0 ** held.values[2] < low.ceiling / 1.9
    assert held.errors[2] is None
    assert layer_reading([free, low]) is None


def test_a_group_is_believed_as_much_as_its_loss_falls():
    body = judge("body", curve(-2.0))
    apart = [
        layer_reading([body, judge("head", curve(-3.0, depth=depth, seed=8, noise=1e-3))])
        for depth in (1.0, 0.5, 0.3)
    ]
    heads = [reading.ratios[1] for reading in apart]
    assert 0.08 < heads[0] < heads[1] < heads[2] <= 1.0
    assert [bool(reading.apart) for reading in apart] == [False, False, True]


def test_a_head_that_only_settles_does_not_inform():
    tests = [judge("body", curve(-2.0)), judge("head", curve(-4.0, depth=0.1, seed=8, noise=1e-3))]
    assert all(test.informative for test in tests)
    body, head = compared(tests)
    assert body == tests[0]
    assert not head.informative
    assert layer_reading([body, head]).ratios == (1.0, 1.0)
    assert compared(tests[1:]) == (tests[1],)


def test_suggested_rates_keep_their_distance_from_what_harms_and_come_back_from_json():
    tests = [judge("body", curve(-2.5, edge=0.5)), judge("head", curve(-1.0, seed=4))]
    reading = layer_reading(tests)
    peaks = {}
    for edge in (-1.0, 0.2, 1.5):  # harm begins about a decade below where the loss is up by 1
        common = judge("all", curve(-2.5, edge=edge, seed=7, width=0.1)).find
        found = suggested(tests, reading, common, 300)
        peaks[edge] = found.rates.peak / ceiling(common.curve)
        assert found.rates.ratios == pytest.approx(reading.ratios)
        low, high = found.intervals[1]
        assert low < found.rates.rates[1] < high
        assert LayerRangeTests.from_dict(found.to_dict()) == found
        changed = found.rates.peak != pytest.approx(reading.peak)
        assert len(found.notes) == changed
    assert peaks == {-1.0: pytest.approx(1 / 3), 0.2: peaks[0.2], 1.5: pytest.approx(1 / 10)}
    assert 1 / 10 < peaks[0.2] < 1 / 3
    assert suggested(tests, reading, None, 300).rates.peak == reading.peak
    nothing = suggested([judge("a", curve(0.0, depth=0.0))], None, None, 84)
    assert nothing.rates is None
    assert LayerRangeTests.from_dict(nothing.to_dict()) == nothing


def test_values_that_contradict_themselves_are_refused():
    with pytest.raises(InputError):
        GroupTest("a", None, True)
    with pytest.raises(InputError):
        LayerRangeTests(("a", "b"), (GroupTest("a", None, False),))
    with pytest.raises(InputError):
        Reading(0.0, 0.0)
