"""tune on every engine: the recommendation of a serial search, at its price."""

import random
import textwrap
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

import stepsize as ss  # noqa: E402
from stepsize.errors import InputError  # noqa: E402

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
