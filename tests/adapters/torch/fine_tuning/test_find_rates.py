"""Range tests of layer groups: what they find, and that they leave nothing behind."""

import math

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stepsize.adapters.torch import find_lr
from stepsize.adapters.torch.fine_tuning import groups, regroup, set_ratios
from stepsize.adapters.torch.fine_tuning.measuring.find_rates import find_common, find_rates
from stepsize.errors import InputError
from stepsize.fine_tuning import LayerGroup, LayerGroups
from stepsize.rangetest import Geometric


class Arms(nn.Module):
    """Two linear models side by side; what the first is shown is ``steeper`` times as large."""

    def __init__(self, steeper=10.0):
        super().__init__()
        self.steep, self.gentle = nn.Linear(4, 1, bias=False), nn.Linear(4, 1, bias=False)
        self.steeper = steeper

    def forward(self, x):
        return self.steep(self.steeper * x[:, :4]) + self.gentle(x[:, 4:])


def arms():
    each = [LayerGroup(n, (n,), (f"{n}.weight",), 4, 4) for n in ("steep", "gentle")]
    return LayerGroups(tuple(each), "given")


def mse(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def regression(seed=0, steeper=10.0, noise=0.1):
    torch.manual_seed(seed)
    x, model = torch.randn(640, 8), Arms(steeper)
    y = x[:, :4].sum(1, keepdim=True) + x[:, 4:].sum(1, keepdim=True)
    with torch.no_grad():
        model.steep.weight.fill_(0.5 / steeper)
        model.gentle.weight.fill_(0.5)
    return model, [(x[i : i + 32], y[i : i + 32]) for i in range(0, 640, 32)]


def sgd(model, lr=0.1, **options):
    return torch.optim.SGD(model.parameters(), lr=lr, **options)


def test_groups_of_different_steepness_get_rates_as_far_apart():
    model, loader = regression()
    tests = find_rates(model, sgd(model), mse, loader, arms())
    steep, gentle = (test.find.lr for test in tests.tests)
    assert 30 < gentle / steep < 300  # the curvature is 100 times as large
    assert [test.informative for test in tests.tests] == [True, True]
    assert 10 < 1 / min(tests.rates.ratios) < 300
    assert tests.told_apart == ()
    assert tests.factor.value > 10
    # At these rates the training works, at ten times as high ones it blows up.
    for times, works in ((1.0, True), (30.0, False)):
        model, loader = regression()
        optimizer = sgd(model)
        regroup(optimizer, model, arms())
        set_ratios(optimizer, tests.rates.ratios, times * tests.rates.peak)
        losses = [_update(model, optimizer, batch) for batch in loader]
        assert (losses[-1] < 0.5 * losses[0]) is works


def test_a_loss_that_writes_to_its_batch_meets_the_same_batch_each_time():
    def tripled(model, batch):
        return mse(model, (3.0 * batch[0], batch[1]))

    def tripling(model, batch):
        batch[0].mul_(3.0)
        return mse(model, batch)

    def rates(loss):
        model, views = regression()
        loader = [tuple(x.clone() for x in batch) for batch in views]
        return find_rates(model, sgd(model), loss, loader, arms(), common=False).rates

    assert rates(tripling).rates == pytest.approx(rates(tripled).rates, rel=1e-4)


def test_groups_that_are_alike_get_one_rate():
    model, loader = regression(steeper=1.0)
    tests = find_rates(model, sgd(model), mse, loader, arms())
    assert tests.told_apart == (("steep", "gentle"),)
    assert min(tests.rates.ratios) > 0.6


def test_what_batches_differ_by_does_not_hide_a_small_fall():
    model, loader = regression(steeper=1.0)

    def loss(model, batch):
        return mse(model, batch) + 100.0 * batch[0].mean()  # what nobody can learn

    optimizer = sgd(model, lr=0.1)
    assert find_lr(model, optimizer, loss, loader).verdict == "flat"
    assert find_common(model, optimizer, loss, loader, arms()).verdict == "ok"


def test_without_an_update_every_batch_shows_the_same_loss_dropout_included():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.BatchNorm1d(16), nn.Linear(16, 1))
    _, loader = regression()
    ladder = Geometric(1e-30, 1e-29, 20)
    found = groups(model, loader[0][0])
    tests = find_rates(model, sgd(model), mse, loader, found, ladder=ladder, repeats=2)
    for curve in [c for test in tests.tests for c in test.find.repeats]:
        assert curve.loss == pytest.approx([curve.loss[0]] * 20, rel=1e-5)


class PlannedError(Exception):
    """Raised on purpose."""


@pytest.mark.parametrize("others", ["frozen", "training"])
@pytest.mark.parametrize("fails_at", [None, 5, 60])
def test_everything_comes_back(others, fails_at):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.1))
    model = nn.Sequential(body, nn.Linear(6, 6), nn.Linear(6, 1))
    model[1].weight.requires_grad_(False)
    body[1].eval()
    x = torch.randn(96, 8)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    loader = DataLoader(data, 16, shuffle=True, generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 1e-3}, {"params": model[1:].parameters(), "lr": 0.01}]
    )
    for batch in loader:
        _update(model, optimizer, batch)
    calls = iter(range(10**9))

    def loss(model, batch):
        if next(calls) == fails_at:
            raise PlannedError
        return mse(model, batch)

    found, ladder = groups(model, x[:2]), Geometric(1e-5, 1.0, 20)
    before = Fingerprint(model, optimizer, loader)
    try:
        tests = find_rates(model, optimizer, loss, loader, found, others=others, ladder=ladder)
    except PlannedError:
        assert fails_at is not None
    else:
        assert fails_at is None
        assert tests.updates > (60 if others == "frozen" else 120)
    assert_unchanged(before, model, optimizer, loader)


def test_only_what_is_trained_is_tested():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1))
    model = nn.ModuleDict({"used": layers, "unused": nn.Linear(2, 2)})
    model.forward = layers.forward
    layers[0].requires_grad_(False)
    _, loader = regression()
    found = groups(model, loader[0][0])
    optimizer = sgd(model)
    regroup(optimizer, model, found)
    some = LayerGroups(found.groups[1:], found.order)
    trained = set()

    def watched(model, batch):
        trained.add(tuple(name for name, p in model.named_parameters() if p.requires_grad))
        return mse(model, batch)

    tests = find_rates(model, optimizer, watched, loader, some)
    assert ("used.2.weight", "used.2.bias") in trained  # alone: no gradients are made for others
    assert tests.names == some.names
    by_name = dict(zip(tests.names, tests.tests, strict=True))
    assert by_name["used.2"].informative
    assert by_name["unused"].find is None
    assert len(tests.rates) == len(some)
    whole = find_rates(model, optimizer, mse, loader, found)
    assert whole.tests[0].find is None  # frozen by its owner
    assert all(math.isfinite(rate) for rate in whole.rates)
    with pytest.raises(InputError):
        find_rates(nn.Linear(8, 1), sgd(nn.Linear(8, 1)), mse, loader, found)


def test_repeats_see_other_batches_and_settle_the_answer():
    model, loader = regression()
    data = TensorDataset(*map(torch.cat, zip(*loader, strict=True)))
    shuffled = DataLoader(data, 8, shuffle=True, generator=torch.Generator().manual_seed(1))
    optimizer = sgd(model)
    one, three = (
        find_common(model, optimizer, mse, shuffled, arms(), repeats=count) for count in (1, 3)
    )
    assert len({curve.loss for curve in three.repeats}) == 3
    assert three.repeats[0] == one.repeats[0]
    width = [math.log10(found.interval[1] / found.interval[0]) for found in (one, three)]
    assert width[1] < width[0]


def _update(model, optimizer, batch):
    optimizer.zero_grad()
    loss = mse(model, batch)
    loss.backward()
    optimizer.step()
    return loss.item()
