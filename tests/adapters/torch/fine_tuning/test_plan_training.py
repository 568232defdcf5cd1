"""A plan is trained as it says, and a run that was stopped anywhere ends as one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from adapters.torch.fine_tuning.plans import (
    MIXED,
    UPDATES_PER_EPOCH,
    network,
    plan_trial,
    run_plan,
    same,
    weights_of,
)
from adapters.torch.trials import Own, maker, run, trial_of

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.fine_tuning.plans import phase_rates
from stepsize.adapters.torch.fine_tuning.plans.plan_training import PlanTraining
from stepsize.adapters.torch.fine_tuning.plans.train_plan import train_plan
from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.update import Update
from stepsize.fine_tuning.ceiling import ceiling
from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.records import Curve, Recommendation
from stepsize.records.recommendation import Cost
from stepsize.schedules import parse
from stepsize.store import Store


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)


class Large(Own):
    """Shuffles in place a tensor that is too large to be written down while it stays as it was."""

    def begin(self, seed):
        self.rows, self.generator = torch.arange(2000), torch.Generator().manual_seed(seed)

    def order(self):
        self.rows.copy_(self.rows[torch.randperm(2000, generator=self.generator)])
        return (self.rows[:5] % 5).tolist()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of the mixed plan that nothing stopped."""
    return run_plan(tmp_path_factory.mktemp("whole"), plan_trial(MIXED), every=3600.0)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "tensor rate"])
def test_a_plan_of_one_phase_is_the_training_that_compare_makes(tmp_path, optimizer):
    """Bit for bit, clipping included: the plan adds nothing of its own."""
    make = maker(network, optimizer, loader="global")
    recipe = Recipe(clip_norm=0.5)
    plan = TransferPlan("all", (Phase("all", schedule="cosine(lr)", lr=0.02),))
    planned = run_plan(tmp_path / "plan", plan_trial(plan, 3, make), every=3600.0, recipe=recipe)
    trained = run(tmp_path / "run", trial_of(make, "cosine(0.02)"), every=3600.0, recipe=recipe)
    assert planned.updates == trained.updates
    assert planned.history == trained.history
    assert same(planned.weights, trained.weights)


@pytest.mark.parametrize(
    ("loader", "optimizer"),
    [("noisy", "adamw"), ("large", "tensor rate")],
)
def test_a_plan_that_was_stopped_anywhere_ends_the_same(tmp_path, loader, optimizer):
    """In the first phase, at the ends of phases, between two thawings, late."""
    fields = {"train": Large} if loader == "large" else {"loader": loader}
    trial = plan_trial(MIXED, make=maker(network, optimizer, **fields))
    whole = run_plan(tmp_path / "whole", trial, every=3600.0)
    stops = (3, 8, 12, 20)
    stopped = run_plan(tmp_path / "stopped", trial, stops)
    stopped.assert_same(whole)
    assert whole.stored.status == "finished"
    assert len(whole.updates) == trial.updates == 25
    assert stopped.resumed == [f"after {stop} updates" for stop in stops]
    assert not stopped.checkpoint.exists()


def test_between_checkpoints_only_time_is_lost(tmp_path, whole):
    """There is one at the end of each phase, however long the others are put off."""
    trial = plan_trial(MIXED)
    stopped = run_plan(tmp_path / "stopped", trial, (3, 8, 12, 23), every=3600.0)
    stopped.assert_same(whole)
    assert stopped.resumed == ["after 5 updates", "after 10 updates", "after 20 updates"]


def test_the_phases_are_trained_as_the_plan_says(tmp_path):
    """What is frozen stays, statistics and all; rates are the schedules' at their ratios."""
    seen, made = [], []

    def spy(optimizer, args, kwargs):
        rates = [group["lr"] for group in optimizer.param_groups]
        flags = [all(p.requires_grad for p in group["params"]) for group in optimizer.param_groups]
        seen.append((rates, flags))

    def make(seed):
        task = maker(network)(seed)
        task.optimizer.register_step_pre_hook(spy)
        made.append((task.model, bodies(task.model)))
        return task

    plan = TransferPlan(
        "mine",
        (
            Phase("head", 1, "head", "cosine(lr)", lr=0.5),
            Phase("gradual", 2, "gradual", "linear(lr)", lr=0.1, ratios=10.0),
            Phase("two", 1, 2, "constant(lr)", lr="previous", ratios=(0.4, 0.1, 0.2)),
        ),
    )
    trial = plan_trial(plan, 4, make)
    frozen = []
    outcome = run_plan(
        tmp_path, trial, every=3600.0, watch=lambda e: frozen.append(bodies(made[-1][0]))
    )
    fresh = made[-1][1]
    assert all(same(fresh[i], frozen[0][i]) for i in (0, 1))  # behind the head
    assert same(fresh[0], frozen[1][0])
    assert not same(fresh[1], frozen[1][1])
    assert not same(frozen[1][0], frozen[2][0])
    assert same(frozen[2][0], frozen[3][0])
    schedule = parse("linear(0.1)").resolve(10)
    expected = [
        *[(parse("cosine(0.5)").resolve(5)(t), (1, 1, 1), 1) for t in range(5)],
        *[(schedule(t), (0.01, 0.1, 1), 2 + t // 5) for t in range(10)],
        *[(0.1, (1, 0.5, 1), 2)] * 5,
    ]
    assert len(seen) == len(expected) == 20
    for (rates, flags), (peak, ratios, count) in zip(seen, expected, strict=True):
        assert rates == pytest.approx([peak * ratio for ratio in ratios], rel=1e-12)
        assert flags == [False] * (3 - count) + [True] * count
    assert [lr for _, lr, _ in outcome.updates] == [peak for peak, _, _ in expected]
    assert [number for number, _, _ in outcome.updates] == list(range(20))
    assert [epoch for epoch, _, _ in outcome.history] == [1, 2, 3, 4]


def bodies(model):
    """The state of each of the three layers and its statistics."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    places = [("0.", "1."), ("4.", "5."), ("8.",)]
    return [{n: t for n, t in state.items() if n.startswith(which)} for which in places]


def test_phases_carry_everything_on(tmp_path, monkeypatch):
    """Two phases of one rate are one phase: momentum, random numbers, the loader's state, hooks."""
    make = maker(network, loader="noisy", loss="callable")
    schedule = {"schedule": "constant(lr)", "lr": 0.02}
    one = TransferPlan("one", (Phase("all", **schedule),))
    several = TransferPlan("more", tuple(Phase(name, 1, **schedule) for name in "abc"))
    hooks = []
    begin = PlanTraining._begin

    def spy(self, interrupts):
        hooks.append(len(self.task.optimizer._optimizer_step_post_hooks))
        begin(self, interrupts)

    monkeypatch.setattr(PlanTraining, "_begin", spy)
    whole, cut = (
        run_plan(tmp_path / plan.name, plan_trial(plan, 3, make), every=3600.0)
        for plan in (one, several)
    )
    assert cut.updates == whole.updates
    assert cut.history == whole.history
    assert same(cut.weights, whole.weights)
    assert cut.stored.facts["batches_of_phases"] == whole.stored.facts["batches_of_phases"]
    assert hooks == [0] * 4  # the scheduler of the phase before has let go


# -- decisions ------------------------------------------------------------------------------------


def test_rates_are_found_measured_and_carried_on(tmp_path):
    plan = TransferPlan(
        "searching",
        (
            Phase("find", 1, "head", lr="find"),
            Phase("measure", 1, 2, lr="find", ratios="measured"),
            Phase("carry on", 1, "all", lr="previous", ratios="measured"),
        ),
    )
    trial = plan_trial(plan, 3)
    whole = run_plan(tmp_path, trial, every=3600.0)
    found, measured, carried = map(PhaseDecision.from_dict, whole.decisions)
    assert found.find.lr == found.peak or found.find.verdict != "ok"
    assert len(measured.layer_tests.names) == 2  # of the groups that it trains
    if measured.layer_tests.rates is not None:
        assert measured.peak == measured.layer_tests.rates.peak
        assert measured.ratios[1:] == measured.layer_tests.rates.ratios
    assert carried.peak == measured.peak
    assert len(carried.layer_tests.names) == 3
    spent = [each.search_updates for each in (found, measured, carried)]
    assert whole.stored.facts["search_updates"] == sum(spent)
    assert spent[1] >= measured.layer_tests.updates > 0


def test_a_race_begins_where_the_phase_does(tmp_path, monkeypatch):
    """Same weights, statistics and momentum, the same layers frozen, and nothing shared."""
    living, raced = [], []
    begin = PlanTraining._begin

    def spy(self, interrupts):
        living[:] = [self.task]
        begin(self, interrupts)

    def tune(loaded, epochs, budget, **options):
        one, other = (made_task(loaded, 5, "raced") for _ in range(2))
        for name, tensor in one.model.state_dict().items():
            assert torch.equal(tensor, living[0].model.state_dict()[name]), name
        for mine, theirs in zip(*(task.model.parameters() for task in (one, living[0]))):  # noqa: B905
            assert mine.requires_grad == theirs.requires_grad
            first, second = one.optimizer.state.get(mine), living[0].optimizer.state.get(theirs)
            assert same(first, second)
        for task in (one, other):
            Update(task.model, task.optimizer, task.loss, Batches(task.train), Recipe())()
        assert not same(weights_of(one.model), weights_of(living[0].model))
        raced.append((epochs, budget, options["seed"]))
        return Recommendation(
            "mine", epochs, 5, "ok", "", Cost(40, 2.4, 5), lr=0.03, schedule="constant(0.03)"
        )

    monkeypatch.setattr(PlanTraining, "_begin", spy)
    monkeypatch.setattr(phase_rates, "tune", tune)
    phases = (Phase("first", 1, lr=0.01), Phase("second", 1, 2, lr="tune", budget=3.0))
    outcome = run_plan(tmp_path, plan_trial(TransferPlan("mine", phases), 2), every=3600.0)
    assert raced == [(1, 3.0, 0)]
    assert outcome.decisions[1]["peak"] == 0.03
    assert outcome.decisions[1]["search_updates"] == 42


class Abstained:
    """What a range test gives that finds nothing."""

    lr, verdict, reason = None, "flat", "It never falls."
    updates = 7
    curve = Curve((0.001, 0.01), (1.0, 1.0))


class Rising(Abstained):
    """What one gives that finds no fall, and a rate that does harm."""

    rates = tuple(10.0 ** (i / 10 - 5) for i in range(60))
    losses = tuple(2.0 + 0.01 * (-1) ** i + (lr / 0.1) ** 2 for i, lr in enumerate(rates))
    curve = Curve(rates, losses, stop="rise")


@pytest.mark.parametrize("own", [0.01, 0.0])
def test_where_the_test_abstains_a_rate_is_taken_from_elsewhere(tmp_path, monkeypatch, own):
    """The optimizer's own at first, later a share of the peak before; never in silence."""
    monkeypatch.setattr(phase_rates, "find_common", lambda *a, **k: Abstained())
    monkeypatch.setattr(phase_rates, "thin", lambda find: None)
    phases = (Phase("first", 1, "head"), Phase("second", 1, otherwise=0.25))
    trial = plan_trial(TransferPlan("mine", phases), 2, with_rate(own))
    if own == 0.0:
        with pytest.raises(ValueError, match=r"'first'.*abstained.*lr=0.01"):
            run_plan(tmp_path, trial, every=3600.0)
        return
    first, second = run_plan(tmp_path, trial, every=3600.0).decisions
    assert (first["peak"], second["peak"]) == (own, 0.25 * own)
    assert all("abstained (flat)" in each["lr_from"] for each in (first, second))
    assert second["search_updates"] == 7


def test_where_the_test_only_shows_what_is_too_high_the_peak_stays_well_below(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(phase_rates, "find_common", lambda *a, **k: Rising())
    monkeypatch.setattr(phase_rates, "thin", lambda find: None)
    trial = plan_trial(TransferPlan("mine", (Phase("first", 1, "head"),)), 1, with_rate(0.5))
    (first,) = run_plan(tmp_path, trial, every=3600.0).decisions
    assert first["peak"] == pytest.approx(0.1 * ceiling(Rising.curve))
    assert 0.0003 < first["peak"] < 0.01
    assert "abstained (flat)" in first["lr_from"]


def with_rate(rate):
    def make(seed):
        task = maker(network)(seed)
        for group in task.optimizer.param_groups:
            group["lr"] = rate
        return task

    return make


def test_a_phase_that_cannot_be_precomputed_trains_through_the_body(tmp_path):
    """Frozen statistics that go on moving are refused, said, and not tried again on resuming."""
    plan = TransferPlan(
        "mine", (Phase("head", 2, "head", lr=0.05, precompute=True, frozen="train"),)
    )
    trial = plan_trial(plan, 2)
    whole = run_plan(tmp_path / "whole", trial, every=3600.0)
    assert whole.decisions[0]["precomputed"]["refused"]
    run_plan(tmp_path / "stopped", trial, (7,)).assert_same(whole)


# -- ends -----------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from adapters.torch.fine_tuning import plans
from adapters.torch.trials import Stopping
from stepsize.adapters.torch.fine_tuning.plans import phase_rates
import torch
torch.set_num_threads(1)
trial = plans.plan_trial(plans.MIXED)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def attempt(update=None, tested=None):
    class Dying(Stopping):
        def log(self, number, lr, loss):
            self._lease.log(number, lr, loss)
            if number == update:
                die()
    def find_common(model, optimizer, loss, loader, groups, **options):
        def dying(*given, left=[tested or 0]):
            left[0] -= 1
            return die() if left[0] == 0 else loss(*given)
        return find(model, optimizer, dying, loader, groups, **options)
    find, phase_rates.find_common = phase_rates.find_common, find_common
    with plans.Store({folder!r}) as store:
        run_id = store.add_run(trial.key, trial.definition())
        with store.claim(run_id, {{}}) as lease:
            plans.train_plan(trial, Dying(lease, None, None), checkpoint_seconds=0)

for how in ({{"update": 7}}, {{"tested": 30}}, {{"update": 13}}):
    child = os.fork()
    if not child:
        attempt(**how)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, how
"""


def test_a_plan_that_was_killed_again_and_again(tmp_path, whole):
    """kill -9 between updates, at the ends of phases and inside a range test."""
    trial = plan_trial(MIXED)
    code = KILLED.format(tests=str(Path(__file__).parents[3]), folder=str(tmp_path / "killed"))
    subprocess.run([sys.executable, "-c", code], check=True)
    after = run_plan(tmp_path / "killed", trial, every=3600.0)
    after.assert_same(whole)
    assert after.resumed == ["after 7 updates", "after 10 updates", "after 13 updates"]


def test_ctrl_c_in_a_range_test_acts_at_once_and_costs_that_test_alone(
    tmp_path, monkeypatch, whole
):
    trial = plan_trial(MIXED)
    find, handler = phase_rates.find_common, signal.getsignal(signal.SIGINT)

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it did not act")

    with Store(tmp_path / "store") as store:
        lease = store.claim(store.add_run(trial.key, trial.definition()), {})
        monkeypatch.setattr(phase_rates, "find_common", interrupted)
        with lease, pytest.raises(KeyboardInterrupt):
            train_plan(trial, lease)
        assert store.status(lease.run_id) == "interrupted"
        assert store.read(lease.run_id).done == 2 * UPDATES_PER_EPOCH
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.setattr(phase_rates, "find_common", find)
    after = run_plan(tmp_path / "store", trial, every=3600.0)
    after.assert_same(whole)
    assert after.resumed == ["after 10 updates"]


def test_a_loss_that_is_not_finite_ends_the_plan_as_diverged(tmp_path):
    phases = (Phase("head", 1, "head", lr=0.01), Phase("all", 1, schedule="constant(lr)", lr=1e30))
    outcome = run_plan(tmp_path, plan_trial(TransferPlan("mine", phases), 2), every=3600.0)
    assert outcome.stored.status == "diverged"
    assert len(outcome.decisions) == 2
    assert outcome.weights == {}
