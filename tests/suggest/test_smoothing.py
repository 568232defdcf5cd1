import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.suggest.smoothing import BIN, binned, local_line

spaced = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=60).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)


@given(spaced, st.floats(-5, 5), st.floats(-5, 5))
def test_a_straight_line_stays_as_it_is(x, slope, intercept):
    y = [slope * place + intercept for place in x]
    assert local_line(x, y).value == pytest.approx(y, abs=1e-6)


@given(st.floats(0.03, 0.1))
def test_there_is_no_lag(step):
    """A symmetric dip stays where it is; a moving average would shift it to the right."""
    x = [i * step for i in range(-60, 61)]
    y = [place * place for place in x]
    value = local_line(x, y).value
    assert value.index(min(value)) == 60
    assert value == pytest.approx(value[::-1])


@given(spaced, st.integers(0, 1000), st.floats(-10, 10), st.floats(-10, 10))
def test_smoothing_is_linear_in_the_loss(x, seed, scale, offset):
    draw = random.Random(seed)
    y = [draw.gauss(0, 1) for _ in x]
    moved = local_line(x, [scale * value + offset for value in y]).value
    expected = [scale * value + offset for value in local_line(x, y).value]
    assert moved == pytest.approx(expected, abs=1e-6)


def test_the_gain_is_the_standard_error_for_unit_noise():
    x = [i / 14 for i in range(60)]
    draw = random.Random(0)
    samples = [local_line(x, [draw.gauss(0, 1) for _ in x]).value[30] for _ in range(2000)]
    spread = math.sqrt(sum(s * s for s in samples) / len(samples))
    assert local_line(x, [0.0] * 60).gain[30] == pytest.approx(spread, rel=0.1)


@given(spaced)
def test_bins_keep_the_count_and_the_mean(x):
    y = [math.sin(place) for place in x]
    xs, ys, counts = binned(x, y)
    assert sum(counts) == len(x)
    assert sum(a * c for a, c in zip(ys, counts, strict=True)) == pytest.approx(sum(y))
    assert sum(a * c for a, c in zip(xs, counts, strict=True)) == pytest.approx(sum(x))
    assert all(c == 1 for c in counts) or len(xs) <= x[-1] / BIN + 2
