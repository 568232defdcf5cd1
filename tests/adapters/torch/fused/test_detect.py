"""What cannot be fused is refused with a reason, and left as it was."""

import pytest
import torch
from adapters.torch.fused import family
from torch import nn
from torch.utils.checkpoint import checkpoint

from stepsize.adapters.torch.fused import Stream, why_not
from stepsize.adapters.torch.update import Recipe

SGD = family.OPTIMIZERS["nesterov"]


def changed(way, **layers):
    layers = layers or {"head": nn.Linear(family.INPUTS, family.CLASSES)}
    return lambda: family.Model(way, **layers)


def hooked():
    model = family.mlp()
    model[0].register_forward_hook(lambda *given: None)
    return model


def hooked_weight():
    model = family.mlp()
    model[0].weight.register_hook(lambda gradient: gradient)
    return model


def attention_with_dropout():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
    return nn.Sequential(
        nn.Unflatten(1, (4, 3)), nn.Linear(3, 8), layer, nn.Flatten(),
        nn.Linear(32, family.CLASSES),
    )  # fmt: skip


class Decided(torch.optim.SGD):
    """A user's own."""


REFUSED = {
    "decides by a value": changed(lambda m, x: m.head(x) if m.head(x).sum() > 0 else -m.head(x)),
    "reads a value": changed(lambda m, x: m.head(x) * m.head(x).sum().item()),
    "computes again": changed(lambda m, x: checkpoint(m.head, x, use_reentrant=False)),
    "hooks": hooked,
    "hooks of a weight": hooked_weight,
    "compiled": lambda: nn.Sequential(torch.compile(family.mlp())),
    "wrapped": lambda: nn.DataParallel(family.mlp()),
    "lazy": lambda: nn.Sequential(nn.LazyLinear(family.CLASSES)),
    "attention with dropout": attention_with_dropout,
}  # fmt: skip

OPTIMIZERS = {
    "LBFGS": family.optimizer("LBFGS"),
    "Adafactor": family.optimizer("Adafactor"),
    "ASGD": family.optimizer("ASGD"),
    "Rprop": family.optimizer("Rprop"),
    "a subclass": lambda model: Decided(model.parameters()),
    "differentiable": family.optimizer("SGD", differentiable=True),
    "others": lambda model: torch.optim.SGD([*model.parameters(), nn.Parameter(torch.ones(1))]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_cannot_be_fused_are_told_and_left_alone(name):
    torch.manual_seed(0)
    model = REFUSED[name]()
    stream = Stream(model, SGD(model), family.loss, None, family.batches())
    generator = torch.get_rng_state()
    before = [] if name == "lazy" else [p.clone() for p in model.parameters()]
    assert why_not(stream, Recipe()) != ""
    assert torch.equal(generator, torch.get_rng_state())
    if before:
        assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    assert not stream.optimizer.state


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_that_cannot_be_fused_are_told(name):
    training = family.Training(family.mlp, OPTIMIZERS[name])
    assert why_not(training.stream(), Recipe()) != ""


def test_scalers_and_hooks_of_optimizers_are_told():
    training = family.Training(family.mlp, SGD)
    scaler = torch.amp.GradScaler("cpu")
    assert why_not(training.stream(), Recipe(scaler=scaler)) != ""
    assert why_not(training.stream(), Recipe()) == ""
    training.optimizer.register_step_post_hook(lambda *given: None)
    assert why_not(training.stream(), Recipe()) != ""


def test_a_loss_that_is_not_the_same_for_all_copies_is_told():
    training = family.Training(family.mlp, SGD)
    mine = training.model[0].weight

    def loss(model, batch):
        own = next(parameter for parameter in model.parameters() if parameter.shape == mine.shape)
        return family.loss(model, batch) * (1.0 if own is mine else 1.5)

    stream = training.stream()
    stream.loss = loss
    assert why_not(stream, Recipe()) != ""


def test_without_a_loader_the_stream_is_drawn_from():
    training = family.Training(family.mlp, SGD)
    stream = training.stream()
    stream.loader = None
    assert why_not(stream, Recipe()) == ""
    assert training.source.drawn == 3
    assert why_not(training.stream(), Recipe()) == ""
    assert training.source.drawn == 3
