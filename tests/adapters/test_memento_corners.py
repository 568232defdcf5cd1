"""State in unusual places: it comes back too, and never breaks the range test."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import WIDTH, mse, training
from torch import nn

from stepsize.adapters.torch import Transaction, find_lr

RATES = [1e-4, 1e-3, 1e-2]


def find(run, loss_fn=mse, **options):
    options = {"ladder": RATES, "repeats": 1, **options}
    return find_lr(run.model, run.optimizer, loss_fn, run.loader, **options)


@dataclass(slots=True)
class Slotted:
    steps: int = 0
    seen: list = field(default_factory=list)


@dataclass
class Open:
    steps: int = 0
    seen: list = field(default_factory=list)


@pytest.mark.parametrize("notes", [Open, Slotted])
def test_a_data_class_on_the_model(notes):
    run = training()
    run.model.notes = notes()

    def loss_fn(model, batch):
        model.notes.steps += 1
        model.notes.seen.append(model.notes.steps)
        return mse(model, batch)

    find(run, loss_fn)
    assert run.model.notes == notes()


def test_a_hidden_state_from_inference_mode():
    """As a validation epoch leaves it behind."""
    run = training("lstm")
    with torch.inference_mode():
        run.model(run.loader[0][0])
    kept = run.model.hidden
    run.model.forward = lambda x: run.model.head(run.model.lstm(x.reshape(len(x), 3, 2))[0][:, -1])
    before = Fingerprint(run.model, run.optimizer)
    find(run)
    assert_unchanged(before, run.model, run.optimizer)
    assert run.model.hidden is kept


def test_a_hidden_state_that_still_has_its_graph():
    """Truncated back-propagation: the state is detached only in the next step."""
    run = training("lstm")
    x, _ = run.loader[0]
    _, run.model.hidden = run.model.lstm(x.reshape(len(x), 3, 2))
    before = [h.clone() for h in run.model.hidden]
    kept = run.model.hidden

    def loss_fn(model, batch):
        model.hidden = tuple(h.detach() for h in model.hidden)
        return mse(model, batch)

    find(run, loss_fn)
    assert run.model.hidden is kept
    assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True))


def test_gradients_keep_their_values_and_identity():
    run = training("frozen layer")
    run.begin()
    gradients = {name: p.grad for name, p in run.model.named_parameters()}
    values = {name: None if g is None else g.clone() for name, g in gradients.items()}
    assert None in gradients.values()
    find(run)
    for name, parameter in run.model.named_parameters():
        assert parameter.grad is gradients[name]
        assert values[name] is None or torch.equal(values[name], parameter.grad)


def test_a_gradient_that_no_optimizer_clears():
    """Of a parameter that is trained elsewhere: it is added to in place."""
    run = training()
    run.begin()
    run.optimizer = torch.optim.SGD(run.model[2].parameters(), lr=0.1)
    before = Fingerprint(run.model, run.optimizer)
    assert run.model[0].weight.grad is not None
    find(run)
    assert_unchanged(before, run.model, run.optimizer)


def test_sparse_gradients():
    model = nn.Sequential(nn.Embedding(8, 4, sparse=True), nn.Flatten(), nn.Linear(4 * WIDTH, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(torch.randint(8, (4, WIDTH)), torch.randn(4, 1)) for _ in range(3)]
    mse(model, batches[0]).backward()
    assert model[0].weight.grad.is_sparse
    before = Fingerprint(model, optimizer)
    find_lr(model, optimizer, mse, batches, ladder=RATES, repeats=1)
    assert_unchanged(before, model, optimizer)


def test_a_parameter_that_is_replaced_or_unfrozen_meanwhile():
    run = training("frozen layer")
    before = Fingerprint(run.model, run.optimizer)

    def loss_fn(model, batch):
        model[0].requires_grad_(True)
        model[2].weight = nn.Parameter(torch.zeros(1, 5))
        model[2].bias.data = torch.zeros(1)
        return mse(model, batch)

    find(run, loss_fn)
    assert_unchanged(before, run.model, run.optimizer)


def test_a_module_that_is_added_or_removed_meanwhile():
    run = training()
    before = Fingerprint(run.model, run.optimizer)

    def loss_fn(model, batch):
        model.extra = nn.Linear(1, 1)
        model.register_buffer("more", torch.zeros(1))
        return mse(model, batch)

    find(run, loss_fn)
    assert_unchanged(before, run.model, run.optimizer)


def test_a_state_of_the_loss_function_object():
    class Balanced:
        def __init__(self):
            self.weight, self.calls = torch.ones(1), 0

        def __call__(self, model, batch):
            self.weight *= 1.1
            self.calls += 1
            return self.weight.squeeze() * mse(model, batch)

    run, loss_fn = training(), Balanced()
    find(run, loss_fn)
    assert loss_fn.calls == 0
    assert loss_fn.weight.item() == 1.0


def test_generators_that_have_no_state():
    run = training()
    run.model.dice = random.SystemRandom()
    before = Fingerprint(run.model[0], run.optimizer)
    find(run)
    assert_unchanged(before, run.model[0], run.optimizer)


def test_numpy_generators_of_all_kinds():
    run = training()
    run.model.old, run.model.new = np.random.RandomState(1), np.random.default_rng(2)
    run.model.bits = np.random.PCG64(3)
    state = repr(run.model.bits.state)
    before = Fingerprint(run.model, run.optimizer)

    def loss_fn(model, batch):
        model.bits.random_raw()
        return mse(model, batch) + model.old.rand() + model.new.random()

    find(run, loss_fn)
    assert_unchanged(before, run.model, run.optimizer)
    assert repr(run.model.bits.state) == state


def test_an_accelerator_that_is_not_in_use_is_not_seeded(monkeypatch):
    """``torch.manual_seed`` would also decide the first numbers of a GPU that is used later."""
    if torch.cuda.is_initialized():
        pytest.skip("CUDA is in use")
    run, seeds = training(), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    find(run)
    assert seeds == []


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_the_gradient_mode_of_the_caller_does_not_matter_and_stays(mode):
    run = training()
    with mode():
        expected = torch.is_grad_enabled()
        assert find(run).updates == len(RATES)
        assert torch.is_grad_enabled() == expected


def test_gradient_mode_and_modes_return_after_an_error():
    run = training("frozen norm")

    def loss_fn(model, batch):
        model.eval()
        torch.set_grad_enabled(False)
        raise ZeroDivisionError

    with torch.no_grad():
        before = Fingerprint(run.model)
        with pytest.raises(ZeroDivisionError):
            find(run, loss_fn)
        assert not torch.is_grad_enabled()
    assert_unchanged(before, run.model)


def test_a_transaction_may_restore_many_times():
    model = nn.Linear(1, 1)
    weight = model.weight.clone()
    with Transaction(model) as transaction:
        for _ in range(3):
            with torch.no_grad():
                model.weight.add_(1)
            transaction.restore()
            assert torch.equal(model.weight, weight)


def test_optimizer_hooks_run_and_stay():
    run, steps = training("plain", "adam"), []
    run.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    find(run)
    find(run)
    assert len(steps) == 2 * len(RATES)
