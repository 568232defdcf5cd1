"""What cannot be fused is refused with a reason, and left as it was."""

import pytest
import torch
from adapters.torch.fused import family
from torch import nn
from torch.utils.checkpoint import checkpoint

from stepsize.adapters.torch.fused import Stream, why_not
from stepsize.adapters.torch.fused.alike import why_not_alike
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
    "16 bits": lambda: family.mlp().bfloat16(),
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


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # of torch's compiler
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


def told_of(make, loss, recipe=Recipe(), of=SGD):
    training = family.Training(make, of)
    stream = training.stream()
    stream.loss = loss
    return why_not(stream, recipe)


def test_what_is_not_finite_tells_nothing_and_is_told():
    assert "finite" in told_of(family.mlp, lambda m, batch: family.loss(m, batch) * float("nan"))

    def one_gradient(model, batch):
        return family.loss(model, batch) + (0.0 * model[0].weight).sum().sqrt()

    assert "finite" in told_of(family.mlp, one_gradient)

    def broken():
        model = family.mlp()
        model[0].weight.data[0, 0] = float("inf")
        return model

    assert "finite" in told_of(broken, family.loss)


def test_a_loss_that_explodes_is_tried_at_a_rate_that_is_small_enough():
    def steep(model, batch):
        return (1e6 * model(batch["x"])).square().mean()

    linear = changed(lambda m, x: m.head(x))
    assert told_of(linear, steep, of=family.OPTIMIZERS["sgd"]) == ""


def test_masks_that_are_infinite_are_none_of_it():
    def masked(self, inputs):
        return self.head(inputs) + self.mask.masked_fill(self.mask.isinf(), 0.0)

    def make():
        model = family.Model(masked, head=nn.Linear(family.INPUTS, family.CLASSES))
        model.register_buffer("mask", torch.full((family.CLASSES,), -float("inf")))
        return model

    assert told_of(make, family.loss) == ""


def test_a_counter_that_a_function_encloses_is_put_back():
    calls = 0

    def annealed(model, batch):
        nonlocal calls
        calls += 1
        return family.loss(model, batch) * (1 + 0.1 * calls)

    assert told_of(family.mlp, annealed) == ""
    assert calls == 0


def test_a_state_that_would_be_each_copys_own_is_told():
    class RunningMean:
        mean = 0.0

        def __call__(self, model, batch):
            loss = family.loss(model, batch)
            self.mean = 0.9 * self.mean + 0.1 * loss.detach()
            return loss / (1 + self.mean)

    assert told_of(family.mlp, RunningMean()) != ""


def test_a_norm_is_taken_over_scalars_too():
    def scaled():
        model = family.Model(
            lambda self, x: self.head(x) * self.scale, head=nn.Linear(family.INPUTS, 3)
        )
        model.scale = nn.Parameter(torch.tensor(1.0))
        return model

    assert told_of(scaled, family.loss, Recipe(clip_norm=0.1)) == ""


def test_parameters_with_gradients_now_and_then_are_told():
    class LayerDrop(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = (nn.Linear(family.INPUTS, 3) for _ in range(2))
            self.calls = 0

        def forward(self, inputs):
            self.calls += 1
            layers = (self.one, self.two) if self.calls % 2 else (self.one,)
            return sum(layer(inputs) for layer in layers)

    assert told_of(LayerDrop, family.loss, of=family.OPTIMIZERS["adam"]) != ""


def test_seeds_are_not_alike_for_a_loss_that_is_not_finite():
    first, other = (family.Training(family.mlp, SGD, seed).stream() for seed in (0, 1))
    assert why_not_alike(first, other, Recipe()) == ""
    for stream in (first, other):
        stream.loss = lambda model, batch: family.loss(model, batch) * float("nan")
    assert why_not_alike(first, other, Recipe()) != ""
