"""Fresh weights: all of them, as the modules themselves draw them, from the seed."""

import pytest
import torch
from adapters.torch.fine_tuning.plans import network, same, weights_of
from torch import nn

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fine_tuning.scratch import with_fresh_weights


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
