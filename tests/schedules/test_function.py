"""Any Python function as a schedule: called, checked, named, and never run unasked."""

import json
import math
import pickle
import sys
from functools import partial

import pytest

from stepsize.errors import InputError
from stepsize.schedules import Chain, Constant, Function, Linear, from_dict, parse


def halves(step):
    return 0.5**step


class Rates:
    @staticmethod
    def level(step):
        return 0.25

    def method(self, step):
        return 0.75


def path(name):
    return f"{__name__}:{name}"


def test_the_function_gets_whole_steps_and_its_values_come_out():
    seen = []

    def note(step):
        seen.append(step)
        return step / 8

    schedule = Function(note, steps=4)
    assert schedule(3) == 0.375
    assert schedule(9) == schedule(4) == 0.5
    assert schedule.values(6).tolist() == [0.0, 0.125, 0.25, 0.375, 0.5, 0.5]
    assert all(type(step) is int for step in seen)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-300, None, "fast", 1j, 10**400])
def test_every_value_is_checked(bad):
    schedule = Function(lambda step: bad if step == 7 else 0.1)
    assert schedule(6) == 0.1
    for ask in (lambda: schedule(7), lambda: schedule.values(20)):
        with pytest.raises(InputError, match="update 7 got") as caught:
            ask()
        assert repr(bad) in str(caught.value)


def test_the_functions_own_error_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        Function(lambda step: 1 / (step - step))(0)


def test_numbers_of_other_libraries_become_floats():
    import numpy as np

    assert type(Function(lambda step: np.float32(0.5))(0)) is float
    assert type(Function(lambda step: np.array(0.5))(0)) is float
    assert type(Function(lambda step: 1)(0)) is float


@pytest.mark.parametrize("function", [halves, Rates.level, math.sqrt])
def test_an_importable_function_is_its_path(function):
    schedule = Function(function, steps=10)
    assert schedule.function == f"{function.__module__}:{function.__qualname__}"
    assert schedule == Function(schedule.function, 10)
    assert hash(schedule) == hash(Function(schedule.function, 10))
    assert eval(repr(schedule)) == schedule
    assert parse(str(schedule), functions=True) == schedule
    assert pickle.loads(pickle.dumps(schedule))(4) == schedule(4) == function(4)
    stored = json.dumps(schedule.to_dict())
    assert from_dict(json.loads(stored), functions=True) == schedule


def test_a_path_is_kept_as_given():
    assert Function("math:sqrt").function == "math:sqrt"
    assert Function(" os.path:join ").function == "os.path:join"


@pytest.mark.parametrize(
    "function",
    [lambda step: 0.1, partial(pow, 0.5), Rates().method],
    ids=["lambda", "partial", "method"],
)
def test_what_cannot_be_imported_stays_itself_and_cannot_be_written_down(function):
    schedule = Function(function)
    assert schedule.function is function or schedule.function == function
    assert schedule == Function(function) != Function(lambda step: 0.1)
    assert schedule(1) > 0.0
    for whole in (schedule, Chain((Constant(0.1, steps=3), schedule))):
        with pytest.raises(InputError, match=r"cannot be written down.*package\.module:name"):
            whole.to_dict()


def test_a_shadowed_name_is_not_taken_for_the_function(monkeypatch):
    function = halves
    monkeypatch.setattr(sys.modules[__name__], "halves", lambda step: 0.9)
    assert Function(function).function is function
    monkeypatch.delattr(sys.modules[__name__], "halves")
    assert Function(function).function is function


def test_stored_definitions_run_nothing_unasked(tmp_path, monkeypatch):
    (tmp_path / "trap_module.py").write_text("raise SystemExit('the trap was run')")
    monkeypatch.syspath_prepend(tmp_path)
    definition = {"kind": "function", "function": "trap_module:rate"}
    nested = {"kind": "chain", "pieces": [Linear(0.1, steps=3).to_dict(), definition]}
    for stored in (definition, nested):
        with pytest.raises(InputError, match=r"'trap_module:rate'.*functions=True"):
            from_dict(stored)
        from_dict(stored, functions=True)  # reading runs nothing either
    with pytest.raises(SystemExit, match="trap"):
        from_dict(definition, functions=True)(0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("no_such_module:rate", "no_such_module"),
        ("math:no_such_name", "no_such_name"),
        ("math:pi", "is no function but 3.14"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(function, message):
    schedule = Function(function)
    with pytest.raises(InputError, match=message):
        schedule(0)


@pytest.mark.parametrize("function", ["sqrt", "math.sqrt", "a b:c", "math:", ":sqrt", 0.1, None])
def test_what_is_no_function(function):
    with pytest.raises(InputError, match="function"):
        Function(function)


def test_lengths_and_extremes():
    assert Function(halves).length is None
    assert Function(halves, steps="50%").resolve(100).length == 50
    assert Function(halves).extremes() is None
