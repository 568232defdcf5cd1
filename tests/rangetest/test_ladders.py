import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import geometric_ladders

from stepsize import Geometric, InputError, Linear, Segments
from stepsize.rangetest import Rates, as_ladder


@given(geometric_ladders())
def test_a_geometric_ladder_has_exact_ends_a_constant_ratio_and_climbs(ladder):
    lrs = [rung.lr for rung in ladder.rungs()]
    assert lrs[0] == ladder.start
    assert lrs[-1] == ladder.stop
    assert len(lrs) == ladder.rates
    steps = [math.log(b / a) for a, b in itertools.pairwise(lrs)]
    assert min(steps) > 0
    assert max(steps) == pytest.approx(min(steps), rel=1e-6, abs=1e-9)


@given(geometric_ladders(), st.floats(0.1, 3.0))
def test_beyond_goes_on_with_the_same_ratio_and_no_further_than_asked(ladder, decades):
    lrs = [rung.lr for rung in ladder.rungs()]
    more = [rung.lr for rung in ladder.beyond(decades)]
    ratio = math.log(lrs[-1] / lrs[-2])
    for below, above in zip([lrs[-1], *more], more, strict=False):
        assert math.log(above / below) == pytest.approx(ratio, rel=1e-6)
    assert all(lr <= ladder.stop * 10**decades * (1 + 1e-5) for lr in more)


@given(st.floats(1e-6, 1.0), st.floats(1.1, 100.0), st.integers(2, 200))
def test_a_linear_ladder_has_exact_ends_and_a_constant_difference(start, factor, rates):
    lrs = [rung.lr for rung in Linear(start, start * factor, rates).rungs()]
    assert (lrs[0], lrs[-1], len(lrs)) == (start, start * factor, rates)
    steps = [b - a for a, b in itertools.pairwise(lrs)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-6)


def test_the_classic_coarse_to_fine_table():
    table = Segments([(10.0**k, 10.0**k, 10, 9 * 10.0**k) for k in (-4, -3, -2)])
    rungs = table.rungs()
    assert [rung.lr for rung in rungs[:9]] == [
        float(f"{i}e-4")
        for i in range(1, 10)  # written as a person would, to the last digit
    ]
    assert len(rungs) == 27
    assert {rung.updates for rung in rungs} == {10}
    assert [rung.lr for rung in table.beyond(1.0)] == [i / 10 for i in range(1, 10)]


@given(st.floats(1e-6, 1.0), st.integers(1, 30), st.floats(0.01, 1.0), st.integers(1, 50))
def test_a_segment_reaches_its_stop_exactly_once(start, count, relative_step, updates):
    step = start * relative_step
    stop = start + count * step
    rungs = Segments([(start, step, updates, stop)]).rungs()
    assert len(rungs) == count + 1
    assert rungs[-1].lr == pytest.approx(stop, rel=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Geometric(1.0, 0.1),
        lambda: Geometric(0.0, 1.0),
        lambda: Geometric(-1.0, 1.0),
        lambda: Geometric(1e-3, math.inf),
        lambda: Geometric(1e-3, math.nan),
        lambda: Geometric(1e-3, 1.0, rates=1),
        lambda: Geometric(1e-3, 1.0, updates_per_rate=0),
        lambda: Linear(0.2, 0.1),
        lambda: Segments([]),
        lambda: Segments([(1, 2, 3)]),
        lambda: Segments([5]),
        lambda: Segments([(0.1, 0.1, 10, 0.05)]),
        lambda: Segments([(0.1, -0.1, 10, 0.5)]),
        lambda: Segments([(0.1, 0.1, 0, 0.5)]),
        lambda: Segments([(0.1, 0.1, 1.5, 0.5)]),
        lambda: Segments([(0.1, 0.1, 1, 0.5), (0.3, 0.1, 1, 0.9)]),
        lambda: Rates([]),
        lambda: Rates([0.1, 0.1]),
        lambda: Rates([0.2, 0.1]),
        lambda: Rates([0.1, math.nan]),
        lambda: Rates([0.1, 0.2], updates_per_rate=0),
        lambda: as_ladder(3.0),
        lambda: as_ladder([0.1, "x"]),
    ],
)
def test_what_is_no_ladder_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_ladders_are_values():
    assert Geometric(1e-3, 1.0) == Geometric(1e-3, 1.0)
    assert eval(repr(Geometric(1e-3, 1.0))) == Geometric(1e-3, 1.0)
    assert as_ladder(Geometric(1e-3, 1.0)) == Geometric(1e-3, 1.0)
