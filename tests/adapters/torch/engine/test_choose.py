"""The engine that is asked for, and the one that trains."""

import math
import random

import pytest
import torch
from adapters.torch.trials import CallableLoss, maker

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.engine.choose import choose
from stepsize.adapters.torch.engine.pace import pace_of
from stepsize.engines import EngineChoice, auto
from stepsize.engines.auto import Work
from stepsize.tasks import LoadedTask

LITTLE = Work(trainings=4, updates=3, at_once=4, evaluations=1)
MUCH = Work(trainings=4, updates=10**6, at_once=4, evaluations=1)


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
    pace = pace_of(LoadedTask("mine", maker("dropout", loader="noisy")), Recipe(), MUCH)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.get_num_threads()) == before[1:]
    assert 0 < pace.serial.update < math.inf
    assert 0 < pace.fused.update < math.inf
    assert pace.why_not == {} or "processes" in pace.why_not


def test_compiling_is_tried_where_it_may_pay(monkeypatch):
    tried = []
    from stepsize.adapters.torch.engine.pace import _Bench

    def fused(self, copies, *, compiled=False):
        tried.append(compiled)
        return auto.Beat(1e-9, 1e-9)

    monkeypatch.setattr(_Bench, "fused", fused)
    pace_of(LoadedTask("mine", maker("batch norm")), Recipe(), MUCH)
    assert tried == [False]  # it is quick enough without
    monkeypatch.setattr(auto, "COMPILE_SECONDS", 0.0)
    pace_of(LoadedTask("mine", maker("batch norm")), Recipe(), MUCH)
    assert tried == [False, False, True]
