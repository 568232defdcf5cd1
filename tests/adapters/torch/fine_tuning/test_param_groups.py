"""Regrouped optimizers train as before, bit for bit; ratios are written where they belong."""

import copy

import pytest
import torch
from torch import nn

from stepsize.adapters.torch import Recipe, ScheduledLR
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.fine_tuning import (
    groups,
    param_groups,
    ratios_in,
    regroup,
    set_ratios,
)
from stepsize.adapters.torch.update import Update
from stepsize.errors import InputError
from stepsize.fine_tuning import discriminative
from stepsize.schedules import Cosine

schedulefree = pytest.importorskip("schedulefree")


class Backwards(nn.Module):
    """Registered from the head to the input, so that regrouping changes the order."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 1)
        self.norm = nn.BatchNorm1d(5)
        self.body = nn.Linear(6, 5)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.body(x * self.scale))))


def all_of(model, **options):
    return [{"params": list(model.parameters()), **options}]


def two_kinds(model, **options):
    plain = [p for p in model.parameters() if p.dim() == 1]
    others = [p for p in model.parameters() if p.dim() > 1]
    return [
        {"params": plain, "lr": 0.02, "weight_decay": 0.0, **options},
        {"params": others, "weight_decay": 0.1},
    ]


def tensor_rates(model):
    return torch.optim.AdamW(two_kinds(model, lr=torch.tensor(0.02)), lr=torch.tensor(0.01))


OPTIMIZERS = {
    "sgd": lambda m: torch.optim.SGD(all_of(m), lr=0.1, momentum=0.9, nesterov=True),
    "sgd, two groups": lambda m: torch.optim.SGD(two_kinds(m, momentum=0.5), lr=0.1, momentum=0.9),
    "adamw": lambda m: torch.optim.AdamW(all_of(m), lr=0.01, amsgrad=True),
    "adamw, two groups": lambda m: torch.optim.AdamW(two_kinds(m, betas=(0.5, 0.9)), lr=0.01),
    "adamw, named": lambda m: torch.optim.AdamW(m.named_parameters(), lr=0.01),
    "adamw, tensors": tensor_rates,
    "adamw, foreach": lambda m: torch.optim.AdamW(two_kinds(m), lr=0.01, foreach=True),
    "rmsprop": lambda m: torch.optim.RMSprop(two_kinds(m), lr=0.01, centered=True),
    "adagrad": lambda m: torch.optim.Adagrad(two_kinds(m), lr=0.01),  # has state from the start
    "adafactor": lambda m: torch.optim.Adafactor(two_kinds(m), lr=0.01),
    "schedule-free": lambda m: schedulefree.AdamWScheduleFree(two_kinds(m), warmup_steps=3),
}


def batches(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 6, generator=generator) for _ in range(count)]


def mean_square(model, x):
    return model(x).square().mean()


def trained(model, optimizer, data, recipe=None):
    update = Update(model, optimizer, mean_square, Batches(data), recipe or Recipe())
    for _ in data:
        update()


def twins(make):
    torch.manual_seed(0)
    one = Backwards()
    other = copy.deepcopy(one)
    return one, make(one), other, make(other)


def assert_same(one, first, other, second):
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        state, twin = first.state[a], second.state[b]
        assert state.keys() == twin.keys()
        for name in state:
            assert torch.equal(torch.as_tensor(state[name]), torch.as_tensor(twin[name])), name


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_a_regrouped_optimizer_trains_bit_for_bit_the_same(name, clip):
    one, first, other, second = twins(OPTIMIZERS[name])
    if hasattr(first, "train"):
        first.train()
        second.train()
    recipe, found = Recipe(clip_norm=clip), groups(other)
    start, middle, end = batches(2, 1), batches(2, 2), batches(2, 3)
    trained(one, first, start, recipe)
    trained(other, second, start, recipe)
    regroup(second, other, found)  # with state
    assert len(second.param_groups) > len(first.param_groups)
    trained(one, first, middle, recipe)
    trained(other, second, middle, recipe)
    assert_same(one, first, other, second)
    regroup(second, other, found.merged(2))  # once more, coarser
    trained(one, first, end, recipe)
    trained(other, second, end, recipe)
    assert_same(one, first, other, second)


def test_every_parameter_keeps_the_options_of_its_group():
    _, _, other, second = twins(OPTIMIZERS["adamw, two groups"])
    before = {id(p): {**g, "params": None} for g in second.param_groups for p in g["params"]}
    held = second.param_groups
    regroup(second, other, groups(other))
    assert second.param_groups is held  # schedulers and wrappers hold the list
    after = {id(p): {**g, "params": None} for g in second.param_groups for p in g["params"]}
    assert after.keys() == before.keys()
    for key, options in before.items():
        assert {name: after[key][name] for name in options} == options


def test_layer_groups_come_in_order_each_split_by_the_groups_it_had():
    _, _, model, optimizer = twins(OPTIMIZERS["adamw, named"])
    found = groups(model)
    regroup(optimizer, model, found)
    assert [g["layer_group"] for g in optimizer.param_groups] == [0, 1]
    for group in optimizer.param_groups:
        named = [dict(model.named_parameters())[name] for name in group["param_names"]]
        assert all(a is b for a, b in zip(named, group["params"], strict=True))
        assert set(group["param_names"]) == set(found[group["layer_group"]].parameters)


def test_no_tensor_is_shared_by_two_groups():
    _, _, model, optimizer = twins(
        lambda m: torch.optim.AdamW(m.parameters(), lr=torch.tensor(0.01))
    )
    regroup(optimizer, model, groups(model))
    set_ratios(optimizer, (0.5, 1.0))
    assert [float(g["lr"]) for g in optimizer.param_groups] == pytest.approx([0.005, 0.01])
    assert float(optimizer.defaults["lr"]) == pytest.approx(0.01)


def test_ratios_keep_the_users_own_differences_within_a_layer_group():
    model = Backwards()
    optimizer = torch.optim.SGD(two_kinds(model), lr=0.1)  # vectors at 0.02
    regroup(optimizer, model, groups(model))
    set_ratios(optimizer, (0.25, 1.0))
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.005, 0.025, 0.02, 0.1])
    assert ratios_in(optimizer, 2) == pytest.approx((0.25, 1.0))
    set_ratios(optimizer, (1.0, 0.5), peak=1.0)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.2, 1.0, 0.1, 0.5])
    assert ratios_in(optimizer, 2) == pytest.approx((1.0, 0.5))


def test_schedules_keep_the_ratios():
    model = Backwards()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = groups(model)
    regroup(optimizer, model, found)
    set_ratios(optimizer, discriminative(0.1, found, 2.6).ratios)
    scheduler = ScheduledLR(optimizer, Cosine(0.3, steps=4))
    for _ in range(3):
        body, head = (group["lr"] for group in optimizer.param_groups)
        assert head / body == pytest.approx(2.6)
        optimizer.step()
        scheduler.step()


def test_a_rate_before_a_warm_up_from_zero_counts():
    model = Backwards()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    regroup(optimizer, model, groups(model))
    set_ratios(optimizer, (0.1, 1.0))
    assert [g["initial_lr"] for g in optimizer.param_groups] == pytest.approx([0.01, 0.1])


def test_parameters_of_a_loss_go_with_the_head():
    model, loss_weight = Backwards(), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([*model.parameters(), loss_weight], lr=0.1)
    regroup(optimizer, model, groups(model))
    assert any(p is loss_weight for p in optimizer.param_groups[-1]["params"])


def test_parameters_with_equal_values_are_told_apart():
    """Lightning's ``BaseFinetuning`` takes a fresh norm for one that it has, and drops it."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    found = groups(model)
    optimizer = torch.optim.SGD(param_groups(model, found, discriminative(0.1, found, 10)))
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))
    regroup(optimizer, model, found)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))


def test_decay_is_kept_from_what_was_asked():
    model = Backwards()
    found = groups(model)
    names = {id(p): name for name, p in model.named_parameters()}

    def spared(no_decay):
        made = param_groups(model, found, (0.01, 0.1), weight_decay=0.5, no_decay=no_decay)
        assert {g["lr"] for g in made if g["layer_group"] == 0} == {0.01}
        return {names[id(p)] for g in made if g["weight_decay"] == 0 for p in g["params"]}

    norm, bias = {"norm.weight", "norm.bias"}, {"body.bias", "head.bias"}
    assert spared(("norm", "bias")) == norm | bias
    assert spared("norm") == norm
    assert spared(("bias",)) == bias | {"norm.bias"}
    assert spared(()) == set()
    assert all("weight_decay" not in g for g in param_groups(model, found, 0.1))


def test_bad_input_changes_nothing():
    model, other = Backwards(), nn.Linear(2, 1)
    found = groups(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(InputError, match="another model"):
        regroup(optimizer, other, found)
    with pytest.raises(InputError, match="regroup"):
        set_ratios(optimizer, (1.0, 1.0))
    assert [dict(group) for group in optimizer.param_groups] == before
    with pytest.raises(InputError, match="LBFGS"):
        regroup(torch.optim.LBFGS(model.parameters()), model, found)
    with pytest.raises(InputError, match="str"):
        regroup("Adam", model, found)
    regroup(optimizer, model, found)
    for bad in ((1.0,), (1.0, -1.0), (1.0, float("nan"))):
        with pytest.raises(InputError, match="2 layer groups"):
            set_ratios(optimizer, bad)
    with pytest.raises(InputError, match="peak"):
        set_ratios(optimizer, (1.0, 1.0), peak=0.0)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.1]
    with pytest.raises(InputError, match="rates"):
        param_groups(model, found, (0.1, 0.1, 0.1))
    with pytest.raises(InputError, match="gamma"):
        param_groups(model, found, 0.1, weight_decay=0.1, no_decay=("gamma",))
    with pytest.raises(InputError, match="weight_decay"):
        param_groups(model, found, 0.1, weight_decay=-1)
