import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.comparison.student import half_width, two_sided

stats = pytest.importorskip("scipy.stats", reason="needs scipy")
DEGREES = [*range(1, 31), *range(32, 201, 8)]


@pytest.mark.parametrize("t", [1e-3, 0.1, 0.7, 1.0, 2.0, 4.3, 12.7, 60.0, 1e4])
def test_tails_are_those_of_scipy(t):
    for degrees in DEGREES:
        reference = 2.0 * stats.t.sf(t, degrees)
        assert two_sided(t, degrees) == pytest.approx(reference, rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_quantiles_are_those_of_scipy(level):
    for degrees in DEGREES:
        reference = stats.t.ppf((1.0 + level) / 2.0, degrees)
        assert half_width(level, degrees) == pytest.approx(reference, rel=1e-10)


def test_one_degree_is_cauchy_also_where_the_tail_is_nearly_everything():
    for t in (1e-8, 1e-3, 1.0, 1e8):
        assert two_sided(t, 1) == pytest.approx(2.0 * math.atan2(1.0, t) / math.pi, rel=1e-14)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(1, 10_000))
def test_farther_is_rarer_and_the_sign_does_not_matter(a, b, degrees):
    near, far = sorted((abs(a), abs(b)))
    assert 0.0 <= two_sided(far, degrees) <= two_sided(near, degrees) + 1e-12 <= 1.0 + 1e-12
    assert two_sided(-a, degrees) == two_sided(a, degrees)


def test_the_farthest_never_happens():
    assert two_sided(math.inf, 3) == two_sided(1e200, 3) == 0.0
