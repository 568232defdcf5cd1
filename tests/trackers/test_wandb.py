import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
from trackers.stored import EPOCH, FILES, METRIC, UPDATES, read_back, rows, same, send_in_two_parts

from stepsize.errors import InputError
from stepsize.trackers import open_tracker

pytestmark = pytest.mark.skipif(find_spec("wandb") is None, reason="needs wandb")

NAMES = {
    "lr": "lr",
    "train/loss": "loss",
    "train/epoch_loss": "train_loss",
    "val/loss": "val_loss",
    "epoch": "epoch",
}


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Without an account: W&B must neither ask nor look for the network."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "WANDB_PROJECT"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", str(folder / "netrc"))
        patch.chdir(folder)
        return send_in_two_parts(folder, "wandb:learning rates")


@pytest.fixture(scope="module")
def runs(sent):
    return read_back("wandb", str(sent.folder / "wandb"))["runs"]


def test_every_value_of_the_store_is_there_once(runs):
    for seed in (0, 1):
        parts = [run for run in runs if run.get("config", {}).get("seed") == seed]
        assert len({run["id"] for run in parts}) == 1
        assert len(parts) == (2 if seed == 0 else 1)  # it was interrupted
        history = [(step, row) for run in parts for step, row in run["history"]]
        expected = rows(seed)
        assert [step for step, _ in history] == list(range(UPDATES))
        for step, row in history:
            for name, ours in NAMES.items():
                assert (name in row) == (ours in expected[step])
                assert name not in row or same(float(row[name]), expected[step][ours])
        odd = [v for _, row in history for n, v in row.items() if n.startswith("val/top")]
        assert odd == [row[METRIC] for row in expected.values() if METRIC in row]


def test_runs_are_grouped_and_described(runs):
    assert {run["project"] for run in runs} == {"learning rates"}
    assert len({run["group"] for run in runs}) == 1
    assert {run["job_type"] for run in runs} == {"train", "compare"}
    last = [run for run in runs if run.get("config", {}).get("seed") == 0][-1]
    assert last["config"]["schedule"] == "constant(1)"
    assert last["summary"]["final_val_loss"] == 1 / 3 / (UPDATES // EPOCH)
    assert last["summary"]["status"] == "finished"


def test_ranking_and_pictures_are_in_a_run_of_their_own(runs):
    (run,) = [run for run in runs if run["job_type"] == "compare"]
    folder = Path(run["path"]).parent / "files"
    ((_, row),) = run["history"]
    read = {n.split("/")[0]: row[n] for n in row if n.endswith("/path")} or {
        n: v["path"] for n, v in row.items() if isinstance(v, dict) and "path" in v
    }
    table = json.loads((folder / read["ranking"]).read_text())
    assert [cells[0] for cells in table["data"]] == ["best", "worse"]
    assert (folder / read["compare"]).read_bytes() == FILES["compare.png"]
    assert (folder / "compare.json").read_bytes() == FILES["compare.json"]
    assert run["summary"]["best_arm"] == "cosine(0.1)"
    assert math.isclose(run["summary"]["best_val_loss"], 0.1)


def test_everything_stays_in_the_folder(sent):
    assert {path.name for path in sent.folder.iterdir()} <= {
        "wandb", "stepsize.db", "stepsize.db-files", "stepsize.db-wal", "stepsize.db-shm",
    }  # fmt: skip


def test_a_project_that_wandb_does_not_take_is_told_at_once():
    with pytest.raises(InputError):
        open_tracker("wandb:a/b")
