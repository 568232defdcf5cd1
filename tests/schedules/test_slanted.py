"""The slanted triangle against the formula of its paper, and what the paper leaves open."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedules.kinds_strategies import slanted_triangular

from stepsize.errors import InputError
from stepsize.schedules import SlantedTriangular, parse


def eq_3(t, peak, total, cut_frac, ratio):
    """Howard & Ruder 2018, arXiv:1801.06146, eq. 3, letter by letter, in exact numbers."""
    cut = math.floor(total * cut_frac)
    p = Fraction(t, cut) if t < cut else 1 - Fraction(t - cut) / (cut * (1 / cut_frac - 1))
    return peak * (1 + p * (ratio - 1)) / ratio


@given(st.integers(1, 40), st.sampled_from([2, 4, 5, 8, 10, 20]), st.integers(1, 100))
def test_it_is_the_papers_where_the_cut_is_a_whole_number(cut, parts, ratio):
    total, share = cut * parts, Fraction(1, parts)
    s = SlantedTriangular(0.01, total, float(share), ratio)
    theirs = [float(eq_3(t, Fraction(1, 100), total, share, ratio)) for t in range(total)]
    assert [s(t) for t in range(total)] == pytest.approx(theirs, rel=1e-12)


def test_the_papers_own_setting():
    """eta_max = 0.01, cut_frac = 0.1, ratio = 32, as values worked out by hand from eq. 3."""
    s = SlantedTriangular(0.01).resolve(1000)
    by_hand = {0: 0.01 / 32, 50: 0.01 * 33 / 64, 100: 0.01, 550: 0.01 * 33 / 64, 1000: 0.01 / 32}
    assert {t: s(t) for t in by_hand} == pytest.approx(by_hand, rel=1e-14)
    assert s(100) == 0.01
    assert s(1000) == s(2000) == 0.01 / 32


def test_where_the_papers_rate_is_negative_ours_ends_where_it_began():
    assert eq_3(18, Fraction(1), 19, Fraction(1, 10), 32) < 0
    s = SlantedTriangular(1.0, steps=19)
    assert s(1) == 1.0  # cut = floor(1.9)
    assert s(18) > s(19) == 1 / 32


@given(slanted_triangular())
def test_the_peak_is_used_once_between_two_straight_lines(s):
    up, down = s.phases(s.steps)
    assert (up.name, down.name, up.stop) == ("up", "down", down.start)
    assert up.stop == max(1, math.floor(Fraction(repr(s.cut_frac)) * s.steps))
    assert s(up.stop) == s.peak_value == pytest.approx(s.values(s.steps + 1).max(), rel=1e-15)
    low = s.peak_value / s.ratio
    for phase in (up, down):
        middle = (phase.start + phase.stop) / 2
        if middle == int(middle):
            assert s(int(middle)) == pytest.approx((low + s.peak_value) / 2, rel=1e-9, abs=1e-15)


def test_the_share_is_taken_as_it_is_written():
    # as floats 0.29 * 100 is 28.999999999999996
    assert SlantedTriangular(0.1, 100, 0.29)(29) == 0.1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"steps": 1}, "steps=1 takes 1 and leaves 0"),
        ({"steps": 10, "cut_frac": 1.0}, "takes 10 and leaves 0"),
        ({"cut_frac": 0.0}, "cut_frac must be above 0, got 0.0"),
        ({"ratio": 0.5}, "ratio must be 1 or more, got 0.5"),
    ],
)
def test_what_makes_no_triangle_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        SlantedTriangular(0.1, **more)


def test_text():
    s = SlantedTriangular(0.01, cut_frac=0.2, ratio=16)
    assert str(s) == "slanted_triangular(0.01, cut_frac=0.2, ratio=16)"
    assert parse(str(s)) == s
