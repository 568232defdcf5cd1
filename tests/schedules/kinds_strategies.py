"""Hypothesis strategies for schedules, one per kind. A new kind gets one entry in TABLE."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from stepsize import schedules as ss
from stepsize.schedules import Schedule
from stepsize.schedules.shapes import SHAPES
from stepsize.schedules.warmup import FIRST

levels = st.just(0.0) | st.floats(1e-8, 10.0)
above = st.floats(1e-8, 10.0)
lengths = st.integers(1, 300)
factors = st.floats(0.01, 1.0)
shapes = st.sampled_from(sorted(SHAPES))
firsts = st.sampled_from(sorted(FIRST))


def halves_hyperbola(step):
    """A user's function, importable by its path."""
    return 1.0 / (1.0 + step)


@st.composite
def moments_and_levels(draw):
    moments = draw(st.lists(st.integers(0, 400), min_size=1, max_size=8, unique=True))
    size = len(moments)
    return tuple(sorted(moments)), tuple(draw(st.lists(levels, min_size=size, max_size=size)))


@st.composite
def differing(draw):
    """Inner schedules whose lowest and highest value are known and differ."""
    start = draw(st.floats(0.5, 10.0))
    kind = draw(st.sampled_from([ss.Linear, ss.Cosine, ss.Rex]))
    return kind(start, start * draw(st.floats(0.0, 0.9)), steps=draw(lengths))


#: Small finite schedules to build others from.
simple = st.builds(ss.Linear, levels, levels, lengths) | st.builds(
    ss.Cosine, levels, levels, lengths
)
finite = simple | st.builds(lambda *pieces: ss.Chain(pieces), simple, simple)
endless = st.builds(ss.Exponential, levels, factor=factors) | st.builds(ss.Constant, levels)
inner = finite | endless


def ordered(count):
    """``count`` values, ascending."""
    return st.lists(levels, min_size=count, max_size=count).map(sorted)


@st.composite
def warm_restarts(draw):
    end, peak = draw(ordered(2))
    return ss.WarmRestarts(
        peak,
        end,
        first_steps=draw(st.integers(1, 40)),
        t_mul=draw(st.sampled_from([1.0, 1.1, 1.5, 2.0, 3.0, 0.9, 0.5])),
        peak_decay=draw(st.just(1.0) | factors),
        end_decay=draw(st.just(1.0) | factors),
        warmup_steps=draw(st.integers(0, 10)),
        warmup_every=draw(st.sampled_from(["cycle", "first"])),
        first=draw(firsts),
        reach_end=draw(st.booleans()),
        cycles=draw(st.none() | st.integers(1, 5)),
    )


def _restarts_ends(s):
    start = s.end_value if s.first == "0" else None
    last = None if s.cycles is None else s.end_value * s.end_decay ** (s.cycles - 1)
    return start if s.warmup_steps else s.peak_value, last


@st.composite
def one_cycle(draw):
    stages, up = draw(st.sampled_from([2, 3])), draw(st.floats(0.01, 0.45))
    div, final = draw(st.floats(1.0, 100.0)), draw(st.floats(1.0, 1e6))
    steps = draw(st.integers(11, 300))  # room for three stages, two of them of 45 %
    shape = draw(st.sampled_from(["cosine", "linear"]))
    return ss.OneCycle(draw(levels), steps, up, div, final, shape, stages)


@st.composite
def slanted_triangular(draw):
    steps, up = draw(st.integers(2, 300)), draw(st.floats(0.001, 0.5))
    return ss.SlantedTriangular(draw(levels), steps, up, draw(st.floats(1.0, 1e6)))


@st.composite
def wsd(draw):
    (end, peak), some = draw(ordered(2)), st.integers(0, 100)
    spans = draw(some), draw(some), draw(lengths)
    kinds = draw(shapes), draw(shapes), draw(firsts)
    return ss.WarmupStableDecay(peak, end, *spans, *kinds, peak * draw(st.floats(0.0, 1.0)))


@st.composite
def infinite(draw):
    (end, constant, peak), some = draw(ordered(3)), st.integers(0, 100)
    spans = draw(some), draw(some), draw(some), draw(lengths)
    anneal = draw(shapes if end == 0.0 else shapes | st.just("geometric"))
    kinds = draw(shapes), anneal, draw(shapes), draw(firsts)
    return ss.Infinite(peak, constant, end, *spans, *kinds, peak * draw(st.floats(0.0, 1.0)))


class Entry(NamedTuple):
    """A kind's strategy, and what its first and last values must be exactly (None: not stated)."""

    schedules: SearchStrategy[Schedule]
    ends: Callable[[Schedule], tuple[float | None, float | None]]


def _plain(s):
    return s.init_value, s.end_value


def _starts(s):
    return s.init_value, None


def _unstated(s):
    return None, None


def _transition(kind, **more):
    return Entry(st.builds(kind, levels, levels, steps=lengths, **more), _plain)


def _cyclical(kind, **more):
    built = st.builds(
        lambda bounds, up, down, **more: kind(*bounds, up, down, **more),
        ordered(2),
        lengths,
        st.none() | lengths,
        **more,
    )
    return Entry(built, lambda s: (s.base_value, None))


TABLE: dict[str, Entry] = {
    "constant": Entry(
        st.builds(ss.Constant, levels, st.none() | lengths), lambda s: (s.value, s.value)
    ),
    "linear": _transition(ss.Linear),
    "cosine": _transition(ss.Cosine),
    "polynomial": _transition(ss.Polynomial, power=st.floats(0.1, 5.0)),
    "ramp": _transition(ss.Ramp, shape=shapes),
    "rex": _transition(ss.Rex),
    "rise": Entry(
        st.builds(ss.Rise, levels, levels, lengths, shapes, firsts),
        lambda s: (s.init_value if s.first == "0" else None, s.end_value),
    ),
    "exponential": Entry(
        st.builds(ss.Exponential, levels, factor=factors, every=lengths)
        | st.builds(ss.Exponential, levels, k=st.floats(0.0, 5.0), every=lengths),
        _starts,
    ),
    "step": Entry(st.builds(ss.Step, levels, lengths, factors), _starts),
    "multi_step": Entry(
        st.builds(
            ss.MultiStep,
            levels,
            st.lists(st.integers(0, 400), min_size=1, max_size=6).map(lambda m: tuple(sorted(m))),
            st.floats(0.01, 3.0),
        ),
        lambda s: (None if s.milestones[0] == 0 else s.init_value, None),
    ),
    "inverse_time": Entry(st.builds(ss.InverseTime, levels, st.floats(0, 100), lengths), _starts),
    "compounding_time": Entry(
        st.builds(ss.CompoundingTime, levels, st.just(0.0) | st.floats(1e-9, 10), lengths), _starts
    ),
    "inverse_sqrt": Entry(
        st.builds(ss.InverseSqrt, levels, lengths, st.none() | lengths, firsts)
        | st.builds(ss.InverseSqrt, levels, st.just(0), lengths, firsts),
        lambda s: (None if s.warmup_steps else s.peak_value, None),
    ),
    "noam": Entry(st.builds(ss.Noam, levels, st.floats(1, 4096), lengths), _unstated),
    "power": Entry(
        st.builds(
            ss.Power,
            above,
            st.floats(0.01, 1e4),
            st.floats(-2.0, -0.1),
            st.floats(1.0, 1e6),
            st.integers(0, 300),
            firsts,
        ),
        lambda s: (None if s.warmup_steps else s.peak_value, None),
    ),
    "geometric": Entry(st.builds(ss.Geometric, above, above, lengths), _plain),
    "warm_restarts": Entry(warm_restarts(), _restarts_ends),
    "triangular": _cyclical(ss.Triangular),
    "triangular2": _cyclical(ss.Triangular2),
    "exp_range": _cyclical(
        ss.ExpRange, gamma=factors, decays=st.sampled_from(["amplitude", "bounds"])
    ),
    "cyclic": _cyclical(ss.Cyclic, scale=inner, per=st.sampled_from(["cycle", "update"])),
    "one_cycle": Entry(
        one_cycle(),
        lambda s: (s.peak_value / s.div_factor, s.peak_value / s.div_factor / s.final_div_factor),
    ),
    "slanted_triangular": Entry(
        slanted_triangular(), lambda s: (s.peak_value / s.ratio, s.peak_value / s.ratio)
    ),
    "flat_cosine": Entry(
        st.builds(
            lambda bounds, flat, decay: ss.FlatCosine(bounds[1], bounds[0], flat, decay),
            ordered(2),
            st.integers(0, 300),
            lengths,
        ),
        lambda s: (s.peak_value, s.end_value),
    ),
    "wsd": Entry(wsd(), lambda s: (None if s.warmup_steps else s.peak_value, s.end_value)),
    "infinite": Entry(infinite(), lambda s: (None, s.end_value)),
    "points": Entry(
        st.builds(
            lambda pair, between: ss.Points(*pair, between),
            moments_and_levels(),
            st.sampled_from(["linear", "cosine", "constant"]),
        ),
        lambda s: (s.levels[0], s.levels[-1]),
    ),
    "refined": Entry(
        st.builds(
            ss.Refined,
            levels,
            st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=40).map(tuple),
            st.floats(0, 1),
            st.sampled_from(["l1", "l2"]),
            lengths,
        ),
        lambda s: (None, 0.0),
    ),
    "function": Entry(
        st.builds(ss.Function, st.sampled_from([math.sqrt, halves_hyperbola]), st.none() | lengths),
        _unstated,
    ),
    "warmup": Entry(
        st.builds(ss.Warmup, inner, lengths, shapes, firsts, levels),
        lambda s: (s.init_value if s.first == "0" else None, None),
    ),
    "chain": Entry(
        st.builds(
            lambda pieces, last: ss.Chain((*pieces, last)),
            st.lists(finite, max_size=3),
            inner,
        ),
        lambda s: (s.pieces[0](0), None),
    ),
    "repeat": Entry(
        st.builds(ss.Repeat, finite, st.none() | st.integers(1, 5)), lambda s: (s.inner(0), None)
    ),
    "shift": Entry(st.builds(ss.Shift, inner, lengths), lambda s: (s.inner(0), None)),
    "cut": Entry(
        st.builds(ss.Cut, inner, st.none() | lengths, st.integers(0, 50)),
        lambda s: (s.inner(s.start), None),
    ),
    "stretch": Entry(
        st.builds(ss.Stretch, finite, lengths), lambda s: (s.inner(0), s.inner(s.inner.length))
    ),
    "stairs": Entry(st.builds(ss.Stairs, inner, lengths), lambda s: (s.inner(0), None)),
    "scale": Entry(st.builds(ss.Scale, inner, levels), lambda s: (s.factor * s.inner(0), None)),
    "clip": Entry(
        st.builds(
            lambda inside, low, more: ss.Clip(inside, low, None if more is None else low + more),
            inner,
            levels,
            st.none() | levels,
        ),
        _unstated,
    ),
    "multiply": Entry(
        st.builds(ss.Multiply, inner, inner), lambda s: (s.left(0) * s.right(0), None)
    ),
    "inverse": Entry(
        st.builds(ss.Inverse, differing(), st.floats(0, 0.8), st.floats(0.8, 1.0)), _unstated
    ),
}


def schedules() -> SearchStrategy[Schedule]:
    """A schedule of any kind."""
    return st.one_of(*(entry.schedules for entry in TABLE.values()))
