"""What goes wrong with the file: told in words, and nothing that was written is lost."""

import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing, contextmanager

import pytest
from store.processes import DEFINITION, said

from stepsize.errors import InputError, StoreError
from stepsize.store import Store


@pytest.fixture
def path(tmp_path):
    """A store with a run of 5,000 updates."""
    with Store(tmp_path / "runs.db") as store:
        with store.claim(store.add_run("abc", DEFINITION), {}) as lease:
            for update in range(5000):
                lease.log(update, 0.1, 1.0)
            lease.finish("finished")
        return store.path


def refusal(path, **options):
    """The message with which a store is not opened; the file and the folder stay as they are."""
    before = path.read_bytes() if path.is_file() else None
    beside = sorted(path.parent.glob("*"))
    with pytest.raises(StoreError) as caught, Store(path, **options):
        pass
    assert (path.read_bytes() if path.is_file() else None) == before
    assert sorted(path.parent.glob("*")) == beside
    return str(caught.value)


def test_a_store_that_is_absent_is_not_made_by_those_who_only_read(tmp_path):
    assert "no store" in refusal(tmp_path / "runs.db", create=False)
    with pytest.raises(StoreError, match="no store"):
        Store(tmp_path, create=False)
    with pytest.raises(StoreError, match="no store"):
        Store(tmp_path / "a" / "b.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_database_is_left_alone(tmp_path):
    path = tmp_path / "runs.db"
    path.write_text("These are my notes on learning rates.\n" * 100)
    assert "not a database" in refusal(path)


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE run (id INTEGER PRIMARY KEY)")
    assert "another program" in refusal(path)


def test_what_is_no_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "runs.db", "/dev/null", tmp_path / ("a" * 300)):
        with pytest.raises(StoreError):
            Store(place)
    with pytest.raises(InputError):
        Store("a\0b")


def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "runs.db"
    path.touch()
    with Store(path, create=False) as store:
        assert store.runs() == []


def test_a_damaged_header_is_told(path):
    whole = path.read_bytes()
    path.write_bytes(os.urandom(100) + whole[100:])
    assert "not a database" in refusal(path)
    path.write_bytes(whole[:100] + bytes(4000) + whole[4100:])
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_told(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "aside" in refusal(path)


def test_a_last_page_that_is_cut_off_is_found_by_the_check(path):
    path.write_bytes(path.read_bytes()[:-4000])
    with Store(path) as store, pytest.raises(StoreError, match="aside"):
        store.check()


def test_a_store_without_its_tables_is_told(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE metric")
    assert "metric" in refusal(path)


def test_damage_in_the_middle_is_told_by_those_who_meet_it(path):
    whole = path.read_bytes()
    middle = len(whole) * 3 // 4
    path.write_bytes(whole[:middle] + b"\xff" * 9000 + whole[middle + 9000 :])
    with Store(path) as store:
        assert store.status(1) == "finished"
        for use in (store.check, lambda: store.trace(1), lambda: list(store.updates(1))):
            with pytest.raises(StoreError, match="aside"):
                use()


def test_a_sound_store_passes_its_check(path):
    with Store(path) as store:
        store.check()


def test_a_row_that_lost_its_run_fails_the_check(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO event (run, at, kind, text) VALUES (9, '', '', '')")
    with Store(path) as store, pytest.raises(StoreError, match="event"):
        store.check()


def test_a_locked_store_can_be_read_and_tells_who_wants_to_write(path):
    with closing(sqlite3.connect(path)) as other, Store(path, wait=0.05) as store:
        run_id = store.add_run("def", DEFINITION)
        lease = store.claim(run_id, {})
        other.execute("BEGIN IMMEDIATE")
        with Store(path, wait=0.05) as reader:
            assert len(reader.runs()) == 2
        with pytest.raises(StoreError, match=r"locked for 0\.05 s"):
            store.keep("find", "a", 1)
        with pytest.raises(StoreError, match="locked"):
            lease.log(0, 0.1, 1.0)
        other.rollback()
        lease.log(1, 0.1, 1.0)
        lease.flush()  # what waited lands with it
        assert lease.done == 2
        lease.finish("finished")


def test_opening_waits_for_who_writes_to_a_copy_that_is_not_in_wal_mode_yet(path):
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            Store(path, wait=0.05)
        threading.Timer(0.3, other.rollback).start()
        with Store(path, wait=20.0) as store:
            assert store.status(1) == "finished"
    with closing(sqlite3.connect(path)) as again:
        assert again.execute("PRAGMA journal_mode").fetchone() == ("wal",)


FULL = f"""
import os, sys
from pathlib import Path
from stepsize.errors import StoreError
from stepsize.store import Store
folder = Path(sys.argv[1])
store = Store(folder / "runs.db")
lease = store.claim(store.add_run("abc", {DEFINITION}), {{}})
for update in range(100):
    lease.log(update, 0.1, 1.0)
lease.flush()
fill(folder)
failed, update = None, 100
while failed is None and update < 10**5:
    try:
        lease.log(update, 0.1, 1.0)
        if update % 50 == 0:
            lease.flush()
    except StoreError as error:
        failed = str(error)
    update += 1
print(failed)
try:
    with lease:
        raise KeyError("mine")
except KeyError as error:
    print(len(error.__notes__))
print(store.status(1), lease.done >= 100)
empty(folder)
again = store.claim(1, {{}})
again.rewind(again.done)
for update in range(again.done, 500):
    again.log(update, 0.1, 1.0)
again.finish("finished")
store.check()
print([row[0] for row in store.updates(1)] == list(range(500)))
"""
BALLAST = """
def fill(folder):
    with open(folder / "ballast", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
def empty(folder):
    (folder / "ballast").unlink()
"""
LIMIT = """
import resource
def fill(folder):
    largest = max(each.stat().st_size for each in folder.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 10_000, resource.RLIM_INFINITY))
def empty(folder):
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
KEEP = """
import math, sys
from pathlib import Path
from stepsize.errors import StoreError
from stepsize.store import Store
folder = Path(sys.argv[1])
store = Store(folder / "runs.db")
lease = store.claim(store.add_run("abc", DEFINITION), {})
lease.log(0, 0.1, 1.0)
fill(folder)
failures = 0
for update in range(1, 3000):
    lease.log(update, 0.1, 1.0)
    lease._due = math.inf  # no commit by the clock
    if update % 100 == 0:
        try:
            lease.flush()
        except StoreError:
            failures += 1
print(failures > 5, lease.done < 3000)
empty(folder)
lease.flush()
print(lease.done, len(list(store.updates(1))))
""".replace("DEFINITION", repr(DEFINITION))


def small_disk(folder):
    """A command that mounts a disk of 400 kB at ``folder`` for the process that follows."""
    own_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount -t tmpfs -o size=400k tmpfs "$0" && exec "$@"'
    command = ["unshare", *own_root, "--mount", "sh", "-c", script, str(folder)]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    return command


def on_a_full_disk(code, folder, kind):
    if kind == "disk":
        return said(BALLAST + code, folder, wrapper=small_disk(folder))
    pytest.importorskip("resource")
    return said(LIMIT + code, folder)


@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_a_full_disk_is_told_and_costs_nothing_that_was_written(tmp_path, kind):
    failed, notes, status, done = on_a_full_disk(FULL, tmp_path, kind)
    assert "room" in failed
    assert notes == "1"  # the error of the training is the one that is seen
    assert status == "crashed True"
    assert done == "True"


@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_what_could_not_be_written_waits_until_there_is_room(tmp_path, kind):
    assert on_a_full_disk(KEEP, tmp_path, kind) == ["True True", "3000 3000"]


def test_a_store_cannot_be_made_on_a_full_disk(tmp_path):
    code = BALLAST + (
        "import sys; from pathlib import Path; from stepsize.errors import StoreError\n"
        "from stepsize.store import Store\n"
        "fill(Path(sys.argv[1]))\n"
        "try: Store(sys.argv[1])\n"
        "except StoreError as error: print(error)\n"
        "empty(Path(sys.argv[1]))\n"
        "print(Store(sys.argv[1]).runs())\n"
    )
    message, runs = said(code, tmp_path, wrapper=small_disk(tmp_path))
    assert "full" in message
    assert runs == "[]"


AS_ANYBODY = f"""
import os, sys
from stepsize.errors import StoreError
from stepsize.store import Store
if os.geteuid() == 0:  # whom nothing can be forbidden
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    store = Store(sys.argv[1])
    print([run.status for run in store.runs()])
    store.add_run("def", {DEFINITION})
except StoreError as error:
    print(error)
"""


@contextmanager
def mode(path, bits):
    before = stat.S_IMODE(path.stat().st_mode)
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@pytest.fixture
def open_folder(tmp_path):
    """A folder that every user may enter."""
    parents = [each for each in (tmp_path, *tmp_path.parents) if "pytest" in str(each)]
    before = [stat.S_IMODE(each.stat().st_mode) for each in parents]
    for each in parents:
        each.chmod(0o755)
    yield tmp_path
    for each, bits in zip(parents, before, strict=True):
        each.chmod(bits)


def test_a_folder_that_may_not_be_written(open_folder):
    with mode(open_folder, 0o555):
        (message,) = said(AS_ANYBODY, open_folder / "runs.db")
        assert "Allow" in message
        (message,) = said(AS_ANYBODY, open_folder / "new" / "runs.db")
        assert "Allow" in message


def test_a_file_that_may_not_be_written_can_be_read(open_folder, path):
    with mode(open_folder, 0o777), mode(path, 0o444):
        runs, message = said(AS_ANYBODY, path)
    assert runs == "['finished']"
    assert "may not be written" in message


def test_a_store_in_a_folder_that_may_not_be_written(open_folder, path):
    with mode(open_folder, 0o555), mode(path, 0o444):
        out = said(AS_ANYBODY, path)
    assert "Allow" in out[-1]
    with mode(path, 0o000):
        (message,) = said(AS_ANYBODY, path)
    assert "Allow" in message


def test_files_beside_the_store_that_cannot_be_made_are_told(path):
    with Store(path) as store:
        lease = store.claim(store.add_run("def", DEFINITION), {})
        store.files.write_text("in the way")
        with pytest.raises(StoreError, match="folder"):
            _ = lease.checkpoint
        lease.finish("failed")
