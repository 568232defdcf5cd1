"""``stepsize compare`` from outside, as a user runs it: exit code, streams, files, store."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from stepsize.errors import DataError
from stepsize.store import Store
from stepsize.tasks.fashion_mnist import TRAIN_IMAGES, TRAIN_LABELS, find_file

FILES = {"compare.json", "compare.html", "compare.png"}
TASK = """
import torch, time
from stepsize.tasks import Task, TensorBatches

def mean_squared(model, batch):
    LOSS
    return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

def make(seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    y = x.sum(dim=1, keepdim=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    val = VAL
    train = TensorBatches(x, y, 8, shuffle=True, seed=seed)
    return Task(model, optimizer, mean_squared, train, val)
"""
ARMS = ("--schedule", "constant(0.01)", "--schedule", "fast: cosine(0.05)")


def words_of(words):
    return [sys.executable, "-m", "stepsize", "compare", *map(str, words)]


def compare(*words, cwd, **environment):
    """Run the command line in a fresh process with one thread."""
    return subprocess.run(
        words_of(words),
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def task_file(folder, loss="pass", val="[(x[:16], y[:16])]"):
    text = TASK.replace("LOSS", loss).replace("VAL", val)
    (folder / "mine.py").write_text(textwrap.dedent(text))
    return "mine.py:make"


def trained(path):
    """Everything that training left in a store, run by run, without times and places."""
    with sqlite3.connect(path) as db:
        runs = "SELECT key, status, done FROM run ORDER BY key"
        updates = (
            "SELECT key, number, lr, loss FROM updates JOIN run ON run.id = updates.run "
            "ORDER BY key, number"
        )
        metrics = (
            "SELECT key, metric.updates, name, value FROM metric JOIN run ON run.id = metric.run "
            "ORDER BY key, metric.updates, name"
        )
        return [db.execute(sql).fetchall() for sql in (runs, updates, metrics)]


def test_it_compares_writes_and_prints(tmp_path):
    done = compare(task_file(tmp_path), *ARMS, "--epochs", 3, "--out", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert content["budget"] == {"epochs": 3, "updates": 24}
    assert {(run["schedule"], run["seed"]) for run in content["runs"]} == {
        (text, seed) for text in ("constant(0.01)", "cosine(0.05, steps=24)") for seed in (0, 1, 2)
    }
    for run in content["runs"]:
        assert run["status"] == "finished"
        assert {"val_loss", "train_loss"} <= set(run["final"])
        assert {"epoch", "val_loss"} <= set(run["best"])
    for row in content["ranking"]:
        assert {"schedule", "mean", "ci95", "difference_to_best", "difference_ci95"} <= set(row)
    assert content["ranking"][0]["arm"] in done.stdout
    assert (tmp_path / "stepsize.db").is_file()


def test_json_on_standard_output_alone(tmp_path):
    task = task_file(tmp_path)
    done = compare(task, *ARMS, "--epochs", 1, "--seeds", "4", "--json", cwd=tmp_path)
    content = json.loads(done.stdout)
    assert content["seeds"] == [4]
    assert any("seed" in note for note in content["notes"])
    quiet = compare(task, *ARMS, "--epochs", 1, "--seeds", "4", "--quiet", cwd=tmp_path)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert len(quiet.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--schedule", "cosin(0.1)", "--epochs", "1"), "cosine"),
        (("--schedule", "cosine(0.1, steps=7)", "--epochs", "1"), "--any-length"),
        (("--schedule", "cosine(0.1)"), "--epochs"),
        (("--schedule", "cosine(0.1)", "--epochs", "1", "--seeds", "a,b"), "--seeds"),
        (("--schedule", "cosine(0.1)", "--epochs", "1", "--metric", "val_los"), "val_loss"),
        (("--schedule", "cosine(0.1)", "--epochs", "1", "--tracker", "tensorbord"), "tensorboard"),
        (("--schedule", "cosine(0.1)", "--epochs", "1", "--engine", "process"), "processes"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path, words, told):
    done = compare(task_file(tmp_path), *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("stepsize: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "stepsize-compare").exists()


def test_no_validation_data_is_bad_input(tmp_path):
    done = compare(task_file(tmp_path, val="None"), *ARMS, "--epochs", 1, cwd=tmp_path)
    assert done.returncode == 2
    assert "validation" in done.stderr


def test_a_store_that_is_none_is_bad_input_and_left_alone(tmp_path):
    (tmp_path / "stepsize.db").write_text("my thesis, not a database, and rather long at that" * 9)
    before = (tmp_path / "stepsize.db").read_bytes()
    done = compare(task_file(tmp_path), *ARMS, "--epochs", 1, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("Traceback")) == (2, 0)
    assert "stepsize.db" in done.stderr
    assert (tmp_path / "stepsize.db").read_bytes() == before


def test_a_run_that_raises_is_recorded_and_the_exit_code_tells(tmp_path):
    raising = (
        "global LEFT; LEFT = globals().get('LEFT', 90) - 1\n"
        "    if LEFT == 0: raise ValueError('a broken picture')"
    )
    task = task_file(tmp_path, loss=raising)
    options = ("--epochs", 3, "--engine", "serial", "--out", "out")  # nothing is tried before
    done = compare(task, *ARMS, *options, cwd=tmp_path)
    assert done.returncode == 1
    runs = json.loads((tmp_path / "out" / "compare.json").read_text())["runs"]
    failed = [run for run in runs if run["status"] == "failed"]
    assert len(failed) == 1
    assert "a broken picture (mine.py, line " in failed[0]["error"]
    assert sum(run["status"] == "finished" for run in runs) == 5


def test_nothing_that_could_be_ranked_is_an_abstention(tmp_path):
    words = ("--schedule", "constant(1e30)", "--epochs", 9)
    done = compare(task_file(tmp_path), *words, cwd=tmp_path)
    assert done.returncode == 3


SLOW = "time.sleep(0.004)"
LONG = (*ARMS, "--epochs", 12, "--seeds", "0,1", "--quiet")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the long comparison prints and leaves when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = compare(task_file(folder, loss=SLOW), *LONG, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, trained(folder / "stepsize.db")


@pytest.mark.parametrize("moment", [0.2, 0.9])
def test_killed_in_the_middle_the_same_command_ends_the_same(tmp_path, undisturbed, moment):
    words = (task_file(tmp_path, loss=SLOW), *LONG)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words_of(words), cwd=tmp_path, env=environment) as run:
        _wait_for_updates(tmp_path / "stepsize.db")
        time.sleep(moment)
        run.send_signal(signal.SIGKILL)
    with Store(tmp_path / "stepsize.db") as store:
        assert "crashed" in [each.status for each in store.runs()]
        store.check()
    again = compare(*words, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, undisturbed[0])
    assert trained(tmp_path / "stepsize.db") == undisturbed[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_keeps_a_checkpoint(tmp_path, number, code):
    words = (task_file(tmp_path, loss=SLOW), *LONG)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words_of(words), cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as run:
        _wait_for_updates(tmp_path / "stepsize.db")
        run.send_signal(number)
        said = run.communicate()[1]
    assert run.returncode == code
    assert "kept" in said or number == signal.SIGTERM
    with Store(tmp_path / "stepsize.db") as store:
        (stopped,) = [each for each in store.runs() if each.status == "interrupted"]
        assert store.checkpoint(stopped.id).is_file()


def test_two_at_once_share_the_runs(tmp_path, undisturbed):
    words = (task_file(tmp_path, loss=SLOW), *LONG)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(compare, *words, "--out", name, cwd=tmp_path) for name in "ab"]
        done = [each.result() for each in both]
    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert {each.stdout for each in done} == {undisturbed[0]}
    assert trained(tmp_path / "stepsize.db") == undisturbed[1]
    with Store(tmp_path / "stepsize.db") as store:
        for run in store.runs():
            kinds = [event.kind for event in store.read(run.id).events]
            assert kinds.count("started") == 1


def test_the_short_study_on_real_pictures(tmp_path):
    try:
        find_file(TRAIN_IMAGES), find_file(TRAIN_LABELS)
    except DataError as error:
        pytest.skip(str(error))
    words = ("fashion-mnist-schedules-short", "--epochs", 2, "--out", "out", "--json")
    done = compare(*words, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    content = json.loads(done.stdout)
    assert len(content["ranking"]) == 16
    assert all(run["status"] in ("finished", "diverged") for run in content["runs"])
    assert content["test"]["arm"] == content["ranking"][0]["arm"]
    assert 0.5 < content["test"]["mean"]["test_accuracy"] < 1.0
    efforts = {row["rates_from"] for row in content["ranking"]}
    assert efforts == {"given", "find"}


def _wait_for_updates(path):
    for _ in range(600):
        time.sleep(0.05)
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                if db.execute("SELECT count(*) FROM updates").fetchone()[0] > 20:
                    return
        except sqlite3.Error:
            continue
    raise AssertionError("no run began")
