"""What a forward pass does beside computing is found out, whenever it begins."""

import math
import random
import types

import numpy
import pytest
import torch
from adapters.torch.fused import family
from torch import nn

from stepsize.adapters.torch.fused import Stack, UnevenGradientsError, streams
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.update import Recipe, Update

ADAM = family.OPTIMIZERS["adam"]
SGD = family.OPTIMIZERS["sgd"]
SEEDS = (0, 1)


class Annealed:
    """A loss whose weight depends on how often it was called."""

    def __init__(self):
        self.calls = self.step = 0

    def __call__(self, model, batch):
        self.calls += self.step
        return family.loss(model, batch) * (1 + 0.1 * self.calls)


def enclosed():
    """The same, with a counter that a function has enclosed."""
    calls = 0

    def annealed(model, batch):
        nonlocal calls
        calls += 1
        return family.loss(model, batch) * (1 + 0.1 * calls)

    return annealed


def _noisy(self, inputs):
    kind, size = self.noise
    if kind == "torch":
        inputs = inputs + size * torch.randn_like(inputs)
    if kind == "python":
        inputs = inputs + size * random.random()
    if kind == "numpy":
        inputs = inputs + size * numpy.random.randn()
    return self.head(inputs)


def noisy():
    model = family.Model(_noisy, head=nn.Linear(family.INPUTS, family.CLASSES))
    model.noise = ("none", 0.0)
    return model


def _cached(self, inputs):
    if self.scale is None:
        self.scale = torch.full((family.CLASSES,), 2.0)
    return self.head(inputs) * self.scale


def cached():
    model = family.Model(_cached, head=nn.Linear(family.INPUTS, family.CLASSES))
    model.scale = None
    return model


def _two_headed(self, inputs):
    outputs = self.one(inputs)
    return outputs + self.two(inputs) if self.both else outputs


def two_headed():
    model = family.Model(
        _two_headed,
        one=nn.Linear(family.INPUTS, family.CLASSES),
        two=nn.Linear(family.INPUTS, family.CLASSES),
    )
    model.both = False
    return model


def _two_headed_later(self, inputs):
    steps = self.body(inputs.view(-1, 4, 3))[0][:, -1]
    return self.head(steps) + self.two(steps) if self.both else self.head(steps)


def recurrent():
    model = family.Model(
        _two_headed_later, body=nn.GRU(3, 4), head=nn.Linear(4, 3), two=nn.Linear(4, 3)
    )
    model.both = False
    return model


class Seeded:
    """Streams of two seeds in a stack, and the same trainings alone."""

    def __init__(self, make, of, loss=lambda: family.loss, **options):
        self.trainings = [family.Training(make, of, seed) for seed in SEEDS]
        self.streams = [training.stream() for training in self.trainings]
        for stream in self.streams:
            stream.loss = loss()
        # Each generator was seeded as its training was made.
        for seed, stream in zip(SEEDS, self.streams, strict=True):
            self.seed(seed)
            stream.random = streams.RandomStates()
        self.stack = Stack(self.streams, [0, 1, 1], Recipe(), **options)

    @staticmethod
    def seed(seed):
        random.seed(seed)
        numpy.random.seed(seed)
        numpy.random.randn()  # a second number is kept
        torch.manual_seed(seed)


def alone(make, of, seed, updates, loss, change=None, at=0):
    """The losses of a serial run; ``change(stream)`` is made before update ``at``."""
    training = family.Training(make, of, seed)
    stream = training.stream()
    stream.loss = loss
    Seeded.seed(seed)
    update = Update(training.model, training.optimizer, loss, training.source, Recipe())
    GroupRates(training.optimizer).set(1e-2)
    losses = []
    for number in range(updates):
        if change is not None and number == at:
            change(stream)
        losses.append(update().item())
    return losses


def check(make, of, loss=lambda: family.loss, change=None, at=0, updates=14):
    together = Seeded(make, of, loss)
    found = []
    for update in range(updates):
        if change is not None and update == at:
            for stream in together.streams:
                change(stream)
        found.append(together.stack.update([1e-2] * 3))
    found = torch.stack(found, dim=1)
    for copy, seed in enumerate((0, 1, 1)):
        wanted = alone(make, of, seed, updates, loss(), change, at)
        assert found[copy].tolist() == pytest.approx(wanted, rel=1e-4)
    return together


def counting():
    loss = Annealed()
    loss.step = 1
    return loss


@pytest.mark.parametrize("loss", [counting, enclosed])
def test_streams_whose_loss_counts_have_the_numbers_of_their_own_runs(loss):
    together = check(family.mlp, ADAM, loss)
    values = []
    for stream in together.streams:  # as an evaluation would: with the count of its own run
        values.append(stream.loss(lambda x: torch.zeros(len(x), 3), family.batches()[0]).item())
    assert values[0] == values[1] == pytest.approx(math.log(3) * (1 + 0.1 * 15))


def test_a_loss_that_begins_to_count_is_noticed_when_it_is_looked_at():
    def begin(stream):
        stream.loss.step = 1

    together = check(family.mlp, ADAM, Annealed, begin, at=9)  # the tenth update is looked at
    assert [stream.loss.calls for stream in together.streams] == [5, 5]


@pytest.mark.parametrize("kind", ["torch", "python", "numpy"])
@pytest.mark.parametrize("at", [0, 4])
def test_streams_that_draw_at_some_time_have_the_numbers_of_their_own_runs(kind, at):
    def begin(stream):
        stream.model.noise = (kind, 0.5)

    check(noisy, SGD, change=begin, at=at)


def test_a_cache_is_no_state():
    together = check(cached, ADAM)
    assert not together.stack._passes.keeps


def both(stream):
    stream.model.both = True


def weights_of(stack):
    return [tensor.clone() for tensor in stack.rows_of(range(len(stack))).parameters.values()]


@pytest.mark.parametrize("several", [False, True])
def test_parameters_with_gradients_now_and_then_are_told_before_anything_is_written(several):
    together = Seeded(two_headed, ADAM)
    stack = together.stack if several else Stack(together.streams[:1], [0, 0], Recipe())
    rates = [1e-2] * len(stack)
    for _ in range(4):
        stack.update(rates)
    before = weights_of(stack)
    for stream in together.streams:
        both(stream)
    with pytest.raises(UnevenGradientsError):
        stack.update(rates)
    assert all(torch.equal(*pair) for pair in zip(before, weights_of(stack), strict=True))


def test_seeds_whose_parameters_have_gradients_at_other_times_are_told():
    together = Seeded(two_headed, SGD)
    both(together.streams[1])
    with pytest.raises(UnevenGradientsError):
        together.stack.update([1e-2] * 3)


def test_an_optimizer_that_keeps_nothing_counts_nothing():
    check(two_headed, SGD, change=both, at=3, updates=8)


def test_a_state_that_says_which_parameters_have_gradients_is_believed():
    training = family.Training(two_headed, ADAM)
    training.run(1e-2, 2)
    stack = Stack([training.stream()], [0, 0], Recipe())
    both(stack.streams[0])
    with pytest.raises(UnevenGradientsError):
        stack.update([1e-2] * 2)


def test_recurrent_layers_are_looked_at_now_and_then():
    stack, _ = family.stack_of(recurrent, ADAM, 2)
    family.losses_of(stack, [1e-2] * 2, 5)
    both(stack.streams[0])
    with pytest.raises(UnevenGradientsError):
        family.losses_of(stack, [1e-2] * 2, 5)


def uncompiled(monkeypatch):
    """A compiler that leaves everything as it is."""
    monkeypatch.setattr(torch, "compile", lambda step, **options: step)


def test_compiled_updates_are_looked_at_now_and_then(monkeypatch):
    uncompiled(monkeypatch)
    stack, _ = family.stack_of(two_headed, SGD, 2, compiled=True)
    family.losses_of(stack, [1e-2] * 2, 5)
    assert stack.why_not_compiled == ""
    both(stack.streams[0])
    with pytest.raises(UnevenGradientsError):
        family.losses_of(stack, [1e-2] * 2, 5)


def test_what_begins_later_leaves_the_compiler(monkeypatch):
    uncompiled(monkeypatch)
    stack, _ = family.stack_of(noisy, SGD, 2, compiled=True)
    family.losses_of(stack, [1e-2] * 2, 9)
    assert stack.why_not_compiled == ""
    stack.streams[0].model.noise = ("torch", 0.5)
    family.losses_of(stack, [1e-2] * 2, 2)
    assert stack.why_not_compiled != ""
    training = family.Training(family.mlp, SGD)
    stream = training.stream()
    stream.loss = counting()
    stack = Stack([stream], [0, 0], Recipe(), compiled=True)
    found = family.losses_of(stack, [1e-2] * 2, 4)
    assert stack.why_not_compiled != ""
    assert found[0].tolist() == pytest.approx(alone(family.mlp, SGD, 0, 4, counting()), rel=1e-4)


def test_generators_go_on_from_where_each_stream_has_left_them():
    def draws():
        return random.random(), torch.rand(1).item(), numpy.random.rand(), numpy.random.randn()

    wanted = {}
    turns = {}
    for seed in range(3):
        Seeded.seed(seed)
        turns[seed] = types.SimpleNamespace(random=streams.RandomStates())
        wanted[seed] = [draws() for _ in range(6)]
    Seeded.seed(9)
    caller = streams.RandomStates()
    found = []
    for turn in range(6):
        if turn % 2:
            streams.in_turn(turns, lambda seed: None)  # nobody moves
        found.append(streams.in_turn(turns, lambda seed: draws()))
        assert streams.RandomStates() == caller
    assert {seed: [each[seed] for each in found] for seed in turns} == wanted
