"""Fresh weights: all of them, as the modules themselves draw them, from the seed."""

import os

import pytest
import torch
from adapters.torch.fine_tuning.plans import network, plan_trial, run_plan, same, weights_of
from adapters.torch.trials import maker
from torch import nn

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fine_tuning.plans.scratch import begin_from_scratch, with_fresh_weights
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan


def trained(model):
    """A model none of whose numbers is as it was made."""
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.fill_(0.123 if tensor.is_floating_point() else 7)
    return model


def test_all_weights_and_statistics_are_fresh_and_belong_to_the_seed():
    model = trained(network())
    before = torch.get_rng_state()
    with_fresh_weights(model, 3)
    assert torch.equal(torch.get_rng_state(), before)
    first = weights_of(model)
    assert not any((tensor == 0.123).any() for tensor in first.values())
    assert torch.equal(first["1.running_var"], torch.ones(8))
    assert first["1.num_batches_tracked"] == 0
    with_fresh_weights(trained(model), 3)
    assert same(weights_of(model), first)
    with_fresh_weights(model, 4)
    assert not same(weights_of(model), first)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda: nn.Sequential(nn.Embedding(9, 4, padding_idx=0), nn.LSTM(4, 4), nn.LayerNorm(4)),
        lambda: nn.Sequential(nn.Conv2d(1, 9, 3), nn.GroupNorm(1, 9), nn.Bilinear(3, 3, 9)),
    ],
)
def test_weights_are_spread_as_those_of_a_new_model(make):
    with random_state.seeded(0):
        new, model = make(), trained(make())
    with_fresh_weights(model, 1)
    for (name, fresh), made in zip(model.named_parameters(), new.parameters(), strict=True):
        assert (fresh.std() == 0.0) == (made.std() == 0.0), name
        if made.numel() > 30:
            assert fresh.std().item() == pytest.approx(made.std().item(), rel=0.5), name


def test_models_of_transformers_have_an_initialisation_of_their_own():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=8, patch_size=4, num_labels=3,
    )  # fmt: skip
    model = trained(transformers.ViTForImageClassification(config))
    with_fresh_weights(model, 0)
    assert not any((p == 0.123).any() for p in model.parameters())
    for layer in (module for module in model.modules() if isinstance(module, nn.Linear)):
        assert layer.weight.std().item() == pytest.approx(config.initializer_range, rel=0.3)
    assert model.classifier.bias.abs().max() == 0.0


class Wrapped(nn.Module):
    """A model of transformers inside one of the user's own."""

    def __init__(self, body):
        super().__init__()
        self.body, self.head = body, nn.Linear(32, 3)


@pytest.mark.parametrize("wrap", [lambda body: body, Wrapped])
def test_a_model_of_transformers_that_was_loaded_is_as_fresh_as_one_that_was_made(tmp_path, wrap):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        vocab_size=500, max_position_embeddings=64,
    )  # fmt: skip
    kind = transformers.BertModel
    with random_state.seeded(0):
        new = wrap(kind(config))
    trained(kind(config)).save_pretrained(tmp_path)
    model = wrap(kind.from_pretrained(tmp_path))
    marks = [getattr(p, "_is_hf_initialized", None) for p in model.parameters()]
    assert True in marks
    with_fresh_weights(model, 0)
    assert [getattr(p, "_is_hf_initialized", None) for p in model.parameters()] == marks
    for (name, fresh), made in zip(model.named_parameters(), new.parameters(), strict=True):
        if made.numel() > 30:
            assert fresh.std().item() == pytest.approx(made.std().item(), rel=0.5), name
            assert fresh.mean().item() == pytest.approx(made.mean().item(), abs=0.05), name


class Table(nn.Module):
    """A fixed table beside a layer."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Parameter(torch.linspace(0.0, 1.0, 6), requires_grad=False)
        self.layers = network()

    def reset_parameters(self):
        self.rows.data.copy_(torch.linspace(0.0, 1.0, 6))

    def forward(self, x):
        return self.layers(x + self.rows)


def frozen_stem(seed, held=True):
    """A task that froze its first layer, with statistics and modes, as is common."""
    task = maker(lambda seed: Table())(seed)
    stem = task.model.layers[:2]
    stem.requires_grad_(False).eval()
    wanted = [p for p in task.model.parameters() if held or p.requires_grad]
    object.__setattr__(task, "optimizer", torch.optim.SGD(wanted, lr=0.1))
    return task


def test_what_was_frozen_as_pretrained_is_trained_from_scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    plan = TransferPlan("all", (Phase("all", lr=0.05),))
    weights = {}
    for reset in (False, True):
        trial = plan_trial(plan, 1, frozen_stem, reset=reset)
        weights[reset] = run_plan(tmp_path / str(reset), trial, every=3600.0).weights
    with random_state.seeded(0):
        task = frozen_stem(0)
    made = weights_of(task.model)
    begin_from_scratch(task, 0)
    fresh = weights_of(task.model)
    for name in ("layers.0.weight", "layers.1.running_mean"):
        assert torch.equal(weights[False][name], made[name]), name
        assert not torch.equal(weights[True][name], fresh[name]), name
    assert not torch.equal(made["layers.0.weight"], fresh["layers.0.weight"])
    assert all(torch.equal(each["rows"], made["rows"]) for each in (*weights.values(), fresh))


def test_frozen_weights_that_the_optimizer_lacks_are_told_with_the_way_out():
    with pytest.raises(ValueError, match=r"does not hold layers.0.weight.*scratch_task=make"):
        begin_from_scratch(frozen_stem(0, held=False), 0)


def test_a_parameter_that_nobody_initialises_is_told_and_everything_stays():
    model = network()
    model.register_parameter("token", nn.Parameter(torch.ones(3)))
    before = weights_of(model)
    with pytest.raises(ValueError, match=r"for token: .*reset_parameters"):
        with_fresh_weights(model, 0)
    after = weights_of(model)
    assert same(
        {name: after[name] for name, _ in model.named_parameters()},
        {name: before[name] for name, _ in model.named_parameters()},
    )
