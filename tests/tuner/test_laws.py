"""What holds for every recommendation, whatever the losses look like."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuner.landscapes import CENTRE, Landscape, answer_of, decades_off, landscapes, valleys

from stepsize.errors import InputError
from stepsize.records import Recommendation
from stepsize.schedules import parse
from stepsize.tuner import OPTIMIZERS

budgets = st.floats(0.1, 5.0)
few = settings(max_examples=30)


def answer_or_none(landscape, budget, **options):
    """None where the budget is too small for so short a training."""
    try:
        return answer_of(landscape, budget, **options)
    except InputError:
        assert landscape.spent == landscape.evaluations == 0
        return None


@given(landscapes(), budgets, st.lists(st.sampled_from(OPTIMIZERS), unique=True))
@settings(max_examples=60)
def test_it_never_costs_more_than_the_budget(landscape, budget, optimizers):
    answer = answer_or_none(landscape, budget, optimizers=tuple(optimizers))
    if answer is None:
        return
    spent = landscape.spent + landscape.evaluations * landscape.evaluation_updates
    assert spent <= budget * landscape.updates + 1e-3
    assert answer.cost.ratio == pytest.approx(spent / landscape.updates)
    assert sum(arm.updates for arm in answer.evidence) == answer.cost.updates == landscape.spent
    read = [reading for arm in answer.evidence for reading in arm.readings]
    assert len(read) == len(landscape.asked)


@given(landscapes(), budgets)
@settings(max_examples=60)
def test_every_answer_is_whole(landscape, budget):
    """It can be written and read again, and all its schedules can be used."""
    answer = answer_or_none(landscape, budget)
    if answer is None:
        return
    text = json.dumps(answer.to_dict(), allow_nan=False)
    assert Recommendation.from_dict(json.loads(text)) == answer
    assert answer.updates == landscape.updates
    texts = [each.schedule for each in answer.alternatives]
    if answer.verdict == "ok":
        texts.append(answer.schedule)
        low, high = answer.interval
        assert 0.0 < low < answer.lr < high < math.inf
        for expected in answer.expected.values():
            assert expected["ci95"][0] <= expected["mean"] <= expected["ci95"][1]
        assert answer.sensitivity is None or 0.0 <= answer.sensitivity <= 1.0
    for text in texts:
        schedule = parse(text).resolve(landscape.updates, landscape.updates_per_epoch)
        assert schedule.length in (None, landscape.updates)


@given(valleys(), st.floats(1.0, 3.0))
@few
def test_it_finds_the_optimum_of_a_clean_valley(valley, budget):
    answer = answer_of(valley, budget)
    assert answer.verdict == "ok"
    assert decades_off(answer, valley) <= 0.5
    schedule = parse(answer.schedule).resolve(valley.updates)
    assert max(map(schedule, range(valley.updates))) == answer.lr


@given(valleys(decades=2.0), st.floats(0.3, 1.0))
@few
def test_so_it_does_with_a_small_budget(valley, budget):
    assert decades_off(answer_of(valley, budget), valley) <= 0.5


@given(valleys(), st.floats(-8, 8))
@few
def test_a_rate_to_begin_around_moves_only_the_place_where_it_begins(valley, decades):
    """However far off everything is, the answer is that of the same valley at the centre.

    But for rates between two arms that are as good: the rounding of their digits decides.
    """
    here = answer_of(valley)
    there = valley.fresh(best=valley.best * 10.0**decades)
    moved = answer_of(there, around=CENTRE * 10.0**decades)
    assert abs(math.log10(moved.lr / here.lr) - decades) <= 0.25


@given(
    landscapes(),
    budgets,
    st.sampled_from([1.0, 2.0**-20, 2.0**20]),
    st.sampled_from([0.0, -7.0, 1000.0]),
)
@few
def test_neither_a_constant_nor_a_factor_of_the_losses_changes_the_answer(
    landscape, budget, scale, offset
):
    plain = landscape.fresh(scale=1.0, offset=0.0)
    answer = answer_or_none(plain, budget)
    if answer is None:
        return
    other = answer_of(plain.fresh(scale=scale, offset=offset * scale), budget)
    assert other.verdict == answer.verdict
    if answer.verdict == "ok":  # where all is flat, rounding decides which way the bracket goes
        assert other.cost == answer.cost
    assert other.lr == (answer.lr and pytest.approx(answer.lr, rel=0.01))
    assert other.sensitivity == (answer.sensitivity and pytest.approx(answer.sensitivity, abs=1e-6))
    if answer.expected and answer.expected["val_loss"]["ci95"][0] > 0.0:  # not held at zero
        mean, moved = (each.expected["val_loss"]["mean"] for each in (answer, other))
        assert moved == pytest.approx(scale * (mean + offset), rel=1e-6, abs=1e-6 * scale)


@given(landscapes(), budgets, st.integers(0, 3))
@few
def test_the_same_seed_gives_the_same_answer(landscape, budget, seed):
    answer = answer_or_none(landscape, budget, seed=seed)
    again = landscape.fresh()
    assert answer_or_none(again, budget, seed=seed) == answer
    assert again.asked == landscape.asked
    assert {entry.seed for entry, _ in again.asked} <= {seed}


def test_the_seed_is_what_all_arms_are_trained_from():
    answer = answer_of(Landscape(noise=0.02), 1.5, seed=3, optimizers=("adamw",))
    assert {arm.seed for arm in answer.evidence} == {3}
    assert answer.settings["seed"] == 3
    assert replace(answer, seconds=0.0) == answer_of(
        Landscape(noise=0.02), 1.5, seed=3, optimizers=("adamw",)
    )


@given(landscapes(), budgets)
@few
def test_an_arm_is_trained_on_from_where_it_was_left(landscape, budget):
    """No reading is of fewer updates than the one before, and what lives is not trained twice."""
    answer = answer_or_none(landscape, budget)
    for arm in answer.evidence if answer else ():
        made = [reading.updates for reading in arm.readings]
        assert made == sorted(set(made))
        assert arm.updates <= made[-1] or landscape.ends_after <= made[-1]


@given(landscapes(), budgets)
@few
def test_every_reading_is_told_once_as_it_is_made(landscape, budget):
    told = []
    answer = answer_or_none(
        landscape, budget, on_reading=lambda entry, reading: told.append((entry, reading))
    )
    assert [(entry, reading.updates) for entry, reading in told] == landscape.asked
    if answer is not None:
        assert {str(entry.schedule) for entry, _ in told} == {a.schedule for a in answer.evidence}
        assert answer == answer_of(landscape.fresh(), budget)
