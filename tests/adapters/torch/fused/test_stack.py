"""What can be done with a stack beside updating it, and what never happens."""

import math

import pytest
import torch
from adapters.torch.fused import family
from torch import nn

from stepsize.adapters.torch.fused import Stack
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import InputError

SGD = family.OPTIMIZERS["nesterov"]
ADAM = family.OPTIMIZERS["adam"]


def exploding(model):
    return torch.optim.SGD(model.parameters(), momentum=0.9)


def states(training):
    """Everything that pouring writes to, bit for bit."""
    kept = [training.optimizer.state.get(p, {}) for p in training.model.parameters()]
    numbers = [(key, value) for state in kept for key, value in state.items()]
    return [*training.state().items(), *((key, torch.as_tensor(v).clone()) for key, v in numbers)]


def same(first, second):
    return len(first) == len(second) and all(
        a == b and torch.equal(one, two) for (a, one), (b, two) in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("make", [family.mlp, family.cnn])
def test_a_copy_that_diverges_leaves_the_others_bit_for_bit_alone(make):
    calm, training = family.stack_of(make, exploding, 3)
    wanted = family.losses_of(calm, [1e-3, 1e-3, 2e-3], 30)
    ends = [(calm.pour(copy), states(training))[1] for copy in (0, 2)]
    wild, training = family.stack_of(make, exploding, 3)
    found = family.losses_of(wild, [1e-3, 1e30, 2e-3], 30)
    assert torch.equal(found[[0, 2]], wanted[[0, 2]])
    first = found[1].isfinite().logical_not().nonzero()[0, 0]
    assert not found[1, first:].isfinite().any()
    for copy, end in zip((0, 2), ends, strict=True):
        wild.pour(copy)
        assert same(states(training), end)


@pytest.mark.parametrize("of", [SGD, ADAM])
def test_a_frozen_copy_stays_as_it_is(of):
    stack, training = family.stack_of(family.cnn, of, 3)
    family.losses_of(stack, [1e-3] * 3, 3)
    stack.pour(1)
    before = states(training)
    stack.freeze(1)
    losses = family.losses_of(stack, [1e-3] * 3, 3)
    assert losses[1].isnan().all()
    assert torch.equal(losses[0], losses[2])
    stack.pour(1)
    changed = {"step", "begun"}  # the count goes on with the others
    after = states(training)
    assert same([pair for pair in after if pair[0] not in changed],
                [pair for pair in before if pair[0] not in changed])  # fmt: skip


def test_copies_that_are_kept_go_on_as_if_the_others_had_never_been():
    rates = [1e-3, 2e-3, 3e-3, 4e-3]
    whole, _ = family.stack_of(family.cnn, ADAM, 4)
    wanted = family.losses_of(whole, rates, 10)
    stack, _ = family.stack_of(family.cnn, ADAM, 4)
    family.losses_of(stack, rates, 5)
    stack.keep([3, 1])
    assert len(stack) == 2
    found = family.losses_of(stack, [4e-3, 2e-3], 5)
    assert torch.allclose(found, wanted[[3, 1], 5:], rtol=1e-5)


@pytest.mark.parametrize("name", family.OPTIMIZERS)
def test_what_is_scooped_is_poured_bit_for_bit(name):
    of = family.OPTIMIZERS[name]
    for updates in (0, 3):
        training = family.Training(family.tied, of)
        training.run(1e-3, updates)
        before = states(training)
        stack = Stack([training.stream()], [0, 0], Recipe())
        training.run(1e-3, 2)
        stack.pour(1)
        assert same(states(training), before)


@pytest.mark.parametrize("name", family.OPTIMIZERS)
def test_a_poured_copy_goes_on_serially_as_it_would_have_in_the_stack(name):
    of = family.OPTIMIZERS[name]
    wanted, _, _ = family.serial(family.tied, of, 1e-3, 12)
    stack, training = family.stack_of(family.tied, of, 2)
    family.losses_of(stack, [1e-2, 1e-3], 6)
    stack.pour(1)
    found = training.run(1e-3, 6)
    assert found == pytest.approx(wanted[6:], rel=1e-4)


def test_copies_that_have_made_other_numbers_of_updates_are_not_mixed():
    stack, training = family.stack_of(family.tied, ADAM, 2)
    training.run(1e-3, 6)
    stack.scoop(0)
    with pytest.raises(InputError):
        stack.update([1e-3, 1e-3])
    stack.scoop(1)
    assert stack.update([1e-3, 1e-3]).isfinite().all()


def test_all_copies_of_a_later_state_go_on_from_there():
    wanted, _, _ = family.serial(family.cnn, ADAM, 1e-3, 10)
    stack, training = family.stack_of(family.cnn, ADAM, 2)
    early = training.run(1e-3, 4)
    for copy in range(2):
        stack.scoop(copy)
    losses = family.losses_of(stack, [1e-3, 1e-3], 6)
    assert [*early, *losses[0].tolist()] == pytest.approx(wanted, rel=1e-4)
    assert torch.equal(losses[0], losses[1])


@pytest.mark.parametrize("make", [family.cnn, family.dropout, family.lstm])
def test_copies_of_several_seeds_have_the_numbers_of_their_own_runs(make):
    order, rates = [1, 0, 1, 2], [1e-3, 2e-3, 3e-3, 4e-3]
    torch.manual_seed(99)
    caller = torch.get_rng_state()
    streams = []
    for seed in range(3):
        streams.append(family.Training(make, ADAM, seed).stream())
    torch.set_rng_state(caller)
    stack = Stack(streams, order, Recipe(accumulate=2))
    found = family.losses_of(stack, rates, 8)
    assert torch.equal(torch.get_rng_state(), caller)
    for copy, (seed, rate) in enumerate(zip(order, rates, strict=True)):
        alone = family.serial(make, ADAM, rate, 8, seed, Recipe(accumulate=2))
        losses, _, generator = alone
        assert found[copy].tolist() == pytest.approx(losses, rel=1e-4)
        assert torch.equal(streams[seed].random.cpu, generator)
    stack.keep([2, 3])
    assert stack.update([1e-3, 1e-3]).isfinite().all()


def test_streams_whose_batches_have_other_shapes_are_run_one_by_one():
    trainings = [family.Training(family.mlp, SGD, seed) for seed in range(2)]
    for size, training in zip((8, 5), trainings, strict=True):
        training.source.order = training.batches[:] = family.batches(size=size)
    stack = Stack([training.stream() for training in trainings], [0, 1], Recipe())
    found = family.losses_of(stack, [1e-3, 1e-3], 4)
    again = family.Training(family.mlp, SGD, 1)
    again.source.order = family.batches(size=5)
    assert found[1].tolist() == pytest.approx(again.run(1e-3, 4), rel=1e-4)


def test_what_cannot_be_is_refused_before_anything_changes():
    training = family.Training(family.mlp, SGD)
    stream = training.stream()
    for copies in ([], [1]):
        with pytest.raises(InputError):
            Stack([stream], copies, Recipe())
    with pytest.raises(InputError):
        Stack([family.Training(family.mlp, torch_lbfgs).stream()], [0], Recipe())
    stack = Stack([stream], [0, 0], Recipe())
    for bad in ([], [0, 0], [2]):
        with pytest.raises(InputError):
            stack.keep(bad)
    with pytest.raises(InputError):
        stack.update([1e-3])
    assert math.isclose(*stack.update([1e-3, 1e-3]).tolist())


def torch_lbfgs(model):
    return torch.optim.LBFGS(model.parameters())


def test_a_loss_that_is_a_module_and_groups_loaded_anew_are_followed():
    class Loss(nn.Module):
        def forward(self, model, batch):
            return family.loss(model, batch)

    training = family.Training(family.mlp, SGD)
    stream = training.stream()
    stream.loss = Loss()
    stack = Stack([stream], [0, 0], Recipe())
    first = stack.update([1e-2, 1e-2])
    training.optimizer.load_state_dict(training.optimizer.state_dict())
    for group in training.optimizer.param_groups:
        group["momentum"] = 0.0
        group["nesterov"] = False
    rest = family.losses_of(stack, [1e-2, 1e-2], 3)
    with_momentum, _, _ = family.serial(family.mlp, SGD, 1e-2, 4)
    assert first[0].item() == pytest.approx(with_momentum[0])
    assert rest[0, -1].item() != pytest.approx(with_momentum[-1], rel=1e-4)
