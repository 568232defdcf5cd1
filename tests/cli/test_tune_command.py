"""``stepsize tune`` from outside, as a user runs it: exit code, streams, files, store."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from stepsize.cli.main import main
from stepsize.records import Recommendation

FILES = {"tune.json", "tune.html", "tune.png"}
TASK = """
import pathlib, time, torch
from stepsize.tasks import Task, TensorBatches

UPDATES = 0

def mean_squared(model, batch):
    global UPDATES
    UPDATES += model.training
    LOSS
    return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

def make(seed):
    torch.manual_seed(seed)
    model = torch.nn.Linear(4, 1)
    x = torch.randn(128, 4, generator=torch.Generator().manual_seed(1))
    y = x.sum(dim=1, keepdim=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    train = TensorBatches(x, y, 8, shuffle=True, seed=seed)
    return Task(model, optimizer, mean_squared, train, [(x[:32], y[:32])])
"""
EPOCHS = ("--epochs", 20)


def words_of(words):
    return [sys.executable, "-m", "stepsize", "tune", *map(str, words)]


def tune(*words, cwd):
    """Run the command line in a fresh process with one thread."""
    return subprocess.run(
        words_of(words),
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def task_file(folder, loss="pass"):
    (folder / "mine.py").write_text(textwrap.dedent(TASK.replace("LOSS", loss)))
    return "mine.py:make"


def test_it_writes_prints_and_keeps(tmp_path):
    words = (*EPOCHS, "--out", "out", "--store", "runs.db", "--optimizer", "adamw")
    done = tune(task_file(tmp_path), *words, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    content = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert (content["verdict"], content["epochs"], content["updates"]) == ("ok", 20, 320)
    assert content["cost"]["ratio"] <= 1.0
    assert content["settings"]["optimizers"] == ["adamw"]
    assert content["settings"]["command"].startswith("stepsize tune mine.py:make --epochs 20")
    assert content["schedule"] in done.stdout
    assert "out" in done.stderr
    with sqlite3.connect(tmp_path / "runs.db") as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        kept = [row for table in tables for row in db.execute(f"SELECT * FROM {table}")]
    (row,) = [row for row in kept if "tune" in row]
    (stored,) = [json.loads(cell) for cell in row if str(cell).startswith("{")]
    assert stored == content
    assert Recommendation.from_dict(content).schedule == content["schedule"]


def test_json_on_standard_output_alone(tmp_path):
    task = task_file(tmp_path)
    done = tune(task, *EPOCHS, "--json", "--seed", 2, cwd=tmp_path)
    content = json.loads(done.stdout)
    assert content["settings"]["seed"] == 2
    (folder,) = (tmp_path / "stepsize-tune").iterdir()
    written = json.loads((folder / "tune.json").read_text())
    assert written == content
    quiet = tune(task, *EPOCHS, "--quiet", "--seed", 2, cwd=tmp_path)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert quiet.stdout.splitlines() == [content["schedule"]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("mine.py:make", "--epochs", "8", "--budget", "0"), "budget"),
        (("mine.py:make", "--epochs", "8", "--budget", "0.001"), "budget of at least"),
        (("mine.py:make", "--epochs", "8", "--budget", "nan"), "budget"),
        (("mine.py:make", "--epochs", "0"), "epochs"),
        (("mine.py:make", "--epochs", "1"), "epochs"),
        (("mine.py:other", "--epochs", "8"), "other"),
        (("digitz", "--epochs", "8"), "digits"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    task_file(tmp_path)
    assert main(["tune", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("stepsize: ")
    assert told in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "stepsize-tune").exists()


@pytest.mark.parametrize("words", [(), ("--epochs", "8", "--optimizer", "sgd")])
def test_words_that_are_not_understood(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["tune", "digits", *words])
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert "usage" in said.err
    assert not (tmp_path / "stepsize-tune").exists()


def test_a_task_that_cannot_learn_is_an_abstention(tmp_path):
    task = task_file(tmp_path, loss="return model(batch[0]).mean() * 0.0 + 1.0")
    done = tune(task, *EPOCHS, "--out", "out", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "flat\n", "")
    content = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert content["lr"] is content["schedule"] is content["interval"] is None


def test_a_task_that_raises_leaves_nothing(tmp_path):
    task = task_file(tmp_path, loss="if UPDATES == 3: raise ValueError('a broken picture')")
    done = tune(task, *EPOCHS, "--out", "new/out", cwd=tmp_path)
    assert done.returncode == 2
    assert "a broken picture" in done.stderr
    assert not (tmp_path / "new").exists()


LONG = ("--epochs", 100, "--out", "out")
SLOW = "time.sleep(0.002); pathlib.Path('updates').write_text(str(UPDATES))"


@pytest.mark.parametrize(("updates", "written"), [(400, True), (0, False)])
def test_ctrl_c_in_the_middle_writes_what_is_known(tmp_path, updates, written):
    """After 400 of 1600 updates; and while the task is looked at for the first time."""
    loss = SLOW if written else f"pathlib.Path('updates').write_text('0'); time.sleep(0.05); {SLOW}"
    words = words_of((task_file(tmp_path, loss), *LONG))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=-1, stderr=-1, text=True
    ) as run:
        _wait_for_updates(tmp_path / "updates", updates)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=100)
    assert run.returncode == 130, said
    assert "Traceback" not in said
    if written:
        assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
        answer = Recommendation.from_dict(json.loads((tmp_path / "out" / "tune.json").read_text()))
        assert answer.interrupted
        assert 400 <= answer.cost.updates < 1600
        assert answer.verdict == "ok"
    else:
        assert not (tmp_path / "out").exists()


def _wait_for_updates(path, updates):
    for _ in range(3600):
        time.sleep(0.05)
        if path.exists() and int(path.read_text() or -1) >= updates:
            return
    raise AssertionError("no race began")
