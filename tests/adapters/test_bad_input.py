"""What cannot be range-tested is refused in one clear sentence, and everything is restored."""

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import data, mse, training
from torch import nn
from torch.utils.data import TensorDataset

from stepsize.adapters.torch import find_lr
from stepsize.errors import InputError, RangeTestError


def refused(kind, message, run=None, **changes):
    """Check that ``find_lr`` with ``changes`` to a good call raises and restores."""
    run = run or training("batch norm", "adam")
    call = {"loss_fn": mse, "loader": run.loader, "model": run.model, "optimizer": run.optimizer}
    call |= {"ladder": [1e-3, 1e-2, 1e-1], **changes}
    before = Fingerprint(run.model, run.optimizer)
    with pytest.raises(kind, match=message) as caught:
        find_lr(**call)
    assert "\n" not in str(caught.value).strip()
    assert_unchanged(before, run.model, run.optimizer)


@pytest.mark.parametrize("model", [None, nn.Linear, lambda x: x, "resnet", [nn.Linear(1, 1)]])
def test_a_model_of_the_wrong_kind(model):
    refused(InputError, r"model must be a torch\.nn\.Module", model=model)


@pytest.mark.parametrize("optimizer", [None, torch.optim.SGD, 0.1])
def test_an_optimizer_of_the_wrong_kind(optimizer):
    refused(InputError, r"optimizer must be a torch\.optim\.Optimizer", optimizer=optimizer)


def test_a_lazy_model():
    lazy = nn.Sequential(nn.LazyLinear(1))
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(InputError, match="lazy layers"):
        find_lr(lazy, optimizer, mse, data())


@pytest.mark.parametrize(
    "loss_fn",
    [
        None,
        "mse",
        nn.MSELoss(),
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss,
        nn.functional.cross_entropy,
        nn.functional.mse_loss,
        lambda batch: 0.0,
        lambda model, x, y: 0.0,
    ],
)
def test_a_loss_function_of_the_wrong_kind(loss_fn):
    refused(InputError, r"loss_fn\(model, batch\).*Wrap a criterion", loss_fn=loss_fn)


@pytest.mark.parametrize(
    ("loss_fn", "message"),
    [
        (lambda m, b: None, "scalar tensor, got NoneType"),
        (lambda m, b: mse(m, b).item(), "scalar tensor, got float"),
        (lambda m, b: (mse(m, b), 1), "scalar tensor, got tuple"),
        (lambda m, b: m(b[0]), r"scalar tensor, got a tensor of shape \(4, 1\).*loss\.mean"),
        (lambda m, b: mse(m, b).detach(), "no gradient.*detached"),
        (lambda m, b: torch.tensor(1.0), "no gradient"),
    ],
)
def test_a_loss_of_the_wrong_kind(loss_fn, message):
    refused(RangeTestError, message, loss_fn=loss_fn)


def test_a_loss_of_a_model_that_is_frozen_altogether():
    run = training()
    run.model.requires_grad_(False)
    refused(RangeTestError, "every layer frozen", run)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (None, "iterable of batches, got NoneType"),
        (7, "iterable of batches, got int"),
        ("digits", "iterable of batches, got str"),
        ({"x": 1}, "iterable of batches, got dict"),
        (TensorDataset(torch.zeros(4, 6)), "iterable of batches, got TensorDataset"),
    ],
)
def test_a_loader_of_the_wrong_kind(loader, message):
    refused(InputError, message, loader=loader)


@pytest.mark.parametrize("loader", [[], (), iter([]), torch.utils.data.DataLoader([])])
def test_an_empty_loader(loader):
    refused(RangeTestError, "is empty", loader=loader)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("accumulate", 0, "at least 1, got 0"),
        ("accumulate", 1.5, "at least 1, got 1.5"),
        ("clip_norm", 0.0, "clip_norm must be positive"),
        ("clip_value", -1.0, "clip_value must be positive"),
        ("autocast", "bfloat16", "a dtype such as"),
        ("scaler", True, "a torch.amp.GradScaler, got True"),
        ("also", nn.Linear(1, 1), r"also=\[\.\.\.\]"),
        ("repeats", 0, "repeats must be a whole number"),
        ("seed", -1, "seed must be a whole number"),
        ("max_updates", 0, "max_updates must be a whole number"),
        ("max_seconds", 0.0, "max_seconds must be a positive"),
        ("extend_decades", -1.0, "extend_decades must be a finite"),
        ("repeats", 2.5, "repeats must be a whole number"),
        ("seed", 2**64, "seed must be a whole number"),
        ("extend_decades", float("inf"), "extend_decades must be a finite"),
        ("max_seconds", "1", "max_seconds must be a positive"),
        ("held_out", 3, "held_out must be an iterable"),
        ("held_out", [], "held_out is empty"),
        ("held_out_every", 3, "needs held_out"),
        ("ladder", [], "at least one learning rate"),
        ("ladder", [0.1, 0.0], "finite number of at least"),
        ("ladder", [0.1, 0.01], "climbs"),
        ("ladder", 0.1, "iterable of numbers"),
        ("stop", "sometimes", "stop rule is one of"),
        ("stop", 3, "stop is a rule"),
    ],
)
def test_an_option_that_makes_no_sense(option, value, message):
    refused(InputError, message, **{option: value})


def test_a_scaler_with_an_optimizer_that_needs_a_closure():
    run = training(optimizer="lbfgs")
    refused(InputError, "needs a closure", run, scaler=torch.amp.GradScaler("cpu"))


@pytest.mark.parametrize("kind", [ValueError, GeneratorExit, SystemExit, StopIteration])
def test_an_exception_of_the_users_code_is_raised_as_it_is(kind):
    run, mine = training(), kind("mine")

    def loss_fn(model, batch):
        raise mine

    before = Fingerprint(run.model, run.optimizer)
    with pytest.raises(kind) as caught:
        find_lr(run.model, run.optimizer, loss_fn, run.loader)
    assert caught.value is mine
    assert_unchanged(before, run.model, run.optimizer)


def test_an_exception_on_entering_restores_everything():
    run = training("batch norm")

    class Stubborn(nn.Module):
        def train(self, mode=True):
            raise ZeroDivisionError

    run.model.stubborn = Stubborn()
    for module in run.model.modules():
        module.training = False
    before = Fingerprint(run.model, run.optimizer)
    with pytest.raises(ZeroDivisionError):
        find_lr(run.model, run.optimizer, mse, run.loader)
    assert_unchanged(before, run.model, run.optimizer)
