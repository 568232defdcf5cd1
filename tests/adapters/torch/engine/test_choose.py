"""The engine that is asked for, and the one that trains."""

import math
import random

import pytest
import torch
from adapters.torch.trials import CallableLoss, maker
from adapters.zoo import mse

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.engine import pace
from stepsize.adapters.torch.engine.bench import Bench
from stepsize.adapters.torch.engine.choose import choose
from stepsize.adapters.torch.engine.pace import pace_of
from stepsize.engines import EngineChoice, auto, machine
from stepsize.engines.auto import Work
from stepsize.errors import InputError
from stepsize.tasks import LoadedTask, Task

LITTLE = Work(trainings=4, updates=3, at_once=4, evaluations=1)
MUCH = Work(trainings=4, updates=10**6, at_once=4, evaluations=1)


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """A compiler takes seconds."""
    monkeypatch.setattr(pace, "worth_compiling", lambda work, pace: False)


def chosen(asked, make, work=LITTLE, recipe=None):
    loaded = LoadedTask("mine", make)
    return choose(EngineChoice.of(asked), loaded, recipe or Recipe(), work)


@pytest.mark.parametrize("asked", ["serial", "processes", "processes:3", "dask://head:1"])
def test_what_is_asked_for_is_taken_without_a_look(asked):
    def make(seed):
        raise AssertionError("nobody asked for it")

    assert str(chosen(asked, make).engine) == asked


@pytest.mark.parametrize("work", [LITTLE, Work(trainings=1, updates=10**9, at_once=1)])
def test_little_work_is_serial(work):
    assert str(chosen("auto", maker(), work).engine) == "serial"


def test_fused_is_taken_where_it_is_possible():
    decision = chosen("fused", maker("batch norm"))
    assert str(decision.engine) == "fused"
    assert decision.copies >= 4
    assert not decision.compiled


def test_what_cannot_be_fused_goes_another_way_with_the_reason():
    decision = chosen("fused", maker("batch norm", loss=lambda seed: CallableLoss()))
    assert str(decision.engine) == "serial"
    assert "cannot be fused" in decision.reason
    scaler = torch.amp.GradScaler("cpu")
    assert "cannot be fused" in chosen("fused", maker(), recipe=Recipe(scaler=scaler)).reason


def test_a_task_that_raises_is_left_to_the_training_to_tell():
    def loss(seed):
        def broken(model, batch):
            raise SystemExit(3)

        return broken

    assert str(chosen("auto", maker(loss=loss), MUCH).engine) == "serial"


def test_measuring_leaves_no_trace():
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    found = pace_of(LoadedTask("mine", maker("dropout", loader="noisy")), Recipe(), MUCH)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.get_num_threads()) == before[1:]
    assert 0 < found.serial.update < math.inf
    assert 0 < found.fused.update < math.inf
    assert found.why_not == {} or "processes" in found.why_not


def test_compiling_is_tried_where_it_may_pay(monkeypatch):
    tried = []
    monkeypatch.setattr(pace, "worth_compiling", auto.worth_compiling)
    monkeypatch.setattr(Bench, "fused", lambda self, copies: auto.Beat(1e-9, 1e-9))
    monkeypatch.setattr(Bench, "compiled", lambda self, fused: tried.append(fused) or fused)
    pace_of(LoadedTask("mine", maker("batch norm")), Recipe(), MUCH)
    assert tried == []  # it is quick enough without
    monkeypatch.setattr(auto, "COMPILE_SECONDS", 0.0)
    pace_of(LoadedTask("mine", maker("batch norm")), Recipe(), MUCH)
    assert tried == [auto.Beat(1e-9, 1e-9)]


def refuse():
    raise InputError("a lambda")


def why_not(work=MUCH, make=None, **options):
    return pace_of(
        LoadedTask("mine", make or maker("batch norm")), Recipe(), work, **options
    ).why_not


def test_worker_processes_get_what_can_be_sent_to_them_and_a_machine_of_their_own(monkeypatch):
    monkeypatch.setattr(pace, "usable_cores", lambda: 8)
    assert why_not(sendable=lambda: None) == {}
    assert why_not(sendable=refuse) == {"processes": "a lambda"}
    monkeypatch.setattr(pace, "device_of", lambda model: torch.device("cuda", 1))
    assert "cuda:1" in why_not(sendable=lambda: None)["processes"]


@pytest.mark.parametrize(("room", "workers"), [(2.4, 1), (2.6, 2), (7.0, 5), (99.0, 8)])
def test_no_more_worker_processes_than_fit_into_the_memory(monkeypatch, room, workers):
    monkeypatch.setattr(pace, "usable_cores", lambda: 8)
    monkeypatch.setattr(pace, "resident_bytes", lambda: 10**9)
    monkeypatch.setattr(pace, "available", lambda device: room * 10**9)
    make = LoadedTask("mine", maker("batch norm"))
    found = pace_of(make, Recipe(), MUCH, sendable=lambda: None)
    assert found.workers == workers
    assert ("memory" in found.why_not.get("processes", "")) == (workers == 1)


def test_a_worker_process_is_timed_with_its_threads(monkeypatch):
    asked = []
    serial = Bench.serial
    monkeypatch.setattr(Bench, "serial", lambda self, *given: asked.append(given) or serial(self))
    monkeypatch.setattr(pace, "usable_cores", lambda: 16)
    monkeypatch.setattr(machine, "usable_cores", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    work = Work(trainings=2, updates=10**6, at_once=2)
    pace_of(LoadedTask("mine", maker("batch norm")), Recipe(), work, sendable=lambda: None)
    assert asked == [(), (8,)]


@pytest.mark.parametrize("rate", [0.1, 1e6])
def test_it_is_tried_before_anything_is_trained(rate):
    """However its weights would grow at its own rate."""

    def make(seed):
        made = maker("batch norm")(seed)
        weight = next(made.model.parameters())
        optimizer = torch.optim.SGD(made.model.parameters(), lr=rate)

        def loss(model, batch):
            own = next(model.parameters()) is weight
            return mse(model, batch) * (1.0 if own else 1.5)

        return Task(made.model, optimizer, loss, made.train, made.val)

    assert "losses" in why_not(make=make)["fused"]
    assert "losses" in why_not(LITTLE, make, fused=True)["fused"]
