"""tune on every engine: the recommendation of a serial search, at its price."""

import random
import textwrap
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

import stepsize as ss  # noqa: E402
from stepsize.adapters.torch import tune_engine  # noqa: E402
from stepsize.adapters.torch.elsewhere import opening  # noqa: E402
from stepsize.adapters.torch.fused import arm_stack  # noqa: E402
from stepsize.adapters.torch.fused.arms import LEAST_TOGETHER  # noqa: E402
from stepsize.engines import EngineChoice  # noqa: E402
from stepsize.engines.auto import Decision  # noqa: E402
from stepsize.errors import EngineError, InputError  # noqa: E402

SOURCE = """
    import os, pathlib, signal
    import torch
    from stepsize.tasks import Task, TensorBatches

    STOP = {stop!r}
    updates = 0

    def loss(model, batch):
        global updates
        updates += model.training
        if STOP and updates == 40 and not pathlib.Path(STOP).exists():
            pathlib.Path(STOP).touch()
            os.kill(os.getppid(), signal.SIGINT)
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    def make(seed):
        nn = torch.nn
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1), nn.Linear(4, 1))
        x = torch.randn(128, 3, generator=torch.Generator().manual_seed(1))
        y = x.sum(dim=1, keepdim=True)
        train = TensorBatches(x, y, 8, shuffle=True, seed=seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        return Task(model, optimizer, loss, train, [(x[:32], y[:32])])
"""


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(SOURCE.format(stop="")))
    return f"{path}:make"


def without_engine(answer):
    settings = {name: value for name, value in answer.settings.items() if name != "engine"}
    return replace(answer, settings=settings, seconds=0.0)


@pytest.fixture
def double():
    """A setting of torch's that workers have to be told."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double")
def test_processes(task):
    """To the last bit, evidence and all; the caller's random states are untouched."""
    torch.manual_seed(5), random.seed(5)
    before = torch.get_rng_state().tolist(), random.getstate()
    serial = ss.tune(task, 20, 2.0, seed=3, optimizers=["adamw"])
    answer = ss.tune(task, 20, 2.0, seed=3, optimizers=["adamw"], engine="processes:2")
    assert (torch.get_rng_state().tolist(), random.getstate()) == before
    assert without_engine(answer) == without_engine(serial)
    assert (serial.settings["engine"], answer.settings["engine"]) == ("serial", "processes:2")
    assert [arm for arm in answer.evidence if arm.optimizer]


def test_ctrl_c_in_the_midst_of_worker_processes(tmp_path):
    """A worker sends it to this process."""
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(SOURCE.format(stop=str(tmp_path / "stop"))))
    answer = ss.tune(f"{path}:make", 200, engine="processes:1")
    assert (tmp_path / "stop").exists()
    assert answer.interrupted
    assert answer.cost.ratio < 0.2


def test_fused(task):
    serial, answer = (ss.tune(task, 20, 2.0, engine=engine) for engine in ("serial", "fused"))
    assert answer.settings["engine"] == "fused"
    assert (answer.lr, answer.schedule, answer.cost) == (serial.lr, serial.schedule, serial.cost)
    assert answer.notes == serial.notes
    for arm, other in zip(answer.evidence, serial.evidence, strict=True):
        assert (arm.schedule, arm.lr, arm.fate) == (other.schedule, other.lr, other.fate)
        for one, two in zip(arm.readings, other.readings, strict=True):
            assert one.val_loss == pytest.approx(two.val_loss, rel=1e-3, abs=1e-5)


def test_what_cannot_be_fused_is_said():
    def make(seed):
        model = torch.nn.Linear(3, 1)
        x = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
        batches = [(x[i : i + 8], x[i : i + 8].sum(1, keepdim=True)) for i in range(0, 64, 8)]

        def loss(model, batch):
            value = torch.nn.functional.mse_loss(model(batch[0]), batch[1])
            return value * (1.0 if value.item() > 0.0 else 2.0)

        return ss.Task(
            model, torch.optim.SGD(model.parameters(), lr=1.0), loss, batches, batches[:4]
        )

    serial, answer = (ss.tune(make, 20, engine=engine) for engine in ("serial", "fused"))
    assert answer.settings["engine"] == "serial"
    (note,) = set(answer.notes) - set(serial.notes)
    assert "fused" in note
    assert replace(without_engine(answer), notes=serial.notes) == without_engine(serial)


@pytest.mark.parametrize("engine", ["process", "processes:0", "dask", 3])
def test_engines_that_there_are_not(task, engine):
    with pytest.raises(InputError, match=str(engine)):
        ss.tune(task, 20, engine=engine)


class Broken:
    """A crew of which no worker ever comes up."""

    workers, closed = 2, False

    def submit(self, call, hear=None):
        return 1

    def wait(self, seconds=None):
        raise EngineError("No worker process can be started")

    def interrupt(self):
        pass

    def close(self):
        self.closed = True


def test_auto_goes_on_here_where_no_worker_comes_up(monkeypatch, task):
    crew = Broken()
    decision = Decision(EngineChoice("processes", 2), "expected: little")
    monkeypatch.setattr(tune_engine, "choose", lambda *given, **options: decision)
    monkeypatch.setattr(opening, "crew_of", lambda engine: crew)
    serial, answer = (ss.tune(task, 20, engine=engine) for engine in ("serial", "auto"))
    assert crew.closed
    assert answer.settings["engine"] == "serial"
    (note,) = set(answer.notes) - set(serial.notes)
    assert "No worker process can be started" in note
    with pytest.raises(EngineError):
        ss.tune(task, 20, engine="processes:2")


def test_a_race_is_described_as_it_is(monkeypatch, task):
    """Its updates and evaluations come to the budget, its arms to a stack, which is compiled."""
    asked = []

    def choose(engine, loaded, recipe, work, seed, *, sendable):
        asked.append(work)
        sendable()
        return Decision(EngineChoice("fused"), "asked for", compiled=True, copies=8)

    monkeypatch.setattr(tune_engine, "choose", choose)
    made = []
    stack = arm_stack.Stack

    def stack_of(streams, copies, recipe, *, compiled):
        made.append(compiled)
        return stack(streams, copies, recipe)

    monkeypatch.setattr(arm_stack, "Stack", stack_of)
    answer = ss.tune(task, 20, engine="fused")
    (work,) = asked
    readings = sum(len(arm.readings) for arm in answer.evidence)
    assert work.trainings * work.evaluations == pytest.approx(readings, rel=0.3)
    assert work.trainings * work.updates == pytest.approx(answer.cost.updates, rel=0.2)
    assert LEAST_TOGETHER <= work.at_once <= work.trainings
    assert made == [True] * len(made) != []
