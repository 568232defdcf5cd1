"""``stepsize runs`` from outside: what a user reads of a store that runs were kept in."""

import json
import re

import pytest
from cli.filled_stores import LOGGED, crash, fill
from report.comparisons import hostile, make_comparison, three_arms

from stepsize.cli.main import main
from stepsize.store import Store


@pytest.fixture
def runs(tmp_path, monkeypatch, capsys):
    """Run the command in this process; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEPSIZE_STORE", raising=False)

    def run(*words):
        code = main(["runs", *map(str, words)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def path(tmp_path):
    """A store with a finished comparison, and one with a run that failed and one that waits."""
    path = tmp_path / "stepsize.db"
    changes = {1: {"status": "failed", "done": 3}, 2: {"status": "waiting", "done": 0}}
    late = make_comparison(
        {"step": ("step(0.2, every=9)", 0.32, changes)}, task="digits", name="late"
    )
    with Store(path) as store:
        fill(store, three_arms(name="early"))
        fill(store, late, finished=False)
    return path


def listed(runs, *words):
    code, out, _ = runs("--json", *words)
    assert code == 0
    return json.loads(out)


def test_every_comparison_and_run_is_listed_newest_last(runs, path):
    code, out, err = runs()
    assert (code, err) == (0, "")
    assert out.index("comparison 1, early") < out.index("comparison 2, late")
    for arm in ("cosine(0.28)", "linear(0.28)", "0.1", "step"):
        assert re.search(rf"^  {re.escape(arm)}$", out, re.M)
    with Store(path) as store:
        for each in store.runs():
            final = store.read(each.id).as_run("").final
            number = f"{final['val_loss']:.5g}" if final else "–"
            row = rf"^ +{each.id} +{each.definition['seed']} +{each.status} .* {number} "
            assert re.search(row, out, re.M), each


def test_json_has_the_same(runs, path):
    data = listed(runs)
    assert data["store"] == str(path)
    assert [(one["id"], one["name"], one["finished"]) for one in data["comparisons"]] == [
        (1, "early", True),
        (2, "late", False),
    ]
    assert [run["id"] for run in data["runs"]] == list(range(1, 13))
    expected = {run.key: run for run in three_arms().runs}
    for run in data["runs"][:9]:
        known = expected[run["key"]]
        assert run["final"] == dict(known.final)
        assert (run["schedule"], run["seed"], run["status"]) == (
            known.schedule,
            known.seed,
            "finished",
        )
        assert run["comparisons"] == [{"id": 1, "arm": known.arm}]
    assert data["runs"][10]["error"] == "RuntimeError: no more data"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--task", "digits"), 3),
        (("--status", "failed"), 1),
        (("--comparison", "early"), 9),
        (("--comparison", 2, "--status", "finished"), 1),
        (("--task", "nothing"), 0),
    ],
)
def test_the_list_can_be_narrowed(runs, path, words, count):
    assert len(listed(runs, *words)["runs"]) == count
    code, out, _ = runs(*words)
    assert code == 0
    assert count or "no such runs" in out


def test_a_run_of_two_comparisons_is_told_in_both_and_listed_once(runs, path):
    with Store(path) as store:
        fill(store, three_arms(name="again"))
    data = listed(runs)
    assert len(data["runs"]) == 12
    assert [one["id"] for one in data["runs"][0]["comparisons"]] == [1, 3]


def test_runs_without_a_comparison_are_not_forgotten(runs, path):
    definition = {"task": "digits", "schedule": "rex(0.1)", "seed": 5, "epochs": 1, "updates": 9}
    with Store(path) as store:
        store.add_run("alone", definition)
    _, out, _ = runs()
    assert "rex(0.1)" in out
    assert listed(runs)["runs"][-1]["comparisons"] == []


def test_a_crashed_run_is_told(runs, path):
    crash(path, 12)
    _, out, err = runs()
    assert re.search(r"^ +12 +2 +crashed +12 of ", out, re.M)
    assert "1 crashed" in err
    assert [run["id"] for run in listed(runs, "--status", "crashed")["runs"]] == [12]
    _, out, _ = runs(12)
    assert "crashed" in out.splitlines()[0]


def test_all_of_one_run(runs, path):
    code, out, _ = runs(4)
    assert code == 0
    known = three_arms().runs[3]
    for expected in (known.key, known.schedule, "torch 2.7.1", "be3d35c", "weights of seed 0"):
        assert expected in out
    assert "in comparison 1 (early) as cosine(0.28)" in out
    assert re.search(r"  started: from the beginning$", out, re.M)
    table = out[out.index("evaluations:") :].splitlines()[2:22]
    for evaluation, row in zip(known.history, table, strict=True):
        numbers = [float(word.replace(",", "")) for word in row.split()]
        assert numbers[:2] == [evaluation.epoch, evaluation.updates]
        assert sorted(numbers[2:]) == pytest.approx(sorted(evaluation.values.values()), rel=1e-4)


def test_one_run_by_its_key_as_json(runs, path):
    known = three_arms().runs[3]
    data = listed(runs, known.key)
    assert data["id"] == 4
    assert data["done"] >= LOGGED
    assert data["history"] == [each.to_dict() for each in known.history]
    assert data["environment"]["versions"]["torch"] == "2.7.1"
    assert data["events"][0]["kind"] == "started"
    _, out, _ = runs(11)
    assert "error: RuntimeError: no more data" in out


@pytest.mark.parametrize("word", [99, "nobody", "-1", ""])
def test_an_unknown_run_is_bad_input(runs, path, word):
    code, out, err = runs("--", word)
    assert (code, out) == (2, "")
    assert "stepsize runs" in err


def test_an_unknown_comparison_is_bad_input(runs, path):
    code, out, err = runs("--comparison", "nobody")
    assert (code, out) == (2, "")
    assert "early" in err


def test_an_absent_store_is_bad_input_and_is_not_made(runs, tmp_path):
    code, out, err = runs()
    assert (code, out) == (2, "")
    assert "stepsize.db" in err
    code, _, err = runs("--store", "elsewhere/runs.db")
    assert code == 2
    assert "elsewhere" in err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_says_so(runs, path, tmp_path):
    Store(tmp_path / "empty.db").close()
    code, out, _ = runs("--store", "empty.db")
    assert code == 0
    assert "no runs" in out
    assert listed(runs, "--store", "empty.db")["runs"] == []


def test_the_environment_names_the_store_and_the_option_wins(runs, path, tmp_path, monkeypatch):
    path.rename(tmp_path / "kept.db")
    monkeypatch.setenv("STEPSIZE_STORE", str(tmp_path / "kept.db"))
    assert len(listed(runs)["runs"]) == 12
    Store(tmp_path / "other.db").close()
    assert listed(runs, "--store", "other.db")["runs"] == []


def test_hostile_names_do_not_reach_the_terminal(runs, tmp_path):
    with Store(tmp_path / "stepsize.db") as store:
        fill(store, hostile())
    _, out, _ = runs()
    assert "\x1b" not in out
    assert "\0" not in out
    for number in range(1, 10):
        code, out, _ = runs(number)
        assert code == 0
        assert "\x1b" not in out
