from importlib.util import find_spec

import pytest
from trackers.stored import (
    FILES,
    METRIC,
    UPDATES,
    files_below,
    read_back,
    rows,
    same,
    send_in_two_parts,
)
from trackers.test_wandb import NAMES

pytestmark = pytest.mark.skipif(find_spec("trackio") is None, reason="needs Trackio")


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trackio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(folder / "trackio"))
        patch.chdir(folder)
        stored = send_in_two_parts(folder, "trackio:learning-rates")
        stored.found = read_back("trackio", "learning-rates")["runs"]
        return stored


def test_every_value_of_the_store_is_there_once(sent):
    for seed in (0, 1):
        (run,) = [run for run in sent.found if (run["config"] or {}).get("seed") == seed]
        logs = [row for row in run["logs"] if "lr" in row]
        expected = rows(seed)
        assert [row["step"] for row in logs] == list(range(UPDATES))
        for row in logs:
            for name, ours in NAMES.items():
                assert (name in row) == (ours in expected[row["step"]])
                assert name not in row or same(float(row[name]), expected[row["step"]][ours])
        odd = [v for row in logs for n, v in row.items() if n.startswith("val/top")]
        assert odd == [row[METRIC] for row in expected.values() if METRIC in row]
        assert run["config"]["schedule"] == f"constant({seed + 1})"
        assert run["logs"][-1]["status"] == "finished"


def test_ranking_and_picture_are_in_a_run_of_their_own(sent):
    (run,) = [run for run in sent.found if "ranking" in run["name"]]
    (row,) = run["logs"]
    assert row["best_arm"] == "cosine(0.1)"
    assert [cells["place"] for cells in row["ranking"]["_value"]] == ["best", "worse"]
    media = list((sent.folder / "trackio").rglob("*.png"))
    assert [path.read_bytes() for path in media] == [FILES["compare.png"]]


def test_a_hostile_name_stays_below_the_folder(sent):
    outside = {name.split("/")[0] for name in files_below(sent.folder)}
    assert outside <= {"trackio", "stepsize.db", "stepsize.db-files", "stepsize.db-wal",
                       "stepsize.db-shm"}  # fmt: skip
