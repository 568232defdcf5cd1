"""``stepsize transfer`` as a user runs it: exit code, streams, files, store."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from stepsize.cli.main import main
from stepsize.errors import InputError
from stepsize.fine_tuning import PLANS, TransferResult
from stepsize.fine_tuning.transfer_result import WORTH

FILES = {"transfer.json", "transfer.html", "transfer.png", "timeline.png"}
TASK = """
import torch
from stepsize.tasks import Task, TensorBatches

def loss(model, batch):
    return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

def make(seed):
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(8, 1))
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    y = x.sum(dim=1, keepdim=True)
    batches = TensorBatches(x, y, 8, shuffle=True, seed=seed)
    return Task(model, torch.optim.SGD(model.parameters(), lr=1.0), loss, batches, [(x, y)])
"""
#: Rates are given: nothing is searched for.
PLAN = {
    "name": "mine",
    "phases": [
        {"name": "head", "epochs": 1, "trainable": "head", "lr": 0.05},
        {"name": "all", "lr": 0.02, "ratios": 2.6},
    ],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a task and a plan, in which commands are run."""
    (tmp_path / "mine.py").write_text(TASK)
    fresh = {"name": "fresh", "start": "scratch", "phases": [{"name": "all", "lr": 0.05}]}
    for plan in (PLAN, fresh):
        (tmp_path / f"{plan['name']}.json").write_text(json.dumps(plan))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.delenv("STEPSIZE_STORE", raising=False)
    return tmp_path


def transfer(*words):
    return main(["transfer", "mine.py:make", *map(str, words)])


def test_it_trains_ranks_writes_and_report_draws_it_again(folder, capsys):
    words = ("--plan", "mine.json", "--plan", "fresh.json", "--epochs", 2, "--seeds", "4,5")
    assert transfer(*words, "--out", "out", "--at", "best") == 0
    said, told = capsys.readouterr()
    content = json.loads((folder / "out" / "transfer.json").read_text())
    result = TransferResult.from_dict(content)
    assert {path.name for path in (folder / "out").iterdir()} == FILES
    assert [plan.name for plan in result.plans] == ["mine", "fresh"]  # one from scratch is enough
    assert result.comparison.at == "best"
    assert {run.seed for run in result.comparison.runs} == {4, 5}
    assert result.worth["verdict"] in WORTH
    assert [one.peak for one in result.decisions["mine"][4]] == [0.05, 0.02]
    assert result.decisions["mine"][4][1].ratios == pytest.approx((1 / 2.6**2, 1 / 2.6, 1))
    assert all(name in said for name in ("mine", "fresh", "phase by phase"))
    assert "stepsize.db" in told
    assert main(["report", "--out", "drawn", "--json"]) == 0
    assert TransferResult.from_dict(json.loads(capsys.readouterr()[0])) == result
    assert {path.name for path in (folder / "drawn").iterdir()} == FILES
    pages = [(folder / name / "transfer.html").read_text() for name in ("out", "drawn")]
    assert pages[0] == pages[1]


def test_a_preview_shows_groups_and_phases_and_trains_nothing(folder, capsys):
    words = ("--plan", "mine.json", "--plan", "ulmfit", "--epochs", 4, "--preview")
    assert transfer(*words, "--groups", 2) == 0
    said, told = capsys.readouterr()
    assert "nothing was trained" in told
    assert all(word in said for word in ("0 … 2", "4", "mine", "ulmfit", "scratch", "head"))
    assert {path.name for path in (folder / "stepsize-transfer/mine.py-make").iterdir()} == {
        "timeline.png"
    }
    assert not (folder / "stepsize.db").exists()
    assert transfer(*words, "--no-scratch", "--json") == 0
    content = json.loads(capsys.readouterr()[0])
    assert len(content["groups"]["groups"]) == 3
    assert [plan["name"] for plan in content["plans"]] == ["mine", "ulmfit"]


def test_what_is_asked_for_is_handed_over(folder, monkeypatch):
    asked = {}

    def compare_plans(*given, **options):
        asked.update(options, given=given)
        raise InputError("enough")

    monkeypatch.setattr("stepsize.transfer.compare_plans", compare_plans, raising=False)
    words = ("--plan", "full", "--epochs", 3, "--no-scratch", "--no-test", "--clip-norm", "2")
    assert transfer(*words, "--scratch-task", "other.py:make", "--groups", 2) == 2
    assert asked["given"] == ("mine.py:make", ["full"], 3, None)
    assert (asked["scratch"], asked["scratch_task"]) == (False, "other.py:make")
    assert (asked["test"], asked["recipe"].clip_norm) == (False, 2.0)
    assert asked["groups"].names == ("0 … 2", "4")
    assert transfer("--epochs", 3) == 2
    assert (asked["given"][1], asked["scratch"], asked["groups"]) == (("fastai",), True, None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--plan", "fastay"), "fastai"),
        (("--plan", "nowhere.json"), "nowhere.json"),
        (("--plan", "mine.py"), "mine.py"),
        (("--plan", "ulmfit", "--plan", "ulmfit"), "ulmfit"),
        (("--plan", "full", "--groups", "0"), "0"),
        (("--plan", "full", "--seeds", "a,b"), "--seeds"),
        (("--plan", "full", "--metric", "val_los"), "val_loss"),
        (("--plan", "mine.json", "--epochs", "1"), "2"),
    ],
)
def test_bad_input_is_one_clear_message_and_leaves_nothing(folder, capsys, words, told):
    assert transfer("--epochs", 3, *words) == 2
    said, error = capsys.readouterr()
    assert said == ""
    assert error.startswith("stepsize: ")
    assert told in error
    assert not (folder / "stepsize-transfer").exists()


def test_the_help_names_every_preset_in_a_fresh_process(folder):
    done = subprocess.run(
        [sys.executable, "-m", "stepsize", "transfer", "--help"],
        env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(name in done.stdout for name in PLANS)
