"""The rates of a phase: the optimizer's own ratios are kept, unless the plan says others."""

import os
from pathlib import Path

import pytest
import torch
from adapters.torch.fine_tuning.plans import network, plan_trial, run_plan, same
from adapters.torch.trials import maker, run, trial_of
from adapters.zoo import mse

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.fine_tuning.plans import phase_rates
from stepsize.adapters.torch.fine_tuning.plans.phase_start import LivingTask
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.records import Recommendation
from stepsize.records.recommendation import Cost
from stepsize.tuner.alternatives import alternatives

STEM, BODY, HEAD, SLOW = 0.0013, 0.07, 0.011, 0.0007


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)


def groups_of(model, rate=float):
    """Three rates for the layers' weights, and one for all vectors, whatever layer they are of."""
    slow = [p for p in model.parameters() if p.dim() == 1]
    layers = ((model[0], STEM), (model[4], BODY), (model[8], HEAD))
    return [
        {"params": slow, "lr": rate(SLOW)},
        *({"params": [layer.weight], "lr": rate(lr)} for layer, lr in layers),
    ]


def sgd(model):
    return torch.optim.SGD(groups_of(model), momentum=0.9)


def adam(model):
    return torch.optim.Adam(groups_of(model, torch.tensor), foreach=False)


def with_optimizer(make_optimizer, spied=None):
    def make(seed):
        task = maker(network, loader="global")(seed)
        object.__setattr__(task, "optimizer", make_optimizer(task.model))
        if spied is not None:
            task.optimizer.register_step_pre_hook(lambda optimizer, a, k: spied(optimizer))
        return task

    return make


@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_equal_leaves_the_optimizers_own_ratios_bit_for_bit(tmp_path, optimizer):
    """Between layers and within them: it is the training that ``compare`` makes."""
    seen = []
    make = with_optimizer(optimizer, lambda own: seen.append(every_rate(own)))
    plan = TransferPlan("all", (Phase("all", schedule="cosine(lr)", lr=0.03),))
    planned = run_plan(tmp_path / "plan", plan_trial(plan, 3, make), every=3600.0)
    trained = run(tmp_path / "run", trial_of(make, "cosine(0.03)"), every=3600.0)
    assert len(seen) == 30
    assert seen[:15] == seen[15:]
    assert planned.updates == trained.updates
    assert planned.history == trained.history
    assert same(planned.weights, trained.weights)
    (decision,) = planned.decisions
    assert decision["ratios"] == pytest.approx([STEM / BODY, 1.0, HEAD / BODY])
    assert decision["lr_from"] == "given; ratios between layer groups: the optimizer's own"


def every_rate(optimizer):
    """That of every parameter, in an order that does not depend on the groups."""
    groups = optimizer.param_groups
    return sorted((p.numel(), float(group["lr"])) for group in groups for p in group["params"])


def test_ratios_that_a_plan_gives_take_the_place_of_those_between_layers_alone(tmp_path):
    seen = []
    make = with_optimizer(sgd, lambda optimizer: seen.append(rates_of(optimizer)))
    phases = (
        Phase("factor", 1, schedule="constant(lr)", lr=0.5, ratios=10.0),
        Phase("own", 1, schedule="constant(lr)", lr="previous"),
        Phase("head", 1, "head", schedule="constant(lr)", lr=0.2),
    )
    outcome = run_plan(tmp_path, plan_trial(TransferPlan("mine", phases), 3, make), every=3600.0)
    factor, own, head = outcome.decisions
    assert factor["ratios"] == pytest.approx([0.01, 0.1, 1.0])
    assert factor["lr_from"] == "given; ratios between layer groups: the plan's"
    within = [SLOW / STEM, SLOW / BODY, SLOW / HEAD]
    expected = [[0.005, 0.05, 0.5], [0.5 * STEM / BODY, 0.5, 0.5 * HEAD / BODY]]
    for made, wanted in zip((seen[0], seen[5]), expected, strict=True):
        assert [weight for weight, _ in made] == pytest.approx(wanted)
        assert [slow / weight for weight, slow in made] == pytest.approx(within)
    assert own["ratios"] == pytest.approx([STEM / BODY, 1.0, HEAD / BODY])
    assert head["ratios"][-1] == 1.0  # of those that train the largest
    assert seen[10][-1] == pytest.approx((0.2, 0.2 * SLOW / HEAD))


def rates_of(optimizer):
    """Of each layer: that of its weight and that of its vectors."""
    found = {}
    for group in optimizer.param_groups:
        kind = 0 if group["params"][0].dim() == 2 else 1
        found.setdefault(group["layer_group"], [0.0, 0.0])[kind] = group["lr"]
    return [tuple(found[layer]) for layer in sorted(found)]


def test_of_the_groups_that_train_one_has_the_peak():
    """Also where one of them is frozen for good and the optimizer does not hold it."""

    def optimizer(model):
        model[4].requires_grad_(False)
        model[5].requires_grad_(False)
        stem, head = [*model[0].parameters(), *model[1].parameters()], model[8].parameters()
        return torch.optim.SGD([{"params": stem, "lr": 0.4}, {"params": head, "lr": 0.1}])

    plan = TransferPlan("all", (Phase("all", lr=0.1),))
    living = LivingTask(plan_trial(plan, make=with_optimizer(optimizer)), Recipe(), Path("none"))
    assert living.own_ratios(3) == pytest.approx((1.0, 1.0, 0.25))
    assert living.own_ratios(2)[-1] == living.own_ratios(1)[-1] == 1.0


class Counting:
    """A loss that keeps what its value depends on as plain attributes."""

    def __init__(self):
        self.calls, self.mean = 0, torch.zeros(())

    def __call__(self, model, batch):
        loss = mse(model, batch)
        if model.training:
            self.calls += 1
            self.mean = 0.9 * self.mean + 0.1 * loss.detach()
        return loss * (1.0 + self.calls / 100 + self.mean)


def test_a_test_on_activations_leaves_the_users_loss_as_it_was(tmp_path):
    """A rate that is found trains as the same rate given, also where the run was stopped."""

    def plan(lr):
        head = Phase("head", 2, "head", lr=lr, precompute=True)
        return TransferPlan("mine", (head, Phase("all", 1, lr=0.01)))

    make = maker(network, loss=lambda seed: Counting())
    found = run_plan(tmp_path / "found", plan_trial(plan("find"), 3, make), every=3600.0)
    peak = found.decisions[0]["peak"]
    assert found.decisions[0]["find"]["updates"] > 50
    assert "refused" not in found.decisions[0]["precomputed"]
    given = run_plan(tmp_path / "given", plan_trial(plan(peak), 3, make), (7, 12))
    assert given.updates == found.updates
    assert given.history == found.history


def test_a_race_of_another_schedule_is_carried_over_to_the_phases_own(tmp_path, monkeypatch):
    def tune(loaded, epochs, budget, **options):
        return Recommendation(
            "mine", epochs, 5, "ok", "", Cost(40, 2.4, 5), lr=0.01, schedule="wsd(0.01)",
            alternatives=alternatives(0.01),
        )  # fmt: skip

    monkeypatch.setattr(phase_rates, "tune", tune)
    plan = TransferPlan("mine", (Phase("all", 1, schedule="slanted_triangular(lr)", lr="tune"),))
    (decision,) = run_plan(tmp_path, plan_trial(plan, 1), every=3600.0).decisions
    assert decision["peak"] == pytest.approx(0.017)
    assert "slanted_triangular(0.017" in decision["schedule"]
    assert decision["lr_from"] == (
        "a race on the validation set (42 updates): wsd(0.01) raced; the peak for linear by it, "
        "expected"
    )
