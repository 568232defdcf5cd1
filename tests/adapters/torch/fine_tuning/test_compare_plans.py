"""Plans are compared as schedules are: paired, each run made once, the test set read once."""

import json
import math
import os

import pytest
import torch
from adapters.torch.fine_tuning.plans import network
from adapters.torch.trials import maker
from adapters.zoo import WIDTH
from torch import nn

from stepsize.adapters.torch.fine_tuning.plans.compare_plans import compare_plans
from stepsize.adapters.torch.fine_tuning.plans.stored_transfer import transfer_result_of, worth
from stepsize.comparison import Watcher, rank
from stepsize.errors import StoreError
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.transfer_result import NO_SCRATCH, TransferResult
from stepsize.records import Comparison, Evaluation, Run
from stepsize.report.transfer_words import worth_text
from stepsize.store import Store

ALL = TransferPlan("all", (Phase("all", lr=0.02),))
STEPS = TransferPlan("steps", (Phase("head", 1, "head", lr=0.05), Phase("two", 1, 2, lr="find")))
SCRATCH = TransferPlan("fresh", (Phase("all", lr=0.02),), start="scratch")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)


class Seen(Watcher):
    """Remembers what was over and what was made."""

    def __init__(self):
        self.over, self.made = 0, []

    def planned(self, trials, over):
        self.over = over

    def ended(self, trial, run_id, status, error):
        self.made.append((trial.arm, trial.seed, status))


def compared(plans=(ALL, STEPS, SCRATCH), make=None, **options):
    known = {"epochs": 2, "seeds": (0, 1), "store": None, **options}
    return compare_plans(make or maker(network), plans, **known)


def test_plans_are_trained_ranked_and_tested_once(tmp_path):
    first, second = Seen(), Seen()
    store = tmp_path / "runs.db"
    result = compared(store=store, watchers=[first])
    again = compared(store=store, watchers=[second])
    arms = ("all", "steps", "fresh")
    assert first.over == 0
    assert sorted(first.made) == sorted((arm, seed, "finished") for arm in arms for seed in (0, 1))
    assert (second.over, second.made) == (6, [])
    assert again == result
    assert result.comparison.test["arm"] == result.comparison.best.arm
    assert result.comparison.test["reads"] == 1
    assert TransferResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    with Store(store) as opened:
        assert transfer_result_of(opened) == result
        runs = opened.runs()
    begun = {(run.definition["seed"], run.facts.get("initial_weights")) for run in runs}
    pretrained = {pair for pair in begun if pair[1] is not None}
    assert len(pretrained) == 2  # the two plans of a seed begin with the same weights
    fresh = {run.facts["scratch_weights"] for run in runs if "scratch_weights" in run.facts}
    assert len(fresh | {weights for _, weights in pretrained}) == 4
    assert not any("paired" in note for note in result.comparison.notes)


def test_what_the_runs_have_searched_is_their_arms_effort():
    result = compared(make=maker(network))
    rows = {row.arm: row for row in result.comparison.ranking}
    spent = [sum(d.search_updates for d in runs) for runs in result.decisions["steps"].values()]
    assert len(spent) == 2
    assert min(spent) > 50
    assert rows["steps"].effort == round(sum(spent) / 2)
    assert (rows["all"].effort, rows["all"].rates_from) == (None, "given")
    head, two = result.decisions["steps"][1]
    assert (head.peak, head.lr_from, two.trainable) == (0.05, "given", (2,))
    assert two.find is not None


def test_a_plan_joins_layer_groups_as_it_says():
    two = TransferPlan("two groups", (Phase("all", lr=0.02, ratios=10.0),), groups=2)
    result = compared((two,), scratch=False, seeds=0)
    assert result.groups.names == ("0", "4", "8")
    assert result.groups_of("two groups").names == ("0 … 4", "8")
    assert result.decisions["two groups"][0][0].ratios == pytest.approx((0.1, 1.0))
    assert result.worth is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"plans": (ALL, ALL)}, "Two plans are called 'all'"),
        ({"plans": (STEPS,), "epochs": 1}, "no room|take 2 epochs"),
        ({"rate_factors": (1.0, 3.0)}, "rate_factors"),
        ({"plans": ("fulll",)}, "Did you mean"),
        ({"metric": "val_nothing"}, "no metric"),
        ({"make": maker(network, "lbfgs")}, "LBFGS has a single parameter group"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_trained(options, said):
    seen = Seen()
    with pytest.raises(ValueError, match=said):
        compared(watchers=[seen], **options)
    assert seen.made == []


def lacking(first, frozen=False):
    """A task whose optimizer holds nothing before layer ``first``, frozen by the task or not."""

    def make(seed):
        task = maker(network)(seed)
        task.model[:first].requires_grad_(not frozen)
        held = task.model[first:].parameters()
        object.__setattr__(task, "optimizer", torch.optim.SGD(held, lr=0.02))
        return task

    return make


def test_an_optimizer_that_lacks_what_requires_gradients_is_told_first():
    """A plan would say that it trains, and it would not move."""
    for options in ({"make": lacking(4)}, {"make": maker(network), "scratch_task": lacking(4)}):
        seen = Seen()
        with pytest.raises(ValueError, match=r"not hold 0.weight.*1.bias .*requires_grad_\(False"):
            compared(watchers=[seen], **options)
        assert seen.made == []


def test_a_row_from_scratch_that_nobody_asked_for_is_left_out_where_it_cannot_be():
    """Layers that are frozen and not in the optimizer: the rest is compared, and it is said."""
    result = compared((ALL,), lacking(4, frozen=True), seeds=0)
    assert [plan.name for plan in result.plans] == ["all"]
    assert result.comparison.best.arm == "all"
    (note,) = (note for note in result.comparison.notes if note.startswith(NO_SCRATCH))
    assert "does not hold 0.weight" in note
    assert "scratch_task=make" in note
    assert worth_text(result) == f"{NO_SCRATCH} The notes say why, and what to do."
    assert TransferResult.from_dict(result.to_dict()) == result
    with pytest.raises(ValueError, match=r"does not hold 0.weight.*scratch_task=make"):
        compared((ALL, SCRATCH), lacking(4, frozen=True), seeds=0)


class Token(nn.Module):
    """A parameter of its own, that no reset_parameters knows of."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.ones(WIDTH))
        self.layers = nn.Sequential(nn.Linear(WIDTH, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x):
        return self.layers(x + self.token)


def test_weights_that_cannot_be_drawn_anew_are_told_first_with_the_way_out():
    seen, make = Seen(), maker(lambda seed: Token())
    with pytest.raises(ValueError, match=r"for token: .*scratch_task=make"):
        compared((ALL, SCRATCH), make, watchers=[seen])
    assert seen.made == []
    result = compared((ALL, SCRATCH), make, scratch_task=make, watchers=[seen])
    assert len(seen.made) == 4
    assert result.worth["difference"] == 0.0  # the same weights under the same plan
    assert result.worth["verdict"] == "not distinguishable"


# -- was it worth it? -----------------------------------------------------------------------------


def judged(losses, higher=False):
    """The verdict on final values by arm, of one seed each."""
    metric = "val_score" if higher else "val_loss"
    runs = tuple(
        Run(arm, arm, seed, "finished", 9, 9, (Evaluation(1, 9, {metric: value}),))
        for arm, values in losses.items()
        for seed, value in enumerate(values)
    )
    ranking = rank(runs, metric=metric, higher=higher)
    seeds = tuple(range(len(next(iter(losses.values())))))
    comparison = Comparison("task", 1, 9, seeds, metric, runs, ranking, higher)
    plans = tuple(
        TransferPlan(arm, (Phase("all"),), start="scratch" if "fresh" in arm else "pretrained")
        for arm in losses
    )
    return worth(comparison, plans)


CLOSE, FAR = (1.0, 1.01, 0.99, 1.02), (2.0, 2.02, 1.98, 2.01)


@pytest.mark.parametrize("higher", [False, True])
def test_the_best_plan_is_set_against_the_best_from_scratch(higher):
    sign = 1.0 if higher else -1.0
    better, worse = ({"a": CLOSE, "b": FAR}, {"fresh": CLOSE})
    found = (
        judged({**better, **worse}, higher)
        if higher
        else judged({"a": FAR, "b": CLOSE, "fresh": FAR})
    )
    assert (found["plan"], found["scratch"], found["verdict"]) == ("b", "fresh", "worth it")
    assert math.copysign(1.0, found["difference"]) == sign
    assert found["p"] <= 0.05
    low, high = found["ci95"]
    assert low <= found["difference"] <= high


def test_scratch_may_be_better_and_luck_is_not_called_merit():
    assert judged({"a": FAR, "fresh": CLOSE})["verdict"] == "not worth it"
    near = judged({"a": CLOSE, "fresh": (1.01, 0.99, 1.02, 1.0)})
    assert near["verdict"] == "not distinguishable"
    assert near["p"] > 0.05
    one = judged({"a": (1.0,), "fresh": (2.0,)})
    assert (one["p"], one["ci95"], one["verdict"]) == (None, None, "not distinguishable")
    assert judged({"a": CLOSE, "b": FAR}) is None


def test_a_comparison_of_schedules_is_not_taken_for_one_of_plans(tmp_path):
    from stepsize import compare

    compare("digits", ["constant(0.1)"], epochs=1, seeds=0, store=tmp_path / "runs.db")
    with Store(tmp_path / "runs.db") as store, pytest.raises(StoreError, match="no plans"):
        transfer_result_of(store)
