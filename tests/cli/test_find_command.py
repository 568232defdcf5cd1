"""``stepsize find`` from outside, as a user runs it: exit code, streams, files."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stepsize.cli.main import main

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

FILES = {"find.json", "find.png", "find.html"}
TASK = """
import torch
from stepsize import Task

def make(seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(256, 8, generator=draw)
    y = x @ torch.arange(1.0, 9.0)[:, None]
    model = torch.nn.Linear(8, 1)
    batches = [(x[i:i + 16], y[i:i + 16]) for i in range(0, 256, 16)]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return Task(model, optimizer, LOSS, batches, val=batches[:2])

def LOSS(model, batch):
    return torch.nn.functional.mse_loss(model(batch[0]), batch[1])
"""


def stepsize(*words, cwd, timeout=120, **environment):
    """Run the command line in a fresh process with one thread."""
    return subprocess.run(
        [sys.executable, "-m", "stepsize", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def task_file(folder, text=TASK, **replacements):
    for old, new in replacements.items():
        text = text.replace(old, new)
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(text))
    return f"{path.name}:make"


def found(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_the_embedded_default_leaves_three_files_and_an_answer(tmp_path):
    done = stepsize("find", "digits", "--out", "out", cwd=tmp_path, HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "out") == FILES
    data = json.loads((tmp_path / "out" / "find.json").read_text())
    assert data["verdict"] == "ok"
    assert data["task"] == "digits"
    assert 0.02 < data["lr"] < 1.0
    assert data["interval"][0] <= data["lr"] <= data["interval"][1]
    assert f"{data['lr']:.2g}" in done.stdout
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "find.png").read_bytes().startswith(b"\x89PNG")
    HTMLParser().feed((tmp_path / "out" / "find.html").read_text())
    beside = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    ours = {name for name in beside if "matplotlib" not in name}  # its font cache is its own
    assert ours == {f"out/{name}" for name in FILES}


def test_json_is_one_object_on_standard_output_and_the_same_each_time(tmp_path):
    task = task_file(tmp_path)
    first, second = (stepsize("find", task, "--json", "--out", "o", cwd=tmp_path) for _ in "12")
    data, again = json.loads(first.stdout), json.loads(second.stdout)
    assert first.returncode == 0, first.stderr
    assert data["lr"] == again["lr"]
    assert data["curve"]["loss"] == again["curve"]["loss"]
    assert (
        json.loads((tmp_path / "o" / "find.json").read_text())["curve"]["lr"]
        == (data["curve"]["lr"])
    )


def test_quiet_prints_one_line_and_nothing_on_standard_error(tmp_path):
    done = stepsize("find", task_file(tmp_path), "--quiet", cwd=tmp_path)
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 1, "")


def test_all_the_choices_reach_the_range_test(tmp_path):
    words = shlex.split(
        "--segments 0.001:0.001:2:0.009,0.01:0.01:2:0.09,0.1:0.1:2:0.9 --repeats 2 --stop loss>1e9 "
        "--stop lr>0.45 --seed 5 --accumulate 2 --clip-norm 100 --max-updates 500"
    )
    done = stepsize("find", task_file(tmp_path), "--json", *words, cwd=tmp_path)
    data = json.loads(done.stdout)
    settings = data["settings"]
    assert data["curve"]["lr"][:2] == [0.001, 0.002]
    assert data["curve"]["lr"][-1] == 0.5
    assert set(data["curve"]["updates"]) == {2}
    assert (settings["seed"], settings["accumulate"], settings["clip_norm"]) == (5, 2, 100.0)
    assert len(settings["stop"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--equal-start", "--updates-per-rate", "2", "--rates", "40", "--repeats", "1"],
        ["--held-out-every", "2", "--repeats", "1"],
        ["--ladder", "linear", "--start-lr", "0.001", "--stop-lr", "0.5"],
        ["--refine"],
    ],
)
def test_the_other_ways_to_test_find_a_rate_too(tmp_path, words):
    done = stepsize("find", task_file(tmp_path), "--json", *words, cwd=tmp_path)
    data = json.loads(done.stdout)
    assert data["verdict"] == "ok", data["reason"]
    assert 0.005 < data["lr"] < 0.5


def test_a_task_that_cannot_learn_is_abstained_from_with_exit_code_3(tmp_path):
    text = TASK.replace("model(batch[0])", "0 * model(batch[0])")
    done = stepsize("find", task_file(tmp_path, text), "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert done.returncode == 3
    assert data["verdict"] == "flat"
    assert data["lr"] is data["interval"] is data["clr"] is None
    assert found(tmp_path / "stepsize-find" / "mine.py-make") == FILES


BAD_TASKS = {
    "raises": ("return Task", "raise RuntimeError('boom'); return Task"),
    "wrong return": ("return Task(model,", "return (model,"),
    "not a model": ("Task(model,", "Task('model',"),
    "not an optimizer": ("Task(model, optimizer,", "Task(model, 'sgd',"),
    "loss raises": ("return torch.nn.functional", "raise RuntimeError('boom'); return torch.nn.f"),
    "loss not scalar": ("batch[1])\n", "batch[1], reduction='none')\n"),
    "loss a float": ("batch[1])\n", "batch[1]).item()\n"),
    "loss without gradient": ("batch[1])\n", "batch[1]).detach()\n"),
    "empty loader": ("LOSS, batches,", "LOSS, [],"),
    "syntax error": ("def make(seed):", "def make(seed:"),
    "import error": ("import torch\n", "import torch, no_such_package\n"),
    "no seed": ("def make(seed):", "def make():\n    seed = 0"),
}


@pytest.mark.parametrize("fault", BAD_TASKS)
def test_a_faulty_task_gets_one_clear_message_and_leaves_nothing_behind(
    tmp_path, fault, capsys, monkeypatch
):
    old, new = BAD_TASKS[fault]
    assert old in TASK
    monkeypatch.chdir(tmp_path)
    code = main(["find", task_file(tmp_path, TASK.replace(old, new))])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("stepsize: ")
    assert len(err.splitlines()) == 1
    if fault in ("raises", "loss raises"):
        assert "boom" in err
        assert "mine.py, line" in err
    assert found(tmp_path) == {"mine.py"}


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-task"],
        ["digit"],
        ["missing.py:make"],
        ["mine.py:missing"],
        ["mine.py:TASK"],
        ["mine.py"],
        ["no.such.module:make"],
        [""],
        ["digits", "--start-lr", "1", "--stop-lr", "0.1"],
        ["digits", "--start-lr", "-1"],
        ["digits", "--rates", "1"],
        ["digits", "--repeats", "0"],
        ["digits", "--segments", "1:2:3"],
        ["digits", "--segments", "a:b:c:d"],
        ["digits", "--stop", "sometimes"],
        ["digits", "--seed", "-1"],
        ["digits", "--accumulate", "0"],
        ["digits", "--clip-norm", "-1"],
        ["digits", "--max-seconds", "0"],
        ["digits", "--seed", "18446744073709551616"],
        ["digits", "--extend-decades", "inf"],
        ["digits", "--segments", "0.1:0.1:nan:1"],
        ["digits", "--segments", "0.1:0.1:1:inf"],
        ["digits", "--start-lr", "1e-300"],
        ["digits", "--out", "mine.py/out"],
        ["digits", "--out", "mine.py"],
    ],
)
def test_bad_input_gets_one_clear_message_and_leaves_nothing_behind(tmp_path, words):
    task_file(tmp_path, "TASK = 3\ndef make(seed): return None\n")
    done = stepsize("find", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("stepsize: ")
    assert "Traceback" not in done.stderr
    assert found(tmp_path) == {"mine.py"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    done = stepsize("find", "digits", "--out", "locked/out", cwd=tmp_path)
    assert done.returncode == 2
    assert found(tmp_path / "locked") == set()


def test_a_home_that_cannot_be_used_does_not_matter(tmp_path):
    home = tmp_path / "home"
    home.write_text("a file, not a folder")  # read-only for everybody, root included
    environment = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    done = stepsize("find", "digits", "--repeats", "1", "--out", "o", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "o") == FILES


@pytest.mark.parametrize("missing", ["torch", "matplotlib"])
def test_a_missing_package_is_told_before_the_work_with_what_to_install(tmp_path, missing):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from stepsize.cli.main import main; sys.exit(main(['find', 'digits']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'stepsize[" in done.stderr
    assert "Traceback" not in done.stderr
    assert found(tmp_path) == set()


def test_what_another_command_wrote_meanwhile_stays_when_this_one_fails(tmp_path):
    text = TASK.replace(
        "    return torch.nn",
        "    import pathlib; pathlib.Path('out/find.json').write_text('theirs')\n"
        "    raise KeyboardInterrupt\n    return torch.nn",
    )
    done = stepsize("find", task_file(tmp_path, text), "--out", "out", cwd=tmp_path)
    assert done.returncode == 130
    assert (tmp_path / "out" / "find.json").read_text() == "theirs"


def test_equal_start_on_the_default_task_is_near_the_default_answer_or_abstains(tmp_path):
    import stepsize as ss

    for seed in (0, 39, 51):  # seeds at which last digits once looked like a blow-up
        result = ss.find("digits", equal_start=True, seed=seed)
        assert result.lr is None or 0.05 < result.lr < 2.0


def test_results_that_were_there_stay_when_a_new_run_fails(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "find.json").write_text("old")
    done = stepsize("find", "no-such-task", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert (out / "find.json").read_text() == "old"


def test_ctrl_c_ends_with_130_and_leaves_nothing_behind(tmp_path):
    text = TASK.replace("    return torch.nn", "    raise KeyboardInterrupt\n    return torch.nn")
    done = stepsize("find", task_file(tmp_path, text), cwd=tmp_path)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert found(tmp_path) == {"mine.py"}


def test_output_is_plain_ascii_where_the_terminal_knows_nothing_else(tmp_path):
    done = stepsize("find", task_file(tmp_path), cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


def test_the_answer_trains_better_than_a_rate_far_from_it(tmp_path):
    """The rate is of use: ten times higher diverges, a hundred times lower learns far less."""
    import torch

    import stepsize as ss

    sys.path.insert(0, str(tmp_path))
    try:
        result = ss.find(str(tmp_path / task_file(tmp_path)))
    finally:
        sys.path.remove(str(tmp_path))
    assert result.lr is not None

    def train(lr):
        from stepsize.tasks import load, make_task

        torch.manual_seed(1)
        task = make_task(load(f"{tmp_path / 'mine.py'}:make"), 1)
        ss.torch.set_lr(task.optimizer, lr)
        for _ in range(5):
            for batch in task.train:
                task.optimizer.zero_grad()
                loss = task.loss(task.model, batch)
                loss.backward()
                task.optimizer.step()
        return float(loss.detach())

    assert train(result.lr) < 0.01 * train(result.lr / 100)
    assert not train(result.lr * 30) < train(result.lr)
    assert Path("find.json").exists() is False


def test_it_keeps_the_result_in_a_store_if_asked(tmp_path):
    task = task_file(tmp_path)
    done = stepsize("find", task, "--quiet", "--store", "runs.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found_json = json.loads((tmp_path / "stepsize-find" / "mine.py-make" / "find.json").read_text())
    with sqlite3.connect(tmp_path / "runs.db") as db:
        ((kind, value),) = db.execute("SELECT kind, value FROM kept").fetchall()
    assert kind == "find"
    assert json.loads(value) == found_json


def test_a_store_that_cannot_be_used_is_told_before_the_work(tmp_path):
    (tmp_path / "runs.db").write_bytes(b"no database at all, but a text of some length" * 9)
    done = stepsize("find", "digits", "--store", "runs.db", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "runs.db" in done.stderr
    assert not (tmp_path / "stepsize-find").exists()
