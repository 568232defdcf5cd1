"""The law of the fused engine: each copy has the numbers of its own serial run."""

import pytest
import torch
from adapters.torch.fused import family

from stepsize.adapters.torch.fused import why_not
from stepsize.adapters.torch.update import Recipe

RATES = [5e-4, 2e-3, 1e-2]


def check(make, of, recipe=Recipe(), updates=20, near=1e-4, dtype=torch.float32):
    stack, training = family.stack_of(make, of, len(RATES), recipe, dtype)
    fused = family.losses_of(stack, RATES, updates)
    generator = torch.get_rng_state()
    for copy, rate in enumerate(RATES):
        losses, alone, after = family.serial(make, of, rate, updates, 0, recipe, dtype)
        wanted = torch.tensor(losses, dtype=fused.dtype)
        assert torch.allclose(fused[copy], wanted, rtol=near, atol=near / 100), (
            fused[copy],
            wanted,
        )
        assert torch.equal(generator, after)
        stack.pour(copy)
        for name, buffer in alone.model.named_buffers():
            assert torch.allclose(training.model.get_buffer(name), buffer, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", family.MODELS, ids=lambda make: make.__name__)
def test_losses_are_those_of_serial_runs_for_every_model(make):
    check(make, family.OPTIMIZERS["nesterov"])


@pytest.mark.parametrize("name", family.OPTIMIZERS)
def test_losses_are_those_of_serial_runs_for_every_optimizer(name):
    check(family.tied, family.OPTIMIZERS[name])


@pytest.mark.parametrize("name", ["nesterov", "groups"])
def test_in_double_precision_hundreds_of_updates_agree_to_nine_digits(name):
    check(family.mlp, family.OPTIMIZERS[name], updates=200, near=1e-9, dtype=torch.float64)


@pytest.mark.parametrize(
    ("make", "recipe", "near"),
    [
        (family.cnn, Recipe(accumulate=3, clip_norm=0.5), 1e-4),
        (family.tied, Recipe(clip_norm=0.3, clip_value=0.02), 1e-4),
        (family.gru, Recipe(accumulate=2), 1e-4),
        (family.norms, Recipe(autocast=torch.bfloat16), 3e-2),
    ],
)
def test_every_part_of_a_recipe_is_made_copy_by_copy(make, recipe, near):
    check(make, family.OPTIMIZERS["nesterov"], recipe, updates=8, near=near)


@pytest.mark.parametrize("make", family.MODELS, ids=lambda make: make.__name__)
def test_the_family_is_recognised_and_nothing_is_left_behind(make):
    training = family.Training(make, family.OPTIMIZERS["adam"])
    training.run(1e-3, 2)
    before, generator = training.state(), torch.get_rng_state()
    steps = [state["step"].clone() for state in training.optimizer.state.values()]
    calls = getattr(training.model, "calls", None)
    assert why_not(training.stream(), Recipe(accumulate=2)) == ""
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.state().items())
    assert steps == [state["step"] for state in training.optimizer.state.values()]
    assert torch.equal(generator, torch.get_rng_state())
    assert calls == getattr(training.model, "calls", None)
