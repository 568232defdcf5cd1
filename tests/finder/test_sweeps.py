"""Range tests that are made together: the answer is that of one after the other."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from probes import Function, Quadratic, sigmoid_fall

from stepsize import FindOptions, Geometric
from stepsize.finder import OneByOne, find, swept

LADDER = Geometric(1e-5, 10.0, rates=60)
TOO_HIGH = Geometric(2.0, 1e4, rates=60)


class Together:
    """Makes so many range tests at once, the last of them first; keeps what it was asked for."""

    def __init__(self, make_probe, together):
        self.make_probe, self.together = make_probe, together
        self.asked = []
        self.updates = 0

    def sweep(self, repeats, options):
        self.asked.append((list(repeats), options))
        curves = {repeat: swept(self.make_probe(repeat), options) for repeat in reversed(repeats)}
        self.updates += sum(curve.spent for curve in curves.values())
        return [curves[repeat] for repeat in repeats]

    @property
    def repeats(self):
        return [repeats for repeats, _ in self.asked]


def probes(noise):
    def make(repeat):
        draw = random.Random(repeat)
        return Function(lambda lr: sigmoid_fall(lr) + draw.gauss(0.0, noise))

    return make


@settings(max_examples=40, deadline=None)
@given(
    repeats=st.integers(1, 6),
    together=st.integers(1, 8),
    noise=st.sampled_from([0.0, 0.02, 0.3]),
    refine=st.booleans(),
)
def test_the_answer_does_not_depend_on_how_many_are_made_together(repeats, together, noise, refine):
    options = FindOptions(LADDER, repeats=repeats, refine=refine)
    sweeps = Together(probes(noise), together)
    assert find(sweeps, options) == find(probes(noise), options)
    assert all(asked.max_seconds is None for _, asked in sweeps.asked)


@settings(max_examples=20, deadline=None)
@given(repeats=st.integers(1, 5), together=st.integers(1, 6))
def test_a_ladder_is_lowered_alike_and_what_was_in_vain_counts(repeats, together):
    options = FindOptions(TOO_HIGH, repeats=repeats)
    one_by_one = find(probes(0.02), options)
    sweeps = Together(probes(0.02), together)
    result = find(sweeps, options)
    assert (result.suggestion, result.repeats) == (one_by_one.suggestion, one_by_one.repeats)
    assert result.notes == one_by_one.notes
    assert one_by_one.updates <= result.updates == sweeps.updates


def test_those_that_begin_together_may_each_take_the_time_that_is_left():
    now = iter(range(10**6))
    options = FindOptions(LADDER, repeats=5, max_seconds=10_000.0, clock=lambda: next(now))
    sweeps = Together(probes(0.02), 2)
    assert len(find(sweeps, options).repeats) == 5
    assert sweeps.repeats == [[0, 1], [2, 3], [4]]
    left = [asked.max_seconds for _, asked in sweeps.asked]
    assert sorted(left, reverse=True) == left
    assert left[-1] < left[0] <= 10_000.0


def test_no_more_are_begun_when_time_is_up():
    now = iter(range(10**6))
    options = FindOptions(LADDER, repeats=5, max_seconds=150.0, clock=lambda: next(now))
    sweeps = Together(probes(0.02), 2)
    result = find(sweeps, options)
    assert sweeps.repeats == [[0, 1]]
    assert len(result.repeats) == 2
    assert any("after 2 of 5" in note for note in result.notes)


def test_without_a_limit_all_that_is_left_is_asked_for_at_once():
    sweeps = Together(probes(0.02), 2)
    find(sweeps, FindOptions(LADDER, repeats=6))
    assert sweeps.repeats == [[0, 1], [2, 3, 4, 5]]


def test_one_by_one_is_how_probes_are_swept():
    made = []

    def make(repeat):
        made.append(repeat)
        return Quadratic()

    curves = OneByOne(make).sweep([2, 0], FindOptions(LADDER))
    assert made == [2, 0]
    assert curves[0] == curves[1]
