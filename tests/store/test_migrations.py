"""Stores of older versions go on living."""

import math
import sqlite3
from pathlib import Path

import pytest
from store.processes import DEFINITION

from stepsize.errors import StoreError
from stepsize.store import Store
from stepsize.store.schema import APPLICATION_ID, MIGRATIONS

GOLDEN = Path(__file__).parents[1] / "golden" / "store" / "version-1.db"


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.db"
    path.write_bytes(GOLDEN.read_bytes())
    return path


def ask(path, sql):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def schema(path):
    return ask(path, "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")


def test_a_store_of_version_1_keeps_everything(old):
    assert ask(old, "PRAGMA user_version") == [(1,)]
    with Store(old, create=False) as store:
        assert [run.status for run in store.runs()] == [
            "finished",
            "diverged",
            "crashed",
            "waiting",
        ]
        finished, diverged = store.read(1), store.read(2)
        assert (finished.done, finished.seconds, finished.facts) == (20, 1.5, {"batches": "b00b"})
        assert [each.updates for each in finished.history] == [10, 20]
        assert finished.history[1].values == {"val_loss": 0.5, "val_accuracy": 1.0}
        assert finished.definition["schedule"] == "cosine(0.1, steps=20)"
        assert finished.owner == ("worker", 4242)
        assert [event.kind for event in finished.events] == ["started"]
        assert len(list(store.updates(1))) == 20
        assert math.isnan(list(store.updates(2))[-1][2])
        assert diverged.error == "the loss is nan"
        comparison = store.comparison("first")
        assert [run for run, _ in comparison.runs] == [1, 2, 3, 4]
        assert comparison.result == {"ranking": []}
        assert store.kept("find", "ffff") == {"lr": 0.1}
        store.check()


def test_a_migrated_store_is_like_a_new_one(old, tmp_path):
    with Store(old) as store, Store(tmp_path / "new.db") as new:
        store.set_exported(1, "mlflow", 3)
        assert store.exported(1, "mlflow") == 3
        assert schema(old) == schema(new.path)
        for run_id in (3, 4):
            with store.claim(run_id, {}) as lease:
                lease.log(7, 0.1, 1.0)
                lease.finish("finished")
        for path in (old, new.path):
            assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
            assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
            assert ask(path, "PRAGMA journal_mode") == [("wal",)]
    with Store(old) as store:
        assert len(store.runs(status="finished")) == 3
        store.add_run("new", DEFINITION)


def test_a_migration_that_breaks_off_leaves_the_old_version(old, monkeypatch):
    broken = (*MIGRATIONS[:1], ("CREATE TABLE half (a)", "CREATE nonsense"))
    before = schema(old)
    monkeypatch.setattr("stepsize.store.schema.MIGRATIONS", broken)
    with pytest.raises(StoreError):
        Store(old)
    monkeypatch.undo()
    assert (schema(old), ask(old, "PRAGMA user_version")) == (before, [(1,)])
    with Store(old) as store:
        assert len(store.runs()) == 4


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "runs.db"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE ghost (a)")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer"):
        Store(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]
