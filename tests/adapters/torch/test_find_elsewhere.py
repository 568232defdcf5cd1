"""find with repeats over workers: the curves of a serial search, to the last bit."""

import importlib
import pickle
import threading
from dataclasses import dataclass, field, replace

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.test_find import make_regression
from torch import nn

from stepsize import Geometric
from stepsize.adapters.torch import Recipe, find, find_engine
from stepsize.adapters.torch.elsewhere import opening
from stepsize.adapters.torch.elsewhere.sweeps import CrewSweeps
from stepsize.engines import EngineChoice, Outcome
from stepsize.engines.auto import Decision
from stepsize.engines.telling import set_say
from stepsize.errors import EngineError, InputError, RangeTestError
from stepsize.finder import FindOptions
from stepsize.finder import find as find_with
from stepsize.rangetest import Rise
from stepsize.tasks import LoadedTask, Task, load

TASK = """
from stepsize.tasks import Task

def make(seed):
    made = training("dropout", "adam", seed)
    return Task(made.model, made.optimizer, mse, data(7, seed=seed))
"""


@dataclass(frozen=True)
class Sent:
    """A task as it is sent, in the simplest way."""

    reference: str

    def load(self):
        torch.rand(1)  # as a task's file may
        if self.reference in globals():
            return LoadedTask(self.reference, globals()[self.reference])
        return load(self.reference)


@dataclass
class Desk:
    """A crew that carries out its calls here, the last one first; whatever is sent is pickled."""

    workers: int = 2
    lose: int = 0  # so many calls are lost
    waiting: dict = field(default_factory=dict)
    submitted: int = 0
    interrupted: bool = False
    name: str = "a desk"
    shares_files: bool = True

    def submit(self, call, hear=None):
        self.submitted += 1
        self.waiting[self.submitted] = (pickle.dumps(call), hear)
        return self.submitted

    def wait(self, seconds=None):
        ticket, (sent, hear) = self.waiting.popitem()
        if self.lose:
            self.lose -= 1
            return [Outcome(ticket, lost="its process was killed")]
        call = pickle.loads(sent)
        module, _, name = call.function.partition(":")
        set_say(hear and (lambda message: hear(pickle.loads(pickle.dumps(message)))))
        try:
            value = getattr(importlib.import_module(module), name)(*call.arguments)
        except Exception as error:  # noqa: BLE001
            return [Outcome(ticket, error=error)]
        finally:
            set_say(None)
        return [Outcome(ticket, value=pickle.loads(pickle.dumps(value)))]

    def interrupt(self):
        self.interrupted = True
        self.waiting.clear()

    def close(self):
        self.waiting.clear()


def make_failing(seed):
    def loss(model, batch):
        if seed == 2:
            raise RangeTestError("on purpose")
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    made = make_regression(seed)
    return Task(made.model, made.optimizer, loss, made.train)


def make_dropout(seed):
    made = make_regression(seed)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 1))
    loader = torch.utils.data.DataLoader(
        [(x[0], y[0]) for x, y in made.train], batch_size=4, shuffle=True
    )
    optimizer = torch.optim.Adam(model.parameters())
    return Task(model, optimizer, made.loss, loader, val=made.val)


def both(reference, recipe=Recipe(), crew=None, **options):
    """The answers of a serial search and of one over a crew."""
    loaded = Sent(reference).load()
    serial = find(loaded, recipe=recipe, engine="serial", **options)
    sweeps = CrewSweeps(crew or Desk(), Sent(reference), recipe)
    return serial, find_with(sweeps, FindOptions.of(**options))


@pytest.mark.parametrize(
    ("reference", "options"),
    [
        ("digits", {"repeats": 3}),
        ("make_dropout", {"repeats": 4, "max_updates": 40}),
        ("make_dropout", {"repeats": 2, "max_updates": 40, "held_out_every": 4, "seed": 5}),
        ("make_dropout", {"repeats": 2, "max_updates": 40, "equal_start": True}),
        ("make_regression", {"repeats": 2, "ladder": [0.01, 0.02, 0.04], "stop": ["lr>0.03"]}),
    ],
)
def test_the_curves_are_those_of_a_serial_search(reference, options):
    serial, elsewhere = both(reference, **options)
    assert elsewhere.repeats == serial.repeats
    assert elsewhere.suggestion == serial.suggestion
    assert elsewhere.updates == serial.updates
    assert elsewhere.notes == serial.notes


def test_a_recipe_goes_along():
    recipe = Recipe(accumulate=2, clip_norm=0.5, autocast=torch.bfloat16)
    serial, elsewhere = both("make_regression", recipe=recipe, repeats=2, max_updates=20)
    assert elsewhere.repeats == serial.repeats


def test_every_point_is_told():
    told = []
    crew = Desk()
    options = FindOptions(repeats=3, max_updates=10, on_point=lambda lr, loss: told.append(loss))
    result = find_with(CrewSweeps(crew, Sent("make_regression"), Recipe()), options)
    assert sorted(told) == sorted(loss for curve in result.repeats for loss in curve.loss)
    assert crew.submitted == 3


def test_a_lost_worker_changes_nothing():
    serial, elsewhere = both("make_dropout", crew=Desk(lose=2), repeats=3, max_updates=20)
    assert elsewhere.repeats == serial.repeats


def test_what_a_range_test_raises_ends_the_search():
    crew = Desk(workers=3)
    sweeps = CrewSweeps(crew, Sent("make_failing"), Recipe())
    with pytest.raises(RangeTestError, match="on purpose"):
        find_with(sweeps, FindOptions(repeats=5))
    assert crew.interrupted
    assert not crew.waiting


def test_a_worker_keeps_its_random_states():
    before = Fingerprint()
    find_with(CrewSweeps(Desk(), Sent("make_dropout"), Recipe()), FindOptions(max_updates=3))
    assert_unchanged(before)


def test_worker_processes_say_what_a_serial_search_says(tmp_path):
    file = tmp_path / "dropout_task.py"
    file.write_text("from adapters.zoo import training, mse, data\n" + TASK)
    told = []
    options = {"repeats": 3, "ladder": Geometric(1e-4, 10.0, rates=40), "refine": True}
    serial = find(f"{file}:make", engine="serial", **options)
    watched = {**options, "on_point": lambda lr, loss: told.append(loss)}
    elsewhere = find(f"{file}:make", engine="processes:2", **watched)
    assert elsewhere.settings["engine"] == "processes:2"
    assert replace(elsewhere, settings=serial.settings) == serial
    assert len(told) >= sum(len(curve) for curve in serial.repeats)


def test_a_task_that_cannot_be_sent_is_refused():
    lock = threading.Lock()

    def make(seed):
        with lock:
            return make_regression(seed)

    with pytest.raises(InputError):
        find(make, repeats=2, engine="processes:2")


class Broken(Desk):
    """No worker ever comes up."""

    def wait(self, seconds=None):
        raise EngineError("No worker process can be started")


@pytest.mark.parametrize("workers", [Desk, Broken])
def test_auto_goes_on_here_where_no_worker_comes_up(monkeypatch, workers):
    options = {"repeats": 2, "max_updates": 5}
    serial = find("digits", engine="serial", **options)
    decision = Decision(EngineChoice("processes", 2), "expected: little")
    monkeypatch.setattr(find_engine, "choose", lambda *given, **options: decision)
    monkeypatch.setattr(opening, "crew_of", lambda engine: workers())
    found = find("digits", engine="auto", **options)
    assert found.repeats == serial.repeats
    if workers is Desk:
        assert found.settings["engine"] == "processes:2"
        assert found.notes == serial.notes
    else:
        assert found.settings["engine"] == "serial"
        assert [note for note in found.notes if "No worker process can be started" in note]
        with pytest.raises(EngineError):
            find("digits", engine="processes:2", **options)


def test_what_a_search_is_has_to_be_sent_too(monkeypatch):
    """Under auto worker processes are not offered then."""
    asked = []

    def choose(*given, sendable):
        asked.append(sendable)
        return Decision(EngineChoice("serial"), "expected: little")

    class Locked(Rise):
        def __reduce__(self):
            raise TypeError("on purpose")

    monkeypatch.setattr(find_engine, "choose", choose)
    for stop in (Rise(), Locked()):
        find("digits", repeats=2, max_updates=5, stop=stop)
    asked[0]()
    with pytest.raises(InputError, match="on purpose"):
        asked[1]()
