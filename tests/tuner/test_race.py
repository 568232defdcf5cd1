"""The arms of a race: what they are trained under, what they cost, what becomes of them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuner.landscapes import CENTRE, Landscape, answer_of

from stepsize.records import FATES, STAGES
from stepsize.schedules import parse
from stepsize.tuner.entries import cooled, level_and_decay, trunk, warmed
from stepsize.tuner.plan import RacePlan
from stepsize.tuner.race import BudgetSpent, Race
from stepsize.tuner.rates import CENTRES, RateScale
from stepsize.tuner.search import search

rates = st.floats(1e-5, 10.0).map(lambda lr: float(f"{lr:.3g}"))


def race_of(landscape, budget=1.0):
    plan = RacePlan.of(landscape.updates, budget, landscape.evaluation_updates)
    race = Race(landscape, plan, RateScale.of("other"))
    race.begin()
    return race


# -- schedules and rates ------------------------------------------------------------------------


@given(rates, st.integers(30, 3000), st.data())
@settings(max_examples=30)
def test_a_cool_down_goes_on_from_what_the_arm_was_trained_under(lr, updates, data):
    done = data.draw(st.integers(1, math.floor(0.8 * updates)))
    length = max(1, round(0.25 * done))
    whole, forked = trunk(lr, updates), cooled(trunk(lr, updates), done, length)
    before = [forked(step) for step in range(done)]
    assert before == pytest.approx([whole(step) for step in range(done)], rel=1e-12)
    after = [forked(step) for step in range(done, updates)]
    assert after == sorted(after, reverse=True)
    assert set(after[length:]) <= {0.0}
    assert max(after) <= lr
    assert parse(str(forked)) == forked


@given(rates, st.integers(30, 3000), st.sampled_from(["linear", "cosine"]))
@settings(max_examples=30)
def test_what_is_recommended_is_what_was_raced(lr, updates, kind):
    recommended = parse(str(level_and_decay(lr))).resolve(updates)
    assert recommended == trunk(lr, updates)
    other = warmed(kind, lr)
    assert parse(str(other)) == other
    assert max(map(other.resolve(updates), range(updates))) == pytest.approx(lr, rel=0.01)


@given(st.sampled_from(sorted(CENTRES)), st.floats(-40, 40))
def test_the_scale_has_four_steps_in_a_decade(family, step):
    scale = RateScale.of(family)
    assert scale.step(scale.lr(step)) == pytest.approx(step, abs=0.02)
    assert scale.lr(step + 4) == pytest.approx(10 * scale.lr(step), rel=0.006)
    assert RateScale.of(family, 0.02).lr(0) == 0.02
    assert float(f"{scale.lr(step):.3g}") == scale.lr(step)


# -- training -----------------------------------------------------------------------------------


def test_a_loss_is_asked_for_once():
    landscape = Landscape()
    race = race_of(landscape)
    first = race.loss(0, 1)
    asked, spent = len(landscape.asked), landscape.spent
    assert race.loss(0, 1) == first
    assert race.decayed(0, 1) == race.decayed(0, 1) < first
    assert len(landscape.asked) == asked + 1
    assert landscape.spent == spent + race.plan.cool_down(1)


def test_an_arm_goes_on_after_its_cool_down_as_if_there_had_been_none():
    race, plain = race_of(Landscape()), race_of(Landscape())
    race.loss(0, 1)
    race.decayed(0, 1)
    assert race.loss(0, 2) == plain.loss(0, 2)
    assert race.trainer.spent == race.plan.rungs[2] + race.plan.cool_down(1)


def test_an_arm_that_diverged_is_not_asked_again():
    landscape = Landscape(limit=0.5, ends_after=150)
    race = race_of(landscape)
    assert math.isfinite(race.loss(4, 0))
    assert race.loss(4, 1) == race.loss(4, 2) == race.decayed(4, 2) == math.inf
    assert landscape.spent == 150
    (arm,) = race.arms(frozenset({4}))
    assert (arm.fate, arm.updates, len(arm.readings)) == ("diverged", 150, 2)


def test_an_arm_that_was_dropped_is_paid_for_anew():
    landscape = Landscape()
    race = race_of(landscape)
    race.loss(0, 1)
    race.drop(0)
    race.loss(0, 2)
    assert landscape.spent == race.plan.rungs[1] + race.plan.rungs[2]
    assert race.arms(frozenset())[0].updates == landscape.spent


@pytest.mark.parametrize("evaluation", [0.0, 7.0])
def test_it_stops_before_it_spends_too_much(evaluation):
    landscape = Landscape(evaluation_updates=evaluation)
    race = race_of(landscape)
    with pytest.raises(BudgetSpent):
        [race.loss(step, 0) for step in range(100)]
    assert race.plan.most - race.plan.rungs[0] - evaluation < race.cost <= race.plan.most
    assert race.cost == landscape.spent + evaluation * landscape.evaluations


@given(st.floats(-3, 3))
@settings(max_examples=15)
def test_few_arms_are_kept_in_memory(decades):
    """What is out of the race is dropped; and no fork is left."""
    landscape = Landscape(best=CENTRE * 10.0**decades)
    most = 0

    def watch(entry, reading):
        nonlocal most
        most = max(most, len(landscape.stands))

    answer_of(landscape, on_reading=watch)
    assert most <= 10
    assert len(landscape.stands) <= 5
    assert not any("chain" in str(entry.schedule) for entry in landscape.stands)


# -- the record ---------------------------------------------------------------------------------


def test_the_evidence_says_what_became_of_each_arm():
    answer = answer_of(Landscape(limit=1.3), 1.5, optimizers=("adamw",))
    assert {arm.fate for arm in answer.evidence} == set(FATES)
    assert {arm.stage for arm in answer.evidence} <= set(STAGES)
    races = [arm for arm in answer.evidence if arm.stage == "race"]
    kept = [arm for arm in races if arm.fate == "kept"]
    last = answer.settings["rungs"][-1]
    assert {arm.readings[-1].updates for arm in kept} == {last}
    for arm in races:
        assert (arm.fate == "diverged") == (arm.readings[-1].val_loss == math.inf)
        if arm.fate == "slower":
            assert arm.readings[-1].updates < last
    assert min(arm.lr for arm in kept) / 10 < answer.lr < max(arm.lr for arm in kept) * 10


def test_the_schedules_of_all_arms_are_those_of_the_whole_training():
    answer = answer_of(Landscape(), 2.0)
    for arm in answer.evidence:
        schedule = parse(arm.schedule).resolve(3200)
        made = arm.readings[-1].updates
        assert max(map(schedule, range(3200))) == pytest.approx(arm.lr, rel=0.01)
        if arm.stage == "schedule":
            assert schedule(made) == 0.0


def test_the_way_is_down_and_around_the_best():
    """The bracket a decade apart; then half a decade apart; each rung fewer arms."""
    race = race_of(Landscape(best=CENTRE))
    search(race)
    assert set(race.seen.at(0)) >= {-8, -4, 0, 4, 8}
    arms = [set(race.seen.at(rung)) for rung in range(4)]
    assert arms[1] == {-4, -2, 0}
    assert arms[2] == {-2, 0, 2}
    assert len(arms[3]) >= 2
    assert all(step % 2 == 0 for at in arms for step in at)


@pytest.mark.parametrize("decades", [-3, 3])
def test_the_bracket_grows_where_its_end_is_the_best(decades):
    race = race_of(Landscape(best=CENTRE * 10.0**decades))
    search(race)
    steps = sorted(race.seen.at(0))
    assert abs(4 * (abs(decades) + 1)) in (abs(steps[0]), abs(steps[-1]))
    assert {low - high for low, high in zip(steps[1:], steps, strict=False)} <= {2, 4}
