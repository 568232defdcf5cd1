"""Runs that are trained as one leave what each would have left alone."""

import contextlib
import math
import os
import signal

import pytest
import torch
from adapters.torch.trials import Outcome, batches, maker, run, trial_of
from adapters.zoo import mse
from torch import nn

from stepsize.adapters.torch import trials
from stepsize.adapters.torch.fused import Stack, evaluated
from stepsize.adapters.torch.fused import together as together_module
from stepsize.adapters.torch.fused.runs import train_together
from stepsize.adapters.torch.fused.together import TogetherTraining
from stepsize.comparison import Watcher, conduct
from stepsize.comparison.group import Together
from stepsize.errors import LeaseLostError
from stepsize.store import Store

RATES = ("cosine(0.02)", "constant(0.1)", "linear(0.005)")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """It takes most of the time, and no test here pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def together(folder, asked, **options):
    """Make the runs as one; what each has left."""
    with Store(folder) as store:
        ids = [store.add_run(trial.key, trial.definition()) for trial in asked]
        with contextlib.ExitStack() as stack:
            leases = [stack.enter_context(store.claim(run_id, {})) for run_id in ids]
            train_together(asked, leases, **options)
        return [Outcome(store, run_id) for run_id in ids]


def assert_near(fused, alone, tolerance=1e-4):
    """The same run, but for the last digits."""
    assert fused.stored.status == alone.stored.status
    near = pytest.approx
    assert [(n, lr) for n, lr, _ in fused.updates] == [(n, lr) for n, lr, _ in alone.updates]
    assert fused.losses == near(alone.losses, rel=tolerance, nan_ok=True)
    for ours, theirs in zip(fused.history, alone.history, strict=True):
        assert ours[:2] == theirs[:2]
        assert list(ours[2]) == list(theirs[2])
        assert ours[2] == near(theirs[2], rel=tolerance, abs=1e-6)
    fused.stored.facts.pop("engine", None)
    assert fused.stored.facts == alone.stored.facts
    assert list(fused.weights) == list(alone.weights)
    for name, values in fused.weights.items():
        torch.testing.assert_close(values, alone.weights[name], rtol=tolerance, atol=1e-6)
    assert not fused.checkpoint.exists()


@pytest.mark.parametrize(
    ("model", "optimizer", "loader"),
    [
        ("dropout", "sgd", "global"),
        ("dropout", "adamw", "noisy"),
        ("tied", "sgd", "python's"),
        ("batch norm", "sgd", "own generator"),
    ],
)
def test_each_run_is_what_it_would_be_alone(tmp_path, model, optimizer, loader):
    make = maker(model, optimizer, loader)
    asked = [trial_of(make, rate, seed) for seed in (0, 3) for rate in RATES]
    before = torch.get_rng_state()
    fused = together(tmp_path / "fused", asked)
    assert torch.equal(torch.get_rng_state(), before)
    for trial, outcome in zip(asked, fused, strict=True):
        assert_near(outcome, run(tmp_path / "alone", trial, every=3600.0))


def test_one_that_diverges_ends_and_the_others_go_on(tmp_path):
    make = maker(lambda seed: nn.Linear(6, 1))
    asked = [trial_of(make, rate, epochs=6) for rate in ("constant(1e30)", "constant(0.01)")]
    told = []
    fused = together(tmp_path / "fused", asked, over=told.append)
    alone = [run(tmp_path / "alone", trial, every=3600.0) for trial in asked]
    assert told == [0, 1]
    assert [outcome.stored.status for outcome in fused] == ["diverged", "finished"]
    assert len(fused[0].updates) == len(alone[0].updates) < len(fused[1].updates)
    assert fused[0].stored.error == alone[0].stored.error
    assert_near(fused[1], alone[1])


def stopping_at(update, own=TogetherTraining._update):
    """An update that sends Ctrl-C when it is the one of that number."""

    def stopping(self):
        own(self)
        if self.updates == update:
            os.kill(os.getpid(), signal.SIGINT)

    return stopping


@pytest.mark.parametrize("goes_on", ["fused", "alone"])
@pytest.mark.parametrize("update", [5, 8])
def test_stopped_by_control_c_it_goes_on_either_way(tmp_path, monkeypatch, goes_on, update):
    """After an epoch, and in the middle of one."""
    make = maker("dropout", "adamw", "global")
    asked = [trial_of(make, rate, seed) for seed in (0, 1) for rate in RATES]
    with monkeypatch.context() as patched:
        patched.setattr(TogetherTraining, "_update", stopping_at(update))
        with pytest.raises(KeyboardInterrupt):
            together(tmp_path / "runs", asked)
    with Store(tmp_path / "runs") as store:
        store.check()
        assert {stored.status for stored in store.runs()} == {"interrupted"}
    outcomes = (
        together(tmp_path / "runs", asked)
        if goes_on == "fused"
        else [run(tmp_path / "runs", trial, every=3600.0) for trial in asked]
    )
    for trial, outcome in zip(asked, outcomes, strict=True):
        assert len(outcome.resumed) == 1
        assert_near(outcome, run(tmp_path / "alone", trial, every=3600.0))


def test_what_was_made_alone_goes_on_with_the_others(tmp_path):
    asked = [trial_of(maker("batch norm"), rate) for rate in RATES]
    with Store(tmp_path) as store:
        run_id = store.add_run(asked[0].key, asked[0].definition())
        with (
            contextlib.suppress(KeyboardInterrupt),
            store.claim(run_id, {}) as lease,
        ):
            trials.train(asked[0], lease, watch=lambda e: os.kill(os.getpid(), signal.SIGINT))
    fused = together(tmp_path, asked)
    assert [len(outcome.resumed) for outcome in fused] == [1, 0, 0]
    for trial, outcome in zip(asked, fused, strict=True):
        assert_near(outcome, run(tmp_path / "alone", trial, every=3600.0))


def test_a_run_that_was_taken_over_leaves_and_the_others_go_on(tmp_path):
    asked = [trial_of(maker("batch norm"), rate) for rate in RATES]
    with Store(tmp_path) as store, Store(tmp_path) as other:
        ids = [store.add_run(trial.key, trial.definition()) for trial in asked]
        leases = [store.claim(run_id, {}) for run_id in ids]

        def take(place, evaluation):
            if (place, evaluation.epoch) == (2, 1):
                with other._database.writing() as connection:
                    connection.execute("UPDATE run SET token = 'x' WHERE id = ?", (ids[1],))

        train_together(asked, leases, watch=take)
        statuses = [store.read(run_id).status for run_id in ids]
        assert statuses == ["finished", "crashed", "finished"]  # nobody has that token
        with pytest.raises(LeaseLostError):
            leases[1].flush()


class Told(Watcher):
    """Keeps what it is told."""

    def __init__(self):
        self.ends = []

    def ended(self, trial, run_id, status, error):
        self.ends.append((trial.schedule(0), status))


def test_an_error_of_the_task_is_told_of_the_run_that_it_belongs_to(tmp_path):
    """It is raised for one seed alone; as one, the runs of all seeds stop."""

    class Breaking:
        def __init__(self, seed):
            self.seed, self.passes = seed, 0

        def __len__(self):
            return 5

        def __iter__(self):
            self.passes += 1
            if (self.seed, self.passes) == (1, 2):
                raise ValueError("no more")
            return iter(batches())

    make = maker("batch norm", train=Breaking)
    asked = [trial_of(make, "constant(0.01)", seed) for seed in (0, 1, 2)]
    told = Told()
    with Store(tmp_path) as store:
        ids = conduct(
            asked,
            store,
            trials.train,
            environment={},
            watcher=told,
            together=Together(lambda left: [left], train_together),
        )
        runs = [store.read(run_id) for run_id in ids]
        assert [each.status for each in runs] == ["finished", "failed", "finished"]
        assert "no more" in runs[1].error
        assert len(told.ends) == 3
    for place in (0, 2):
        whole = run(tmp_path / "alone", asked[place], every=3600.0)
        with Store(tmp_path) as store:
            assert Outcome(store, ids[place]).losses == whole.losses


def test_groups_are_made_each_once(tmp_path):
    asked = [trial_of(maker("batch norm"), rate) for rate in RATES]
    made = []

    def train_group(group, leases, *, watch, over):
        made.append(len(group))
        train_together(group, leases, watch=watch, over=over)

    with Store(tmp_path) as store:
        groups = Together(lambda left: [left[:2], left[2:]], train_group)
        ids = conduct(asked, store, trials.train, environment={}, together=groups)
        again = conduct(asked, store, trials.train, environment={}, together=groups)
        assert ids == again
        assert made == [2]  # one alone is made alone
        assert {store.status(run_id) for run_id in ids} == {"finished"}


def test_a_loss_that_is_not_finite_is_logged_as_alone(tmp_path):
    def val(seed):
        return [(x, y * math.nan) for x, y in batches(8, 2)]

    asked = [trial_of(maker("batch norm", val=val), rate) for rate in RATES[:2]]
    for outcome in together(tmp_path, asked):
        assert outcome.stored.status == "diverged"
        assert "validation" in outcome.stored.error


def test_seeds_whose_losses_differ_are_not_mixed(tmp_path):
    def loss(seed):
        return lambda model, batch: (1 + seed / 2) * mse(model, batch)

    make = maker("batch norm", loss=loss)
    asked = [trial_of(make, rate, seed) for seed in (0, 1) for rate in RATES]
    for trial, outcome in zip(asked, together(tmp_path / "fused", asked), strict=True):
        assert_near(outcome, run(tmp_path / "alone", trial, every=3600.0))


def test_who_looks_on_may_draw_random_numbers(tmp_path):
    asked = [trial_of(maker("dropout", loader="global"), rate) for rate in RATES]
    fused = together(tmp_path / "fused", asked, watch=lambda place, evaluation: torch.rand(3))
    for trial, outcome in zip(asked, fused, strict=True):
        assert_near(outcome, run(tmp_path / "alone", trial, every=3600.0))


def test_what_does_not_fit_is_made_in_halves(tmp_path, monkeypatch):
    sizes = []

    class Large:
        def __init__(self, streams, copies, *args, **options):
            sizes.append(len(copies))
            if len(copies) > 2:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes")
            self.stack = Stack(streams, copies, *args, **options)

        def __getattr__(self, name):
            return getattr(self.stack, name)

    monkeypatch.setattr(together_module, "Stack", Large)
    monkeypatch.setattr(
        together_module,
        "evaluated",
        lambda stack, *rest: evaluated(getattr(stack, "stack", stack), *rest),
    )
    asked = [trial_of(maker("batch norm"), f"constant({rate})") for rate in (0.1, 0.2, 0.3, 0.4)]
    with Store(tmp_path) as store:
        groups = Together(lambda left: [left], train_together)
        ids = conduct(asked, store, trials.train, environment={}, together=groups)
        assert {store.status(run_id) for run_id in ids} == {"finished"}
        assert {store.read(run_id).facts["engine"] for run_id in ids} == {"fused"}
    assert sizes == [4, 2, 2]
