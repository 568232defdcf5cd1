"""The threads that make tasks, and torch's other settings, in another process."""

import pickle
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from adapters.torch.trials import trial_of
from torch import nn

from stepsize.adapters.torch import Recipe, threads
from stepsize.adapters.torch.elsewhere.numerics import Numerics
from stepsize.adapters.torch.elsewhere.run_order import RunOrder
from stepsize.adapters.torch.elsewhere.sweeps import order_of, sweep
from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.prospect import prospect
from stepsize.adapters.torch.threads import computing_with
from stepsize.errors import EngineError
from stepsize.finder import FindOptions
from stepsize.tasks import LoadedTask, Task
from stepsize.tasks.packing import packed

seen, loaded_with = [], []


def make(seed):
    """A task that is another one with another number of threads."""
    model = nn.Linear(2, 1)
    nn.init.constant_(model.bias, torch.get_num_threads())

    def loss(model, batch):
        seen.append(torch.get_num_threads())
        return model(batch).square().mean()

    batches = [torch.ones(4, 2)]
    return Task(model, torch.optim.SGD(model.parameters(), lr=0.1), loss, batches, batches)


@dataclass(frozen=True)
class Sent:
    """The task as it is sent."""

    def load(self):
        loaded_with.append(torch.get_num_threads())
        return LoadedTask("threads", make)


@pytest.fixture(autouse=True)
def as_before():
    yield
    threads.make_with(torch.get_num_threads())


def ordered(numerics, source):
    trial = trial_of(Sent().load())
    order = RunOrder(
        Sent(), trial.arm, trial.schedule, 0, 1, 1, source, Recipe(), numerics, packed({})
    )
    return pickle.loads(pickle.dumps(order))


def test_a_worker_has_the_task_that_the_senders_threads_make():
    with computing_with(2):
        numerics, source = Numerics.here(), prospect(Sent().load(), Recipe()).source
    order = ordered(numerics, source)
    with pytest.raises(EngineError, match="another one"):
        ordered(Numerics.here(), source).trial()
    loaded_with.clear()
    trial = order.trial()
    assert loaded_with == [2]
    assert made_task(trial.task, 0, "trained").model.bias.item() == 2.0
    assert torch.get_num_threads() == 1
    assert Numerics.here() == numerics  # what it sends on


def test_a_worker_trains_with_its_own_threads():
    with computing_with(2):
        order = order_of(Sent(), 0, FindOptions(max_updates=3), Recipe())
    seen.clear()
    curve = sweep(order)
    assert curve.loss[0] > 2.0  # a bias of 2
    assert set(seen) == {1}


def test_the_settings_of_backends_go_along():
    before = Numerics.here()
    attention = torch.backends.cuda
    matmul = attention.matmul
    change = [
        partial(setattr, torch.backends.cudnn, "allow_tf32", False),
        partial(setattr, torch.backends.mkldnn, "deterministic", True),
        partial(setattr, matmul, "allow_bf16_reduced_precision_reduction", False),
        partial(attention.enable_flash_sdp, False),
    ]
    try:
        for each in change:
            each()
        changed = pickle.loads(pickle.dumps(Numerics.here()))
        before.apply()
        assert Numerics.here() == before != changed
        changed.apply()
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.mkldnn.deterministic
        assert not matmul.allow_bf16_reduced_precision_reduction
        assert not attention.flash_sdp_enabled()
    finally:
        before.apply()
    assert Numerics.here() == before
