"""How many copies fit."""

import pytest
import torch
from adapters.torch.fused import family

from stepsize.adapters.torch.fused import memory, most_copies
from stepsize.adapters.torch.update import Recipe


def need(make, name, size=8):
    training = family.Training(make, family.OPTIMIZERS[name])
    training.batches[:] = family.batches(size=size)
    before, generator = training.state(), torch.get_rng_state()
    found = memory.bytes_of(training.stream(), Recipe())
    assert all(torch.equal(tensor, before[key]) for key, tensor in training.state().items())
    assert torch.equal(generator, torch.get_rng_state())
    return found


def test_what_a_copy_needs_is_what_it_is_made_of():
    weights = 4 * (12 * 16 + 16 + 16 * 3 + 3)
    for name, states in (("sgd", 0), ("nesterov", 1), ("adamw", 2), ("adam", 3)):
        found = need(family.mlp, name)
        assert (found.weights, found.gradients, found.state) == (weights, weights, states * weights)
        assert found.step == (weights if name in ("adamw", "adam") else 0)
        assert found.copy == (2 + 2 * states + 1) * weights + found.step + 2 * found.activations
    assert need(family.mlp, "nadam").step == weights
    assert need(family.frozen, "sgd").gradients < need(family.frozen, "sgd").weights
    assert need(family.cnn, "sgd").buffers == 4 * 8 + 8


@pytest.mark.parametrize("make", [family.cnn, family.gpt, family.lstm])
def test_activations_grow_with_the_batch_and_weights_do_not(make):
    small, large = need(make, "adam", 8), need(make, "adam", 80)
    assert 8 * small.activations < large.activations <= 10 * small.activations + 1000
    assert large.batch == 10 * small.batch
    assert small.copy - 2 * small.activations == large.copy - 2 * large.activations


def test_as_many_as_fit_and_never_none(monkeypatch):
    training = family.Training(family.mlp, family.OPTIMIZERS["adam"])
    one = memory.bytes_of(training.stream(), Recipe())
    for copies in (1, 5, 100):
        room = (copies * one.copy + one.batch) / memory.FILLED + 1
        monkeypatch.setattr(memory, "available", lambda device, room=room: room)
        assert most_copies(training.stream(), Recipe()) == copies
    monkeypatch.setattr(memory, "available", lambda device: 0.0)
    assert most_copies(training.stream(), Recipe()) == 1


def test_each_stream_takes_room_of_its_own(monkeypatch):
    training = family.Training(family.mlp, family.OPTIMIZERS["adam"])
    one = memory.bytes_of(training.stream(), Recipe())
    for copies, streams in ((1, 2), (3, 3), (3, 9), (8, 3)):
        need = copies * (one.copy + one.batch) + min(copies, streams) * one.stream
        monkeypatch.setattr(memory, "available", lambda device, need=need: need / memory.FILLED + 1)
        assert most_copies(training.stream(), Recipe(), streams) == copies


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    unlimited = memory.available(torch.device("cpu"))
    assert 0 < unlimited < float("inf")
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert memory.available(torch.device("cpu")) == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available(torch.device("cpu")) > 600_000
