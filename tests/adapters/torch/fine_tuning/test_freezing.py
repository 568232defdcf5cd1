"""What is frozen stays: weights, statistics and modes; and all of it comes back."""

import copy
import pickle

import pytest
import torch
from torch import nn

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.fine_tuning import groups
from stepsize.adapters.torch.fine_tuning.frozen.freezing import Freezing
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.training import Training
from stepsize.errors import InputError
from stepsize.schedules import Constant
from stepsize.tasks import Task


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.plain = nn.BatchNorm1d(4, affine=False)
        self.between = nn.Dropout(0.5)
        self.middle = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.last = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.last(self.middle(self.between(self.plain(self.stem(x))))))


@pytest.fixture
def task():
    torch.manual_seed(0)
    model = Network()
    batches = [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(3)]
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    return Task(
        model, sgd, lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]), batches, batches[:1]
    )


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


def trained(task, epochs=2):
    """What two epochs change, with all that a run does to the model's modes."""
    before = copy.deepcopy(task.model.state_dict())
    training = Training(task, Constant(0.1), seed=0, steps=6, updates_per_epoch=3, recipe=Recipe())
    for _ in range(epochs):
        for _ in range(3):
            training.update()
        training.end_epoch()
        evaluate(task, task.val, Recipe(), "val_")
        task.model.train()
    now = task.model.state_dict()
    return {name.partition(".")[0] for name in now if not torch.equal(now[name], before[name])}


def test_frozen_layers_stay_bit_for_bit_until_they_are_thawed(task):
    freezing = Freezing(task.model, groups(task.model, torch.randn(8, 4)))
    for count, moved in ((1, {"head"}), (2, {"middle", "head"}), (1, {"head"})):
        freezing.train_last(count)
        assert trained(task) == moved
        assert freezing.trained == count
    freezing.train_last(3)
    assert trained(task) == {"stem", "plain", "middle", "head"}


def test_layers_without_weights_rest_with_the_frozen_layer_that_they_serve(task):
    freezing = Freezing(task.model, groups(task.model, torch.randn(8, 4)))
    freezing.train_last(1)
    task.model.train()
    still = {name for name, mode in modes(task.model).items() if not mode}
    assert {"stem.2", "plain", "between", "middle.1"} <= still
    assert not {"", "last", "head"} & still
    freezing.train_last(2)
    still = {name for name, mode in modes(task.model).items() if not mode}
    assert {"stem.2", "plain"} <= still
    assert not {"between", "middle", "middle.1"} & still


def test_frozen_layers_in_training_mode_keep_weights_and_move_statistics(task):
    freezing = Freezing(task.model, groups(task.model, torch.randn(8, 4)))
    weights = copy.deepcopy(dict(task.model.stem.named_parameters()))
    freezing.train_last(1, frozen="train")
    assert trained(task) == {"stem", "plain", "middle", "head"}
    assert all(torch.equal(p, weights[n]) for n, p in task.model.stem.named_parameters())


def test_restoring_gives_back_flags_and_modes_that_the_user_had_chosen(task):
    task.model.stem[1].eval()
    task.model.head.bias.requires_grad_(False)
    before = modes(task.model)
    freezing = Freezing(task.model, groups(task.model, torch.randn(8, 4)))
    freezing.train_last(1)
    assert not task.model.head.bias.requires_grad
    freezing.train_last(3)
    assert modes(task.model) == before
    freezing.train_last(1)
    freezing.restore()
    assert modes(task.model) == before
    frozen = [name for name, p in task.model.named_parameters() if not p.requires_grad]
    assert frozen == ["head.bias"]
    assert "train" not in vars(task.model.stem)
    task.model.eval()
    assert not any(modes(task.model).values())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_frozen_model_is_frozen_and_leaves_the_model_alone(task, copied):
    Freezing(task.model, groups(task.model, torch.randn(8, 4))).train_last(1)
    other = copied(task.model)
    assert modes(other.train()) == modes(task.model)
    assert other.stem.train() is other.stem


def test_what_cannot_be_trained_is_refused_before_anything_changes(task):
    freezing = Freezing(task.model, groups(task.model, torch.randn(8, 4)))
    for wrong in ({"count": 0}, {"count": 4}, {"count": True}, {"count": 1, "frozen": "off"}):
        with pytest.raises(InputError):
            freezing.train_last(**wrong)
    task.model.head.requires_grad_(False)
    frozen_head = Freezing(task.model, groups(task.model, torch.randn(8, 4)))
    with pytest.raises(InputError, match="requires_grad"):
        frozen_head.train_last(1)
    assert all(modes(task.model).values())


class Elsewhere(nn.Module):
    """Registers layers without weights in front of those that they serve last."""

    def __init__(self):
        super().__init__()
        self.dropout, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(4, affine=False)
        self.body, self.middle, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.given = nn.BatchNorm1d(4, affine=False)

    def forward(self, x):
        return self.head(self.dropout(self.middle(self.norm(self.body(self.given(x))))))


@pytest.mark.parametrize("example", [None, lambda model: model(torch.ones(3, 4))])
def test_what_a_layer_without_weights_serves_is_seen_in_a_forward_pass(example):
    model = Elsewhere()
    model.before = copy.deepcopy(model.norm.running_mean)
    freezing = Freezing(model, groups(model, torch.ones(3, 4)), example)
    freezing.train_last(1)
    assert (model.train().dropout.training, model.norm.training) == (True, False)
    freezing.train_last(2)
    assert (model.dropout.training, model.norm.training) == (True, False)
    assert not model.given.training
    freezing.train_last(3)
    assert (model.dropout.training, model.norm.training) == (True, True)
    assert torch.equal(model.before, model.norm.running_mean)
    assert model.given.training
    assert not model._forward_pre_hooks
    with pytest.raises(InputError, match="example"):
        Freezing(model, freezing.groups, torch.ones(3, 7))
