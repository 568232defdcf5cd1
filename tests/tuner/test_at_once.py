"""Arms that are trained at the same time: the answer and its price are those of one at a time."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuner.landscapes import CENTRE, Landscape, answer_of, landscapes, valleys

from stepsize.errors import InputError, TaskError
from stepsize.schedules import parse
from stepsize.tuner import OPTIMIZERS
from stepsize.tuner.options import OPTIMIZER_NAMES
from stepsize.tuner.parts import Part
from stepsize.tuner.plan import RacePlan
from stepsize.tuner.race import AVERAGING_UPDATES, BudgetSpent, Race
from stepsize.tuner.rates import RateScale
from stepsize.tuner.trainer import Entry

several = st.integers(2, 8)


def race_of(landscape, budget=1.0):
    plan = RacePlan.of(landscape.updates, budget, landscape.evaluation_updates)
    race = Race(landscape, plan, RateScale.of("other"))
    race.begin()
    return race


def check_alike(landscape, at_once, budget, **options):
    """One at a time and several at once: answer, evidence, accounts and what is left standing."""
    together = landscape.fresh(at_once=at_once)
    answer = answer_of(landscape, budget, **options)
    assert answer_of(together, budget, **options) == answer
    assert (together.spent, together.evaluations) == (landscape.spent, landscape.evaluations)
    key = [(str(entry), made) for entry, made in landscape.asked]
    assert sorted((str(entry), made) for entry, made in together.asked) == sorted(key)
    assert together.stands == landscape.stands
    begun = [
        (str(entry.schedule), OPTIMIZER_NAMES.get(entry.optimizer, ""))
        for entry, _ in landscape.asked
    ]
    order = [(arm.schedule, arm.optimizer) for arm in answer.evidence]
    assert order == list(dict.fromkeys(begun))
    return together


@given(
    landscapes(), several, st.floats(0.1, 5.0), st.lists(st.sampled_from(OPTIMIZERS), unique=True)
)
@settings(max_examples=60)
def test_the_same_answer_at_the_same_price(landscape, at_once, budget, optimizers):
    try:
        check_alike(landscape, at_once, budget, optimizers=tuple(optimizers))
    except InputError:
        assert landscape.spent == 0


@given(valleys(6.0), several, st.floats(0.05, 2.5), st.floats(0.0, 30.0))
@settings(max_examples=30)
def test_so_where_the_budget_ends_on_the_way(valley, at_once, budget, evaluation):
    """Far off, the bracket grows, and what is left is not enough for all rungs."""
    try:
        check_alike(valley.fresh(evaluation_updates=evaluation), at_once, budget)
    except InputError:
        return


def test_whole_brackets_are_asked_for_at_once():
    together = check_alike(Landscape(), 4, 2.0, optimizers=("adamw", "momo"))
    # Bracket; two rungs; last rung beside a cool-down, cool-downs; rivals, cool-downs of two.
    assert together.together[:4] == [5, 3, 3, 3]
    assert together.together[-2:] == [4, 2]
    assert sum(together.together) == len(together.asked)


@given(st.integers(1, 400), st.integers(1, 9), st.floats(0.0, 50.0), st.booleans())
@settings(max_examples=60)
def test_what_could_cost_too_much_is_not_begun(left, number, evaluation, diverges):
    """Arms that end early leave more for the next; nobody knows before."""
    valley = Landscape(
        evaluation_updates=evaluation, limit=-9.0 if diverges else math.inf, ends_after=3
    )
    seen = []
    for at_once in (1, 4):
        landscape = valley.fresh(at_once=at_once)
        race = race_of(landscape)
        race.limit = race.cost + left
        try:
            race.losses(range(number), 0)
        except BudgetSpent:
            assert race.cost + race.plan.rungs[0] + evaluation > race.limit
        assert race.cost <= race.limit + 1e-6
        seen.append((race.cost, race.seen.level, sorted(made for _, made in landscape.asked)))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("number", range(0, 18, 3))
@pytest.mark.parametrize("moment", ["in the middle", "as it is told"])
def test_ctrl_c_keeps_what_has_been_read(number, moment):
    told = []

    def on_reading(entry, reading):
        told.append((str(entry.schedule), reading.updates))
        if moment == "as it is told" and len(told) == number + 1:
            raise KeyboardInterrupt

    landscape = Landscape(limit=1.2, at_once=3)
    landscape.interrupt_at = number if moment == "in the middle" else None
    answer = answer_of(landscape, 2.0, on_reading=on_reading)
    assert answer.interrupted
    assert len(told) == number + (moment == "as it is told")
    assert sorted(told) == sorted(
        (arm.schedule, reading.updates) for arm in answer.evidence for reading in arm.readings
    )
    if number >= 8:
        assert answer.verdict == "ok"


def test_a_rival_that_cannot_be_trained_leaves_the_others():
    class Broken(Landscape):
        def advance(self, entry, updates):
            if entry.optimizer == "momo":
                raise TaskError("no such optimizer here")
            return super().advance(entry, updates)

    answer = answer_of(Broken(at_once=1), 2.0, optimizers=("adamw", "momo"))
    assert answer.verdict == "ok"
    assert {arm.optimizer for arm in answer.evidence} == {"", "AdamW"}
    assert [note for note in answer.notes if "no such optimizer here" in note]


def test_a_fork_begins_where_its_arm_stood_at_its_turn():
    """Although the arm goes on at the same time."""
    race, plain = race_of(Landscape(best=CENTRE, at_once=4)), race_of(Landscape(best=CENTRE))
    race.loss(0, 2)
    race.train([race.cool_down(0, 2), race.level(0, 3), race.cool_down(0, 3), race.level(-2, 3)])
    assert race.trainer.together == [1, 3, 1]
    plain.loss(0, 2)
    expected = plain.decayed(0, 2), plain.decayed(0, 3), plain.loss(-2, 3)
    assert (race.decayed(0, 2), race.decayed(0, 3), race.loss(-2, 3)) == expected
    assert race.cost == plain.cost


def test_what_was_made_is_not_made_again():
    race = race_of(Landscape(at_once=4))
    race.losses([0, 2], 1)
    race.train([race.level(0, 1), race.level(2, 1), race.cool_down(2, 1)])
    race.train([race.level(0, 1), race.cool_down(2, 1)])
    assert race.trainer.together == [2, 1]
    assert race.known(race.cool_down(0, 1)) is None
    assert race.known(race.cool_down(2, 1)) == race.decayed(2, 1)


def test_what_averaged_weights_may_cost_is_paid_beforehand():
    """Schedule-free's are judged after some forward passes, which count as updates."""
    race = race_of(Landscape(evaluation_updates=5.0))
    entry = Entry(parse("constant(0.1)", steps=3200), 0.1, "schedule_free")
    part = Part(entry, 100, "optimizer")
    race.limit = race.cost + 100 + 5.0 + AVERAGING_UPDATES - 1
    with pytest.raises(BudgetSpent):
        race.train([part])
    race.limit += 1
    race.train([part])
    assert race.known(part) is not None
