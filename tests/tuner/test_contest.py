"""Other schedules and other optimizers: they win only if they are clearly better."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuner.landscapes import Landscape, answer_of

from stepsize.schedules import parse
from stepsize.tuner import OPTIMIZERS
from stepsize.tuner.alternatives import PEAKS
from stepsize.tuner.plan import SCHEDULES_FROM


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_schedule_that_is_clearly_better_is_recommended(kind):
    usual = answer_of(Landscape(), 2.0)
    answer = answer_of(Landscape(better={kind: 0.05}), 2.0)
    assert answer.schedule == f"warmup({kind}({answer.lr:g}))"
    assert answer.lr == pytest.approx(PEAKS[kind] * usual.lr, rel=0.1)
    low, high = answer.interval
    assert low < answer.lr < high
    better, plain = (each.expected["val_loss"] for each in (answer, usual))
    assert better["mean"] < plain["mean"]
    widths = [each["ci95"][1] - each["ci95"][0] for each in (better, plain)]
    assert widths[0] == pytest.approx(widths[1], rel=0.2)


def test_it_is_not_tried_where_the_budget_is_small():
    landscape = Landscape(better={"linear": 0.05})
    answer = answer_of(landscape, SCHEDULES_FROM - 0.01)
    assert "linear" not in answer.schedule
    assert not any("linear" in arm.schedule for arm in answer.evidence)


@pytest.mark.parametrize(("better", "wins"), [(0.1, True), (-0.05, False), (-1.0, False)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_another_optimizer_wins_if_it_is_clearly_better(name, better, wins):
    landscape = Landscape(better={name: better})
    answer = answer_of(landscape, optimizers=(name,))
    assert bool(answer.optimizer) == wins
    arms = [arm for arm in answer.evidence if arm.stage == "optimizer"]
    assert arms
    assert all(arm.optimizer for arm in arms)
    if wins:
        assert answer.lr == arms[0].lr
        peak = parse(answer.schedule).resolve(3200)
        assert max(map(peak, range(3200))) == answer.lr


def test_a_little_better_is_luck():
    """Half a percent of the gain: nothing is changed by it."""
    usual = answer_of(Landscape(better={"linear": -0.2, "cosine": -0.2}), 2.0)
    for better in (-0.05, 0.0):
        answer = answer_of(Landscape(better={"linear": better, "cosine": -0.2}), 2.0)
        assert answer.schedule == usual.schedule


def test_the_best_of_several_wins():
    answer = answer_of(
        Landscape(better={"adamw": 0.1, "momo": 0.2, "linear": 0.05}), 2.0, optimizers=OPTIMIZERS
    )
    assert "MoMo" in answer.optimizer
    assert {arm.optimizer for arm in answer.evidence} >= {""}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_another_optimizer_that_diverges_loses(name):
    class Delicate(Landscape):
        def ends(self, entry):
            return 20 if entry.optimizer else math.inf

    answer = answer_of(Delicate(better={name: 0.5}), optimizers=(name,))
    assert (answer.verdict, answer.optimizer) == ("ok", "")
    assert [arm.fate for arm in answer.evidence if arm.optimizer] == ["diverged"]


@given(st.floats(1e-6, 1e6), st.floats(-10, 10), st.sampled_from(OPTIMIZERS))
@settings(max_examples=10)
def test_what_clearly_means_is_a_share_of_the_gain(scale, offset, name):
    for better in (0.0, 0.1):
        landscape = Landscape(better={name: better, "linear": better}, scale=scale, offset=offset)
        plain = landscape.fresh(scale=1.0, offset=0.0)
        answers = [answer_of(each, 2.0, optimizers=(name,)) for each in (landscape, plain)]
        assert answers[0].optimizer == answers[1].optimizer


def test_other_schedules_are_not_tried_where_training_on_does_harm():
    """The one that decays early is recommended; another optimizer may still be better."""
    landscape = Landscape(overfits_after=300)
    answer = answer_of(landscape, 2.0, optimizers=("adamw",))
    assert "chain" in answer.schedule
    assert not any("linear" in arm.schedule for arm in answer.evidence)
    assert any(arm.optimizer for arm in answer.evidence)
