"""A compiled stack has the numbers of one that is not."""

import shutil

import pytest
import torch
from adapters.torch.fused import family

from stepsize.adapters.torch.fused import Stack
from stepsize.adapters.torch.update import Recipe

RATES = [1e-3, 2e-3, 5e-3, 1e30]


def test_a_compiled_update_is_the_same_update():
    """Compiling takes seconds, so that everything is looked at in one run."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("needs a C++ compiler")
    plain, _ = family.stack_of(family.mlp, family.groups, 4, Recipe(clip_norm=1.0))
    stack, training = family.stack_of(
        family.mlp, family.groups, 4, Recipe(clip_norm=1.0), compiled=True
    )
    training.source.order = plain.streams[0].loader[:] = [
        *family.batches(),
        *family.batches(9, 1, 5),
    ]
    wanted, found = (family.losses_of(each, RATES, 12) for each in (plain, stack))
    assert stack.why_not_compiled == ""
    assert torch.allclose(found[:3], wanted[:3], rtol=1e-4)
    assert torch.equal(found.isfinite(), wanted.isfinite())
    assert not found[3, -1].isfinite()
    stack.keep([2, 0, 1])  # as many rows as before, one of them for nothing
    plain.keep([2, 0, 1])
    wanted, found = (family.losses_of(each, [5e-3, 1e-3, 2e-3], 6) for each in (plain, stack))
    assert torch.allclose(found, wanted, rtol=1e-4)
    plain.pour(1)
    other = [parameter.clone() for parameter in plain.streams[0].model.parameters()]
    stack.pour(1)
    for one, two in zip(training.model.parameters(), other, strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("make", "name"), [(family.dropout, "nesterov"), (family.mlp, "nadam")])
def test_what_a_compiler_would_change_is_not_compiled(make, name):
    stack, _ = family.stack_of(make, family.OPTIMIZERS[name], 2, compiled=True)
    found = family.losses_of(stack, [1e-3, 2e-3], 4)
    wanted, _, _ = family.serial(make, family.OPTIMIZERS[name], 2e-3, 4)
    assert stack.why_not_compiled != ""
    assert found[1].tolist() == pytest.approx(wanted, rel=1e-4)


def test_a_compiler_that_fails_leaves_the_numbers_alone(monkeypatch):
    def fails(*args, **options):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", fails)
    training = family.Training(family.mlp, family.OPTIMIZERS["adam"])
    stack = Stack([training.stream()], [0, 0], Recipe(), compiled=True)
    found = family.losses_of(stack, [1e-3, 2e-3], 4)
    wanted, _, _ = family.serial(family.mlp, family.OPTIMIZERS["adam"], 2e-3, 4)
    assert "no compiler here" in stack.why_not_compiled
    assert found[1].tolist() == pytest.approx(wanted, rel=1e-4)
