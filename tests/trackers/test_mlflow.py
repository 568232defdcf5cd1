import json
import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from trackers.stored import (
    FILES,
    HOSTILE,
    METRIC,
    files_below,
    read_back,
    rows,
    same,
    send_in_two_parts,
)

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None or find_spec("sqlalchemy") is None, reason="needs MLflow"
)


#: A new database of MLflow's takes some fifty migrations, each of which waits for the disk.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module")
def sent():
    with TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        yield send_in_two_parts(folder, f"mlflow:{folder / 'ml'}", processes=1)


@pytest.fixture(scope="module")
def found(sent):
    return read_back("mlflow", f"sqlite:///{sent.folder / 'ml' / 'mlflow.db'}")


def children(found):
    runs = [run for run in found["runs"] if "mlflow.parentRunId" in run["tags"]]
    return sorted(runs, key=lambda run: run["params"]["seed"])


def parent(found):
    (run,) = [run for run in found["runs"] if "mlflow.parentRunId" not in run["tags"]]
    return run


def test_every_value_of_the_store_is_there_once(found):
    assert len(children(found)) == 2
    for run, seed in zip(children(found), (0, 1), strict=True):
        expected = rows(seed)
        for name in ("lr", "loss", "train_loss", "val_loss", "epoch"):
            values = {t: row[name] for t, row in expected.items() if name in row}
            assert [step for step, _ in run["metrics"][name]] == list(values)
            assert all(same(value, values[step]) for step, value in run["metrics"][name])
        (odd,) = [name for name in run["metrics"] if name.startswith("val_top")]
        expected_odd = [row[METRIC] for row in expected.values() if METRIC in row]
        assert [value for _, value in run["metrics"][odd]] == expected_odd


def test_runs_lie_below_their_comparison_with_definition_and_status(found):
    top = parent(found)
    for run, seed in zip(children(found), (0, 1), strict=True):
        assert run["tags"]["mlflow.parentRunId"] == top["id"]
        assert run["status"] == "FINISHED"
        assert run["tags"]["stepsize.status"] == "finished"
        assert run["params"]["schedule"] == f"constant({seed + 1})"
        assert run["params"]["recipe.clip"] == "None"
        assert run["metrics"]["final_val_loss"][-1][1] == (1 + seed) / 12


def test_ranking_and_files_are_artifacts_of_the_comparison(found):
    top = parent(found)
    assert {n: top["artifacts"][n].encode("latin-1") for n in FILES} == FILES
    table = json.loads(top["artifacts"]["ranking.json"])
    assert [row[0] for row in table["data"]] == ["best", "worse"]
    assert top["tags"]["stepsize.best_arm"] == "cosine(0.1)"
    assert top["metrics"]["best_val_loss"][-1][1] == 0.1
    assert top["status"] == "FINISHED"


def test_a_hostile_name_stays_below_the_folder(sent, found):
    assert any(HOSTILE[:13] in run["params"]["arm"] for run in children(found))
    outside = {name.split("/")[0] for name in files_below(sent.folder)}
    assert outside == {"ml", "stepsize.db", "stepsize.db-files", "stepsize.db-wal",
                       "stepsize.db-shm"}  # fmt: skip
