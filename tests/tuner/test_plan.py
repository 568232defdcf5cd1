"""How a budget is spent: the rungs, and what they leave for the rest."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuner.landscapes import Landscape, answer_of

from stepsize.errors import InputError
from stepsize.tuner import OPTIMIZERS
from stepsize.tuner.options import OPTIMIZER_NAMES
from stepsize.tuner.plan import LAST_RUNG, LEAST_UPDATES, SCHEDULES_FROM, RacePlan

lengths = st.integers(1, 100_000)
shares = st.floats(0.0, 0.01)


@given(lengths, st.floats(0.05, 10.0), shares, st.integers(0, 3))
def test_each_rung_is_twice_the_one_before_and_the_last_leaves_room_for_its_decay(
    updates, budget, share, optimizers
):
    plan = RacePlan.of(updates, budget, share * updates, optimizers)
    assert plan.most == budget * updates
    if not plan.rungs:
        return
    first, *others = plan.rungs
    assert first >= LEAST_UPDATES
    for before, rung in zip(plan.rungs, others, strict=False):
        assert 0 <= rung - 2 * before <= 1
    assert plan.rungs[-1] <= LAST_RUNG * updates
    for rung, done in enumerate(plan.rungs):
        assert 1 <= plan.cool_down(rung) <= done
        assert done + plan.cool_down(rung) <= updates


@given(lengths, shares)
def test_more_budget_never_buys_less(updates, share):
    """What pays for a race pays for one with a larger budget too."""
    plans = [RacePlan.of(updates, budget, share * updates) for budget in (0.3, 1, 1.4, 1.5, 2, 3)]
    paid = [bool(plan.rungs) for plan in plans]
    assert paid == sorted(paid)
    races = [plan.rungs for plan in plans[:3]]
    assert races == sorted(races)


@pytest.mark.parametrize("budget", [0.3, 1.0, 1.5, 2.0, 3.0, 10.0])
def test_budgets(budget):
    landscape = Landscape(updates=3200)
    answer = answer_of(landscape, budget)
    stages = {arm.stage for arm in answer.evidence}
    kinds = {arm.schedule.split("(")[1] for arm in answer.evidence if arm.stage == "schedule"}
    assert answer.verdict == "ok"
    assert stages >= {"race", "cool_down"}
    assert kinds == ({"linear", "cosine"} if budget >= SCHEDULES_FROM else set())
    # Nothing is gained by arms that are longer than the training itself.
    assert 0.8 * min(budget, 2.5) <= answer.cost.ratio <= budget
    assert answer.settings["rungs"][-1] <= 0.8 * 3200


@pytest.mark.parametrize("optimizers", [(), ("adamw",), OPTIMIZERS])
@pytest.mark.parametrize("budget", [0.5, 1.0, 1.5])
def test_other_optimizers_have_their_share(budget, optimizers):
    landscape = Landscape(updates=20_000, evaluation_updates=10.0)
    answer = answer_of(landscape, budget, optimizers=optimizers)
    names = [OPTIMIZER_NAMES[name] for name in optimizers]
    assert {arm.optimizer for arm in answer.evidence} == {"", *names}
    assert not answer.notes
    for name in names:
        updates = sum(arm.updates for arm in answer.evidence if arm.optimizer == name)
        assert updates == pytest.approx(1.25 * answer.settings["rungs"][-1], abs=1)


@settings(max_examples=50)
@given(
    lengths,
    st.floats(0.01, 3.0),
    shares,
    st.lists(st.sampled_from(OPTIMIZERS), unique=True).map(tuple),
)
def test_the_way_out_of_too_small_a_budget_works(updates, budget, share, optimizers):
    def tune(budget, updates=updates):
        landscape = Landscape(updates=updates, evaluation_updates=share * updates)
        return answer_of(landscape, budget, optimizers=optimizers)

    if RacePlan.of(updates, budget, share * updates, len(optimizers)).rungs:
        tune(budget)
        return
    with pytest.raises(InputError) as refused:
        tune(budget)
    said = re.search(r"a budget of at least ([\d.e+-]+)", str(refused.value))
    if said is None:
        assert not RacePlan.of(updates, 1000.0, share * updates).rungs
        tune(budget=3.0, updates=500)
    else:
        assert float(said[1]) > budget
        tune(float(said[1]))


def test_one_other_name_of_an_optimizer_is_one_optimizer():
    plans = [
        answer_of(Landscape(), optimizers=names).settings["rungs"]
        for names in (("adamw",), ("adamw", "adamw"))
    ]
    assert plans[0] == plans[1]
