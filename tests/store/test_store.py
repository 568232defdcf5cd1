"""What goes into a store comes out of it."""

import math

import pytest
from store.processes import DEFINITION

from stepsize.errors import InputError, StoreError
from stepsize.records import Evaluation
from stepsize.store import Store

AWKWARD = "Robert'); DROP TABLE run;-- \x00 \n <b> ü \udcff"


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "new" / "runs.db") as opened:
        yield opened


def begin(store, key="abc", **definition):
    return store.claim(store.add_run(key, {**DEFINITION, **definition}), {})


def test_a_run_from_its_entry_to_its_end(store):
    run_id = store.add_run("abc", DEFINITION)
    assert store.add_run("abc", DEFINITION) == run_id
    waiting = store.read(run_id)
    assert (waiting.status, waiting.started, waiting.owner) == ("waiting", None, None)
    with store.claim(run_id, {"torch": "2"}) as lease:
        lease.log(0, 0.1, 2.0)
        assert list(store.updates(run_id)) == [(0, 0.1, 2.0)]  # the first one lands at once
        lease.evaluate(Evaluation(1, 1, {"val_loss": 1.0, "val_accuracy": 0.5}))
        running = store.read(run_id)
        assert (running.status, running.ended) == ("running", None)
        lease.facts(initial_weights="a")
        lease.event("started", "from the beginning")
        lease.finish("finished", seconds=2.0)
    run = store.read(run_id)
    assert (run.key, run.definition, run.status) == ("abc", DEFINITION, "finished")
    assert (run.done, run.seconds, run.error) == (1, 2.0, "")
    assert (run.environment, run.facts) == ({"torch": "2"}, {"initial_weights": "a"})
    assert run.started <= run.events[0].at <= run.ended
    assert run.events[0][1:] == ("started", "from the beginning")
    assert run.owner is not None
    seen = run.as_run("mine")
    assert (seen.arm, seen.seed, seen.updates, seen.final) == ("mine", 0, 40, run.history[0].values)


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_result_is_never_made_again(store, status):
    begin(store).finish(status)
    assert store.claim(1, {}) is None
    assert store.status(1) == status


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_what_is_no_result_can_be_claimed_again(store, status):
    begin(store).finish(status, error="it broke", seconds=1.0)
    assert (store.read(1).error, store.status(1)) == ("it broke", status)
    lease = store.claim(1, {})
    assert (store.read(1).error, store.read(1).ended) == ("", None)
    lease.finish("finished", seconds=2.0)
    assert store.read(1).seconds == 3.0


def test_another_environment_is_noted_with_the_one_before(store):
    run_id = store.add_run("abc", DEFINITION)
    store.claim(run_id, {"torch": "1"}).finish("interrupted")
    store.claim(run_id, {"torch": "1"}).finish("interrupted")
    store.claim(run_id, {"torch": "2"}).finish("finished")
    run = store.read(run_id)
    assert run.environment == {"torch": "2"}
    assert [(event.kind, '"1"' in event.text) for event in run.events] == [("environment", True)]


def test_leaving_without_a_word_interrupts(store):
    with begin(store) as lease:
        lease.log(0, 0.1, 1.0)
        lease.log(1, 0.1, 1.0)
    assert (store.status(1), store.read(1).done) == ("interrupted", 2)
    with pytest.raises(ZeroDivisionError), store.claim(1, {}):
        1 / 0  # noqa: B018
    assert store.status(1) == "interrupted"
    assert "division" in store.read(1).error


def test_a_lease_ends_once(store):
    lease = begin(store)
    with pytest.raises(InputError):
        lease.finish("running")
    lease.finish("interrupted")
    for write in (lambda: lease.log(0, 0.1, 1.0), lambda: lease.finish("failed")):
        with pytest.raises(StoreError):
            write()
    assert (store.status(1), store.read(1).done) == ("interrupted", 0)


def test_a_lease_says_how_much_is_in_the_file(store):
    """A checkpoint made later than that is of no use."""
    with begin(store) as lease:
        for update in range(10):
            lease.log(update, 0.1, 1.0)
        lease.flush()
        assert lease.done == 10
        lease.rewind(20)
        assert lease.done == 10
        lease.rewind(4)
        assert lease.done == 4


def test_an_update_that_is_logged_again_is_replaced(store):
    with begin(store) as lease:
        for loss in (1.0, 2.0):
            lease.log(0, 0.1, loss)
            lease.flush()
    assert list(store.updates(1)) == [(0, 0.1, 2.0)]


def test_values_that_are_not_numbers_of_python_are_told_at_once(store):
    with begin(store) as lease, pytest.raises((TypeError, ValueError)):
        lease.log(0, 0.1, "high")


def test_files_are_beside_the_store_and_named_by_the_key(store):
    with begin(store, "0123abcd") as lease:
        lease.checkpoint.write_bytes(b"1")
        lease.weights.write_bytes(b"2")
    assert store.checkpoint(1).read_bytes() + store.weights(1).read_bytes() == b"12"
    assert store.files == store.path.with_name("runs.db-files")
    assert {path.name[:8] for path in store.files.iterdir()} == {"0123abcd"}


def test_a_run_that_another_enters_at_the_same_moment_is_one_run(store, monkeypatch):
    with Store(store.path) as other:
        look = store._database.rows

        def look_too_early(*query):
            found = look(*query)
            other.add_run("abc", DEFINITION)
            return found

        monkeypatch.setattr(store._database, "rows", look_too_early)
        assert store.add_run("abc", DEFINITION) == 1
        assert len(other.runs()) == 1


@pytest.mark.parametrize("key", ["", "../a", "a/b", "a\\b", ".", "..", "a\0", "C:a", "a\n"])
def test_a_key_that_could_leave_the_folder_is_refused(store, key):
    with pytest.raises(InputError):
        store.add_run(key, DEFINITION)
    assert store.runs() == []


def test_a_definition_needs_its_parts(store):
    with pytest.raises(InputError, match="seed"):
        store.add_run("abc", {name: 1 for name in DEFINITION if name != "seed"})


def test_any_text_is_kept(store):
    """Nothing that a user's task or error says can break a run."""
    with begin(store, task=AWKWARD) as lease:
        lease.event("error", AWKWARD)
        lease.facts(**{AWKWARD: AWKWARD})
        lease.evaluate(Evaluation(1, 1, {AWKWARD[:-1]: 1.0}))
        lease.finish("failed", error=AWKWARD)
    comparison = store.add_comparison("k", AWKWARD, {"a": AWKWARD}, [(1, AWKWARD)])
    store.keep("find", AWKWARD[:-1], AWKWARD)
    run = store.read(1)
    written = AWKWARD.replace("\udcff", "\\udcff")
    assert run.error == run.events[0].text == store.comparison(comparison).name == written
    assert run.definition["task"] == run.facts[AWKWARD] == AWKWARD
    assert store.kept("find", AWKWARD[:-1]) == AWKWARD
    assert list(run.history[0].values) == [AWKWARD[:-1]]


def test_runs_are_listed_by_task_status_and_comparison(store):
    for number, (task, status) in enumerate([("a", "finished"), ("b", "failed"), ("a", "failed")]):
        begin(store, f"k{number}", task=task).finish(status)
    comparison = store.add_comparison("c", "", {}, [(3, "x"), (1, "y")])
    assert [run.id for run in store.runs()] == [1, 2, 3]
    assert [run.id for run in store.runs(task="a")] == [1, 3]
    assert [run.id for run in store.runs(status="failed")] == [2, 3]
    assert [run.id for run in store.runs(comparison=comparison)] == [1, 3]
    assert [run.id for run in store.runs("a", "failed", comparison)] == [3]
    assert store.runs(task="c") == []


@pytest.mark.parametrize("ask", ["status", "read", "weights", "checkpoint"])
def test_a_run_that_is_not_there_is_told(store, ask):
    with pytest.raises(StoreError, match="7"):
        getattr(store, ask)(7)
    with pytest.raises(StoreError, match="7"):
        store.claim(7, {})


def test_comparisons_by_number_key_and_name(store):
    for key in ("k1", "k2"):
        store.add_run(key, DEFINITION)
    with pytest.raises(StoreError, match="none"):
        store.comparison()
    first = store.add_comparison("aaa", "same", {"epochs": 2}, [(1, "x")])
    second = store.add_comparison("bbb", "same", {}, [(2, "x"), (1, "y"), (2, "y")])
    assert store.add_comparison("aaa", "", {}, [(2, "z"), (1, "x")]) == first
    store.finish_comparison(first, {"ranking": [], "mean": math.inf})
    assert [each.id for each in store.comparisons()] == [first, second]
    assert store.comparison(first) == store.comparison("aaa") == store.comparisons()[0]
    assert store.comparison("same") == store.comparison() == store.comparison(str(second))
    found = store.comparison(first)
    assert (found.plan, found.runs) == ({"epochs": 2}, ((1, "x"), (2, "z")))
    assert found.result == {"ranking": [], "mean": math.inf}
    assert store.comparison(second).runs == ((2, "x"), (1, "y"), (2, "y"))
    for which in ("ccc", 9):
        with pytest.raises(StoreError, match="same"):
            store.comparison(which)
    with pytest.raises(StoreError, match="9"):
        store.finish_comparison(9, {})


def test_runs_that_are_not_there_cannot_be_compared_or_exported(store):
    with pytest.raises(StoreError):
        store.add_comparison("aaa", "", {}, [(7, "x")])
    assert store.comparisons() == []
    with pytest.raises(StoreError):
        store.set_exported(7, "mlflow", 1)


def test_facts_and_exports_are_kept(store):
    store.add_run("abc", DEFINITION)
    assert (store.kept("find", "a"), store.exported(1, "mlflow")) == (None, 0)
    store.keep("find", "a", {"lr": 0.1})
    store.keep("find", "a", {"lr": 0.2})
    store.set_exported(1, "mlflow", 5)
    store.set_exported(1, "mlflow", 9)
    assert (store.kept("find", "a"), store.exported(1, "mlflow")) == ({"lr": 0.2}, 9)
    assert (store.kept("test", "a"), store.exported(1, "wandb")) == (None, 0)


def test_a_commit_waits_for_no_disk_and_references_hold(store):
    for pragma, value in {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1}.items():
        assert store._database.rows(f"PRAGMA {pragma}") == [(value,)]


def test_a_folder_stands_for_the_file_in_it(tmp_path):
    with Store(tmp_path) as store:
        assert store.path == tmp_path / "stepsize.db"
    with Store(tmp_path, create=False) as store:
        assert store.runs() == []


def test_names_that_mean_something_to_sqlite_are_files_like_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:a?mode=memory", "ü %20#.db"):
        with Store(name):
            assert (tmp_path / name).is_file()


def test_many_updates_are_read_in_pieces(store):
    with begin(store) as lease:
        for update in range(25_000):
            lease.log(update, 0.1, 1.0)
        lease.finish("finished")
    assert [row[0] for row in store.updates(1)] == list(range(25_000))
    assert len(store.trace(1)) == 1000
    assert store.read(1).done == 25_000
    reader = store.updates(1, 5)
    assert next(reader) == (5, 0.1, 1.0)
    store.keep("find", "a", 1)  # a reader in the middle is in nobody's way
    assert next(reader)[0] == 6


def test_what_no_store_holds_may_be_asked_for_in_any_text(tmp_path):
    with Store(tmp_path) as store:
        assert store.runs(task="half a character: \udcff") == []
        assert store.run_id("half a character: \udcff") is None
