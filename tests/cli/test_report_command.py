"""``stepsize report`` from outside: a comparison that was kept, drawn again."""

import json

import pytest
from cli.filled_stores import fill
from report.comparisons import hostile, incomplete, three_arms, with_diverged

from stepsize.cli.main import main
from stepsize.records import Comparison
from stepsize.store import Store

pytest.importorskip("matplotlib")

FILES = {"compare.json", "compare.html", "compare.png"}


@pytest.fixture
def report(tmp_path, monkeypatch, capsys):
    """Run the command in this process; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEPSIZE_STORE", raising=False)

    def run(*words):
        code = main(["report", *map(str, words)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "stepsize.db") as store:
        yield store


def files(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_the_latest_comparison_is_drawn_again(report, store, tmp_path):
    fill(store, with_diverged(name="early"))
    fill(store, three_arms(name="a title"))
    code, out, err = report()
    assert code == 0
    folder = tmp_path / "stepsize-report" / "a-title"
    assert files(folder) == FILES
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert "</html>" in (folder / "compare.html").read_text()
    data = json.loads((folder / "compare.json").read_text())
    assert Comparison.from_dict(data) == three_arms(name="a title")
    assert "cosine(0.28) is best" in out
    assert "compare.html" in err


def test_another_by_name_or_number_elsewhere(report, store, tmp_path):
    fill(store, with_diverged(name="early"))
    fill(store, three_arms(name="late"))
    for word, out in (("early", "by-name"), (1, "by-number")):
        assert report(word, "--out", out)[0] == 0
        assert files(tmp_path / out) == FILES
    texts = [(tmp_path / out / "compare.json").read_text() for out in ("by-name", "by-number")]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["name"] == "early"


def test_json_and_quiet(report, store):
    fill(store, three_arms())
    _, out, _ = report("--json")
    assert json.loads(out) == three_arms().to_dict()
    _, out, err = report("--quiet")
    assert len(out.splitlines()) == 1
    assert err == ""


def test_what_is_not_finished_is_drawn_as_far_as_it_is(report, store, tmp_path):
    fill(store, incomplete(name="half"), finished=False)
    code, out, _ = report("half")
    assert code == 0
    assert "so far" in out
    data = json.loads((tmp_path / "stepsize-report" / "half" / "compare.json").read_text())
    assert [row["place"] for row in data["ranking"]] == ["best", "incomplete"]
    assert len(data["runs"]) == 6


def test_names_of_users_are_safe_as_folders(report, store, tmp_path):
    fill(store, hostile())
    fill(store, three_arms(name="../../up"))
    fill(store, three_arms(name=".."))
    for number in (1, 2, 3):
        assert report(number)[0] == 0
    made = sorted((tmp_path / "stepsize-report").iterdir())
    assert len(made) == 3
    assert all(files(folder) == FILES for folder in made)
    assert {path.name for path in tmp_path.iterdir()} <= {
        "stepsize-report",
        "stepsize.db",
        "stepsize.db-files",
        "stepsize.db-shm",
        "stepsize.db-wal",
    }


def test_an_absent_store_or_comparison_is_bad_input_and_leaves_no_folder(report, tmp_path):
    code, out, err = report()
    assert (code, out) == (2, "")
    assert "stepsize.db" in err
    with Store(tmp_path / "stepsize.db") as store:
        assert report()[0] == 2
        fill(store, three_arms(name="there"))
    code, _, err = report("nobody")
    assert code == 2
    assert "there" in err
    assert not (tmp_path / "stepsize-report").exists()


def test_a_folder_that_cannot_be_written_is_bad_input(report, store, tmp_path):
    fill(store, three_arms())
    (tmp_path / "file").touch()
    code, _, err = report("--out", "file/deeper")
    assert code == 2
    assert "--out" in err
