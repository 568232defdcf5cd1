"""Objectives, ladders, caps and extension: what is measured, how often and where."""

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import data, mse, training
from torch import nn

from stepsize.adapters.torch import find_lr
from stepsize.errors import InputError
from stepsize.rangetest import Geometric, Segments

RATES = [1e-3, 1e-2, 1e-1]


def find(run, loss_fn=mse, **options):
    options = {"ladder": RATES, "repeats": 1, "stop": "never", **options}
    return find_lr(run.model, run.optimizer, loss_fn, run.loader, **options)


def weights(model):
    return [p.tolist() for p in model.parameters()]


@pytest.mark.parametrize("updates", [1, 2])
def test_equal_start_judges_every_rate_from_the_same_weights_and_batches(updates):
    run, seen = training("dropout", "adam"), []

    def loss_fn(model, batch):
        seen.append((weights(model), batch[0].tolist(), torch.get_rng_state().tolist()))
        return mse(model, batch)

    start = weights(run.model)
    ladder = Geometric(1e-3, 1e-1, rates=3, updates_per_rate=updates)
    result = find(run, loss_fn, equal_start=True, ladder=ladder, extend_decades=0)
    steps = updates + 1
    turns = [seen[i : i + steps] for i in range(0, len(seen), steps)]
    assert len(turns) == 3
    assert [turn[0] for turn in turns] == [turns[0][0]] * 3
    assert turns[0][0][0] == start
    assert all([b for _, b, _ in turn] == [b for _, b, _ in turns[0]] for turn in turns)
    assert turns[0][1][0] != turns[1][1][0]  # the rates do differ in their effect
    assert result.updates == 3 * steps
    assert result.curve.lag == 0


def test_equal_start_reports_the_loss_after_the_update():
    run = training()
    result = find(run, equal_start=True)
    for lr, loss in zip(RATES, result.curve.loss, strict=True):
        twin = training()
        twin.optimizer.param_groups[0]["lr"] = lr
        twin.update(twin.loader[0])
        assert loss == mse(twin.model, twin.loader[1]).item()


def test_equal_start_works_with_a_generator():
    run = training()
    result = find_lr(
        run.model, run.optimizer, mse, iter(data(2)), ladder=RATES, equal_start=True, stop="never"
    )
    assert result.curve == find(training(), equal_start=True).curve


class Counting(nn.Module):
    """A model with dropout, batch norm, a counter and a state of its own."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 1))
        self.calls, self.state = 0, None

    def forward(self, x):
        self.calls += 1
        self.state = x.mean().detach()
        return self.body(x)


def test_the_held_out_loss_is_measured_in_eval_mode_and_leaves_no_trace():
    torch.manual_seed(0)
    run = training()
    run.model = Counting()
    run.model.body[1].eval()  # frozen by the user
    run.optimizer = torch.optim.SGD(run.model.parameters(), lr=0.1)
    held_out, trail, measured = data(2, rows=7, seed=9), [], []

    def loss_fn(model, batch):
        facts = (model.calls, model.state, [m.training for m in model.modules()])
        (measured if len(batch[0]) == 7 else trail).append((facts, torch.is_grad_enabled()))
        return mse(model, batch)

    result = find(run, loss_fn, held_out=held_out, held_out_every=1)
    plain, (trail, _) = trail[:], (trail.clear() or trail, measured)
    find(run, loss_fn)
    assert repr(plain) == repr(trail)
    assert len(measured) == len(RATES) * len(held_out)
    assert not any(True in modes or grad for (_, _, modes), grad in measured)
    assert result.settings["objective"] == "held-out loss"


def test_the_held_out_loss_is_that_of_the_held_out_batches():
    run, held_out = training("batch norm"), data(2, rows=7, seed=9)
    result = find(run, held_out=held_out, held_out_every=1)
    twin = training("batch norm")
    for lr, loss, batch in zip(RATES, result.curve.loss, twin.loader, strict=False):
        twin.optimizer.param_groups[0]["lr"] = lr
        twin.model.train()
        twin.update(batch)
        twin.model.eval()
        with torch.no_grad():
            assert loss == torch.stack([mse(twin.model, b) for b in held_out]).mean().item()


def test_held_out_is_measured_every_so_many_updates():
    result = find(
        training(), held_out=data(1), ladder=[1e-4 * i for i in range(1, 13)], held_out_every=4
    )
    assert result.curve.updates == (4, 4, 4)
    with pytest.raises(InputError, match="needs held_out"):
        find(training(), held_out_every=4)


def test_segments_average_the_loss_over_the_updates_of_a_rate():
    rows = Segments([(0.001, 0.001, 3, 0.002), (0.01, 0.01, 2, 0.02)])
    result = find(training(), ladder=rows, extend_decades=0)
    assert result.curve.lr == (0.001, 0.002, 0.01, 0.02)
    assert result.curve.updates == (3, 3, 2, 2)
    singles = [0.001] * 3 + [0.002] * 3 + [0.01] * 2 + [0.02] * 2
    run, losses = training(), []
    for lr, batch in zip(singles, run.loader * 2, strict=True):
        run.optimizer.param_groups[0]["lr"] = lr
        losses.append(run.update(batch))
    means = [sum(losses[:3]) / 3, sum(losses[3:6]) / 3, sum(losses[6:8]) / 2, sum(losses[8:]) / 2]
    assert result.curve.loss == pytest.approx(means, rel=1e-12)


def test_max_updates_caps_each_sweep():
    result = find(training(), ladder=Geometric(), max_updates=7, repeats=2)
    assert result.curve.stop == "max_updates"
    assert result.updates == 14


def test_max_seconds_caps_all_sweeps_together():
    run = training()
    before = Fingerprint(run.model, run.optimizer)
    result = find(run, ladder=Geometric(rates=100_000), max_seconds=0.2, repeats=5)
    assert result.curve.stop == "max_seconds"
    assert 0.2 < result.curve.seconds < 10  # the last is a slow machine
    assert any("Time was up" in note for note in result.notes)
    assert_unchanged(before, run.model, run.optimizer)


def linear_regression():
    run = training()
    torch.manual_seed(0)
    run.model = nn.Linear(6, 1)
    run.optimizer = torch.optim.SGD(run.model.parameters(), lr=1.0)
    run.loader = [(x, x.sum(1, keepdim=True)) for x, _ in data(16, rows=16)]
    return run


def test_a_stop_that_is_too_low_is_extended_upwards():
    run = linear_regression()
    result = find(run, ladder=Geometric(1e-6, 1e-3, rates=50), stop="rise", repeats=3)
    assert result.verdict == "ok"
    assert result.curve.lr[-1] > 0.01
    fixed = find(
        run, ladder=Geometric(1e-6, 1e-3, rates=50), stop="rise", repeats=3, extend_decades=0
    )
    assert fixed.lr is None
    assert fixed.curve.lr[-1] == 1e-3


def test_a_start_that_is_too_high_is_extended_downwards():
    run = linear_regression()
    before = Fingerprint(run.model, run.optimizer)
    result = find(run, ladder=Geometric(3.0, 1e3, rates=60), stop="rise", repeats=3)
    assert result.verdict == "ok"
    assert 0.001 < result.lr < 3.0
    assert any("began again" in note for note in result.notes)
    assert_unchanged(before, run.model, run.optimizer)


def test_refine_makes_a_second_finer_pass():
    run = linear_regression()
    before = Fingerprint(run.model, run.optimizer)
    coarse = find(run, ladder=Geometric(), stop="rise", repeats=2)
    fine = find(run, ladder=Geometric(), stop="rise", repeats=2, refine=True)
    assert coarse.lr / 300 < fine.curve.lr[0] <= coarse.lr / 10
    assert fine.updates > coarse.updates
    assert fine.lr == pytest.approx(coarse.lr, rel=1.0)
    assert_unchanged(before, run.model, run.optimizer)
