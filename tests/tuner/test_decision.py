"""From losses to a rate: cases made by hand."""

import contextlib
import copy
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tuner.landscapes import landscapes

from stepsize.records import Reading
from stepsize.tuner.decision import (
    AS_GOOD,
    CAP,
    SHRINKS,
    Decision,
    decide,
    lowest_diverged,
    lowest_of_the_best,
    stops_early,
)
from stepsize.tuner.plan import RacePlan
from stepsize.tuner.race import BudgetSpent, Race
from stepsize.tuner.rates import RateScale
from stepsize.tuner.search import search
from stepsize.tuner.seen import Seen

RUNGS = (10, 20, 40, 80)


def seen_of(level, after_decay=(), start=1.0):
    return Seen(start, 400, RUNGS, dict(level), dict(after_decay))


def test_without_a_loss_or_a_survivor_there_is_nothing_to_decide():
    assert decide(seen_of({}), 3) is None
    assert decide(seen_of({(0, 0): math.inf, (4, 0): math.inf}), 3) is None


@pytest.mark.parametrize(
    ("losses", "lowest"),
    [
        ({-2: 0.5, 0: 0.5, 2: 0.5}, -2),
        ({-2: 0.49 + 0.5 * AS_GOOD, 0: 0.5, 2: 0.49}, -2),
        ({-2: 0.5 + 0.55 * AS_GOOD, 0: 0.5}, 0),
        ({-2: math.inf, 0: 0.9, 2: math.inf}, 0),
        ({0: 1.5, -2: 1.4, -4: 1.45}, -2),  # nothing was gained: the best alone is good
    ],
)
def test_the_lowest_of_those_that_are_as_good(losses, lowest):
    assert lowest_of_the_best(losses, start=1.0) == lowest


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [
        (0.6, 0.6, 0.0),
        (0.64, 0.57, 1 / 3),  # the vertex of the parabola through (-2, .64), (0, .5), (2, .57)
        (0.57, 0.64, -1 / 3),
        (math.inf, 0.65, 0.0),  # beyond 0.65 nothing bends it more
        (0.55, 9.0, -0.5),
        (0.52, 9.0, -1 + 4 / 17),
    ],
)
def test_the_vertex_of_the_parabola(low, high, step):
    assert CAP == 0.3
    decision = decide(seen_of({(-2, 3): low, (0, 3): 0.5, (2, 3): high}), 3)
    assert decision == Decision(pytest.approx(step), 0, 3)


@pytest.mark.parametrize("ended_at", [0, 1, 2, 3])
def test_no_rate_at_or_above_one_that_diverged_is_recommended(ended_at):
    level = {(step, rung): 1.0 - 0.1 * rung for step in (-4, -2, 0) for rung in range(4)}
    level |= {(2, rung): 0.1 for rung in range(ended_at)} | {(2, ended_at): math.inf}
    assert lowest_diverged(seen_of(level)) == 2
    assert decide(seen_of(level), 3).step <= 1.0


def test_a_divergence_that_higher_rates_outlast_is_an_accident():
    level = {(-2, 1): math.inf, (0, 3): 0.5, (2, 3): 0.4}
    assert lowest_diverged(seen_of(level)) == math.inf
    assert decide(seen_of(level), 3).arm == 2


def test_where_every_rate_diverged_there_is_no_decision():
    assert decide(seen_of({(step, 0): math.inf for step in (-4, 0, 4)}), 3) is None


def test_a_plateau_is_not_the_end_of_progress():
    seen = seen_of({(0, 2): 0.5, (0, 3): 0.5}, {(0, 2): 0.4, (0, 3): 0.4})
    seen.train = {(0, rung): Reading(RUNGS[rung], 0.5, 0.5) for rung in (2, 3)}
    assert stops_early(seen, 3) is None


@given(
    st.floats(-0.9, 0.9), st.floats(0.01, 0.03), st.floats(-2, 0.5), st.sampled_from([1.0, 1e-4])
)
def test_the_vertex_of_a_parabola_is_found(vertex, bend, floor, scale):
    """The arm is the one in the middle as long as the others are worse by more than the margin."""
    level = {(step, 3): scale * (floor + bend * (step - vertex) ** 2) for step in (-2, 0, 2)}
    losses = {step: loss for (step, _), loss in level.items()}
    start = scale * (floor + 0.6)
    decision = decide(seen_of(level, start=start), 3)
    if lowest_of_the_best(losses, start) == 0 and max(losses.values()) < losses[0] + CAP * (
        start - losses[0]
    ):
        assert decision.step == pytest.approx(max(-1.0, min(1.0, vertex)), abs=1e-6)


def test_a_neighbour_that_was_left_behind_is_guessed_from_where_it_was():
    level = {(-2, 3): 0.6, (0, 3): 0.5, (0, 2): 0.55, (2, 2): 0.75, (0, 1): 0.7, (2, 1): 9.0}
    decision = decide(seen_of(level), 3)
    high = min(0.5 + SHRINKS * 0.2, 0.5 + CAP * 0.5)
    assert decision.step == pytest.approx(2 * 0.5 * (0.6 - high) / (0.6 - 1.0 + high))


@pytest.mark.parametrize("rung", [0, 1, 2, 3])
def test_each_rung_that_was_not_reached_takes_it_down_by_a_step(rung):
    level = {(step, rung): 0.5 + 0.05 * abs(step) for step in (-2, 0, 2)}
    assert decide(seen_of(level), 3) == Decision(pytest.approx(rung - 3), 0, rung)


@pytest.mark.parametrize(
    ("after_decay", "level", "early"),
    [
        ({(0, 2): 0.4, (0, 3): 0.4}, {(0, 3): 0.45}, 0),
        ({(0, 2): 0.4, (0, 3): 0.39}, {(0, 3): 0.45}, None),
        ({(0, 2): 0.4, (0, 3): 0.399}, {(0, 3): 0.45}, 0),  # only the training loss gains
        ({(0, 2): 0.4, (0, 3): 0.5}, {(0, 3): 0.45, (-2, 3): 0.37}, None),
        ({(0, 2): 0.4, (0, 3): 0.5, (-2, 3): 0.35}, {(0, 3): 0.45, (-2, 3): 0.41}, None),
        ({(0, 2): 0.4}, {(0, 3): 0.6}, None),  # it was not tried again
        ({}, {(0, 3): 0.6}, None),
    ],
)
def test_it_stops_early_only_if_nothing_was_better_later(after_decay, level, early):
    seen = seen_of({**level, (0, 2): 0.5}, after_decay)
    seen.train = {(0, rung): Reading(RUNGS[rung], 0.5, 0.5 - 0.02 * rung) for rung in range(4)}
    assert stops_early(seen, 3) == early
    decision = decide(seen, 3)
    assert decision.stop_at == (None if early is None else 2)
    if early is not None:
        assert (decision.step, decision.arm) == (0.0, 0)


def test_a_small_gain_of_both_losses_is_progress():
    seen = seen_of({(0, 2): 0.5, (0, 3): 0.5}, {(0, 2): 0.4, (0, 3): 0.399})
    seen.train = {(0, 2): Reading(40, 0.5, 0.401), (0, 3): Reading(80, 0.5, 0.4)}
    assert stops_early(seen, 3) is None


@pytest.mark.parametrize(("lower", "arm"), [(0.405, -2), (0.412, 0), (math.inf, 0)])
def test_cool_downs_of_two_arms_decide_between_them(lower, arm):
    level = {(-2, 3): 0.5, (0, 3): 0.6, (2, 2): 0.9, (0, 2): 0.7}
    seen = seen_of(level, {(0, 3): 0.4, (-2, 3): lower, (0, 2): 0.6})
    seen.train = {(0, rung): Reading(RUNGS[rung], 0.5, 0.5) for rung in range(4)}
    assert decide(seen, 3).arm == arm


@given(landscapes(), st.floats(0.3, 2.0))
@settings(max_examples=30)
def test_deciding_changes_nothing_and_depends_on_the_losses_alone(landscape, budget):
    plan = RacePlan.of(landscape.updates, budget, landscape.evaluation_updates)
    assume(plan.rungs)
    race = Race(landscape, plan, RateScale.of("other"))
    race.begin()
    with contextlib.suppress(BudgetSpent):
        search(race)
    before = copy.deepcopy(race.seen)
    spent = landscape.spent
    first, second = decide(race.seen, 3), decide(before, 3)
    assert first == second == decide(race.seen, 3)
    assert race.seen == before
    assert landscape.spent == spent
    reordered = copy.deepcopy(before)
    reordered.level = dict(reversed(before.level.items()))
    assert decide(reordered, 3) == first
