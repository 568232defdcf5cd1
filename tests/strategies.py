"""Hypothesis strategies that the tests share."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from stepsize import Curve, Geometric

rates = st.floats(1e-12, 1e6, allow_nan=False, allow_infinity=False)
losses = st.floats(-1e6, 1e6, allow_nan=False, allow_infinity=False)


@st.composite
def geometric_ladders(draw):
    start = draw(st.floats(1e-9, 1.0))
    decades = draw(st.floats(0.5, 9.0))
    return Geometric(start, start * 10**decades, draw(st.integers(2, 400)), draw(st.integers(1, 4)))


@st.composite
def curves(draw, points=st.integers(0, 120)):
    n = draw(points)
    lrs = sorted(draw(st.lists(rates, min_size=n, max_size=n, unique=True)))
    values = draw(st.lists(losses | st.just(math.inf), min_size=n, max_size=n))
    return Curve(tuple(lrs), tuple(values), stop=draw(st.sampled_from(["ladder_end", "rise"])))


@st.composite
def falls(draw):
    """A smooth curve that a range test could leave: level, fall, blow-up; and its parameters."""
    middle = draw(st.floats(-3.5, -1.5))  # log10 of the rate half-way down the fall
    width = draw(st.floats(0.1, 0.4))
    edge = middle + draw(st.floats(1.0, 2.0))  # log10 of the rate where it blows up

    def loss(lr: float) -> float:
        x = math.log10(lr)
        fall = 1.0 / (1.0 + math.exp(-(x - middle) / width))
        return 2.0 - fall + 10.0 ** (4.0 * (x - edge))

    return loss
