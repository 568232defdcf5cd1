"""Runs of real trainings by worker processes: the numbers of serial ones, bit for bit."""

import os
import signal
import subprocess
import sys
import threading
from functools import partial

import pytest
import torch
from adapters.torch.test_compare import line
from engines.crew_laws import awaited

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.elsewhere.run_order import Orders
from stepsize.adapters.torch.elsewhere.runs import through_the_store
from stepsize.adapters.torch.prospect import prospect
from stepsize.adapters.torch.setting import describe_recipe
from stepsize.adapters.torch.trials import train
from stepsize.comparison import Trial, conduct
from stepsize.engines.conducting import conduct_with
from stepsize.engines.processes import ProcessCrew
from stepsize.errors import EngineError, InputError
from stepsize.schedules import parse
from stepsize.store import Store
from stepsize.tasks import LoadedTask, load

TASK = """
import os, signal, time
from pathlib import Path
from beside_the_task import WIDTH

FOLDER = Path(__file__).parent

def make(seed):
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from stepsize.tasks import Task

    x = torch.linspace(-1, 1, 20 * WIDTH).reshape(20, WIDTH)
    data = TensorDataset(x, x.sum(1, keepdim=True).sin())
    model = torch.nn.Sequential(torch.nn.Linear(WIDTH, 8), torch.nn.Dropout(0.2),
                                torch.nn.Linear(8, 1))
    made = 0

    def loss(model, batch):
        nonlocal made
        made += model.training
        kill = FOLDER / f"kill-{seed}"
        if made == 7 and kill.exists():
            kill.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        while made == 7 and (FOLDER / "hold").exists():
            (FOLDER / f"held-{seed}").touch()
            time.sleep(0.01)
        return (model(batch[0]) - batch[1]).square().mean()

    return Task(model, torch.optim.Adam(model.parameters()), loss,
                DataLoader(data, 5, shuffle=True), val=DataLoader(data, 20))
"""


@pytest.fixture(scope="module")
def crew():
    with ProcessCrew(2, threads=1) as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def task(tmp_path):
    (tmp_path / "task.py").write_text(TASK)
    (tmp_path / "beside_the_task.py").write_text("WIDTH = 3\n")
    return load(f"{tmp_path / 'task.py'}:make")


def trials(loaded, schedules=("constant(0.1)",), seeds=(0,), epochs=1, recipe=Recipe()):
    known = prospect(loaded, recipe)
    updates = epochs * known.updates_per_epoch
    return [
        Trial(
            text, known.loaded, parse(text, functions=True).resolve(updates), seed, epochs,
            known.updates_per_epoch, describe_recipe(recipe), known.source,
        )
        for seed in seeds for text in schedules
    ]  # fmt: skip


def made(crew, wanted, store, recipe=Recipe()):
    begin = through_the_store(store, Orders(recipe, checkpoint_seconds=0.0), {})
    return conduct_with(crew, wanted, store, begin, environment={})


def rows(store, ids):
    return [(list(store.updates(i)), store.read(i).history) for i in ids]


def serially(wanted, tmp_path, recipe=Recipe()):
    with Store(tmp_path / "serial.db") as store:
        return rows(store, conduct(wanted, store, partial(train, recipe=recipe), environment={}))


def events(store, run_id):
    return [event.kind for event in store.read(run_id).events]


def closing_over(tensor, factor):
    def make(seed):
        return line(seed, scale=factor * float(tensor.sum()))

    return make


def test_numbers_over_processes_are_the_serial_ones_bit_for_bit(crew, store, task, tmp_path):
    closure = LoadedTask("mine", closing_over(torch.tensor([0.5, 0.25]), 2.0))
    wanted = [
        *trials(load("digits"), ("cosine(0.1)", "linear(0.1)"), (0, 1)),
        *trials(task, seeds=(0, 1), epochs=2),
        *trials(closure),
    ]
    ids = made(crew, wanted, store)
    assert [store.status(run_id) for run_id in ids] == ["finished"] * 7
    assert rows(store, ids) == serially(wanted, tmp_path)


def test_a_worker_killed_in_the_midst_of_a_run_changes_no_number(crew, store, task, tmp_path):
    wanted = trials(task, seeds=(0, 1), epochs=3)
    serial = serially(wanted, tmp_path)
    (tmp_path / "kill-1").touch()
    ids = made(crew, wanted, store)
    assert rows(store, ids) == serial
    assert [len(updates) for updates, _ in serial] == [12, 12]
    assert [events(store, i) for i in ids] == [["started"], ["started", "crashed", "resumed"]]


def test_torchs_settings_are_the_senders(crew, store, tmp_path):
    torch.set_default_dtype(torch.float64)
    try:
        wanted = trials(LoadedTask("mine", closing_over(torch.ones(1), 1.0)))
        serial = serially(wanted, tmp_path)
        assert rows(store, made(crew, wanted, store)) == serial
    finally:
        torch.set_default_dtype(torch.float32)


def thirds(step):
    return 0.3 / (step + 3)


def test_a_function_of_the_script_goes_with_the_schedule_that_names_it(
    crew, store, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys.modules["__main__"], "thirds", thirds, raising=False)
    wanted = trials(LoadedTask("mine", line), ("function('__main__:thirds')",))
    ids = made(crew, wanted, store)
    assert rows(store, ids) == serially(wanted, tmp_path)
    assert store.status(ids[0]) == "finished"


def test_a_task_that_is_another_one_there_is_refused(crew, store):
    wanted = trials(LoadedTask("mine", lambda seed: line(seed, scale=1.0 + os.getpid())))
    with pytest.raises(EngineError, match="mine"):
        made(crew, wanted, store)
    assert [run.status for run in store.runs()] == ["waiting"]


def test_a_recipe_is_sent_with_its_scaler_or_refused(crew, store, tmp_path):
    recipe = Recipe(autocast=torch.bfloat16, scaler=torch.amp.GradScaler("cpu"), clip_norm=1.0)
    wanted = trials(LoadedTask("mine", line), recipe=recipe)
    assert rows(store, made(crew, wanted, store, recipe)) == serially(wanted, tmp_path, recipe)

    class Held(torch.amp.GradScaler):
        lock = threading.Lock()

        def __getstate__(self):
            return {"lock": self.lock}

    with pytest.raises(InputError, match="scaler"):
        Orders(Recipe(scaler=Held("cpu")))


_SCRIPT = """
import sys
from pathlib import Path
from adapters.torch.test_runs_elsewhere import made, trials
from stepsize.engines.processes import ProcessCrew
from stepsize.store import Store
from stepsize.tasks import load

folder = Path(sys.argv[1])
with Store(folder / "runs.db") as store, ProcessCrew(2, threads=1) as crew:
    made(crew, trials(load(f"{folder / 'task.py'}:make"), seeds=(0, 1), epochs=3), store)
"""


def test_ctrl_c_of_all_at_once_leaves_the_store_whole_and_the_next_goes_on(
    crew, store, task, tmp_path
):
    (tmp_path / "hold").touch()
    path = os.pathsep.join(sys.path)
    parent = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, tmp_path], env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    awaited(tmp_path / "held-0", tmp_path / "held-1")
    os.killpg(parent.pid, signal.SIGINT)
    (tmp_path / "hold").unlink()  # an update is never cut in two
    _, said = parent.communicate(timeout=60)
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    store.check()
    wanted = trials(task, seeds=(0, 1), epochs=3)
    ids = [store.run_id(trial.key) for trial in wanted]
    assert [store.status(i) for i in ids] == ["interrupted"] * 2
    assert [store.read(i).done for i in ids] == [7, 7]
    assert rows(store, made(crew, wanted, store)) == serially(wanted, tmp_path)
    assert [events(store, i) for i in ids] == [["started", "resumed"]] * 2
