"""Several processes and one store: they write at once, race for a run, fork, and are killed."""

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from store.processes import DEFINITION, at_once, said, started

from stepsize.errors import LeaseLostError, StoreError
from stepsize.records import Evaluation
from stepsize.store import Store

WRITERS, UPDATES = 8, 1000
CROWD = f"""
import sys
from stepsize.records import Evaluation
from stepsize.store import Store
path, number = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
input()
with Store(path) as store:
    wanted = store.claim(store.add_run("wanted", {DEFINITION}), {{}})
    print("got it" if wanted else "too late")
    with store.claim(store.add_run(f"own{{number}}", {DEFINITION}), {{}}) as lease:
        for update in range({UPDATES}):
            lease.log(update, 0.1, number + update)
            if update % 10 == 9:
                lease.flush()
        lease.evaluate(Evaluation(1, {UPDATES}, {{"val_loss": number}}))
        lease.finish("finished")
    store.add_comparison("same", "", {{}}, [(lease.run_id, str(number))])
    if wanted:
        wanted.finish("finished")
    print(store.status(wanted.run_id) if wanted else "")
"""
LOGGER = f"""
import sys, time
from stepsize.store import Store
store = Store(sys.argv[1])
lease = store.claim(store.add_run("abc", {DEFINITION}), {{}})
for update in range(10**6):
    lease.log(update, 0.1, 1.0 / (1 + update))
    print(update, time.monotonic(), flush=True)
    time.sleep(0.002)
"""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Eight processes that make one store at once and write to it; what they print."""
    path = tmp_path_factory.mktemp("crowd") / "new" / "runs.db"
    return path, at_once(CROWD, WRITERS, path)


def test_everything_that_many_write_at_once_is_there(crowd):
    with Store(crowd[0], create=False) as store:
        store.check()
        runs = {run.key: run.id for run in store.runs(status="finished")}
        assert len(runs) == WRITERS + 1
        for number in range(WRITERS):
            losses = [loss for _, _, loss in store.updates(runs[f"own{number}"])]
            assert losses == [number + update for update in range(UPDATES)]
            assert store.read(runs[f"own{number}"]).history[0].values == {"val_loss": number}
        assert len(store.comparison("same").runs) == WRITERS


def test_of_those_that_race_for_a_run_exactly_one_gets_it(crowd):
    assert sorted(out[0] for out in crowd[1]) == ["got it"] + ["too late"] * (WRITERS - 1)


def test_a_killed_run_has_all_but_its_last_moments_and_can_be_claimed(tmp_path):
    path = tmp_path / "runs.db"
    with started(LOGGER, path) as process:
        began = process.stdout.readline()
        time.sleep(0.8)
        with Store(path) as store:
            assert (store.status(1), store.claim(1, {})) == ("running", None)
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        rest = process.stdout.read().splitlines()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        with Store(path) as store:
            assert store.status(1) == "crashed"
    told = [line.split() for line in [began, *rest] if line.count(".") == 1]
    safe = [int(update) for update, at in told if float(at) < killed - 0.3]
    with Store(path) as store:
        store.check()
        assert store.status(1) == "crashed"
        rows = [update for update, _, _ in store.updates(1)]
        assert len(safe) > 20
        assert rows == list(range(len(rows)))
        assert len(rows) > safe[-1]
        lease = store.claim(1, {})
        assert lease.done == len(rows)
        assert [event.kind for event in store.read(1).events] == ["crashed"]
        lease.finish("finished")


def take_over(path, run_id):
    """Have the run's owner look like a process on another computer that was silent for long."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE run SET host = 'far', boot = 'b', heartbeat = '2020-01-01T00:00:00+00:00'"
        )
    connection.close()
    other = Store(path)
    return other, other.claim(run_id, {})


@pytest.mark.parametrize(
    "write",
    [
        lambda lease: (lease.log(0, 0.1, 1.0), lease.flush()),
        lambda lease: lease.evaluate(Evaluation(1, 1, {"val_loss": 1.0})),
        lambda lease: lease.rewind(0),
        lambda lease: lease.facts(a=1),
        lambda lease: lease.event("checkpoint", "1"),
        lambda lease: lease.finish("finished"),
    ],
)
def test_a_lost_lease_writes_nothing(tmp_path, write):
    with Store(tmp_path / "runs.db") as store:
        lease = store.claim(store.add_run("abc", DEFINITION), {})
        other, theirs = take_over(store.path, 1)
        theirs.log(0, 0.5, 5.0)
        before = store.read(1)
        for _ in range(2):  # it stays lost
            with pytest.raises(LeaseLostError, match=str(os.getpid())):
                write(lease)
        assert store.read(1) == before
        assert list(store.updates(1)) == [(0, 0.5, 5.0)]
        theirs.finish("finished")
        other.close()


def test_leaving_a_lost_lease_does_not_hide_the_error(tmp_path):
    with Store(tmp_path / "runs.db") as store:
        run_id = store.add_run("abc", DEFINITION)
        with pytest.raises(ZeroDivisionError) as caught, store.claim(run_id, {}):  # noqa: PT012
            other, theirs = take_over(store.path, run_id)
            1 / 0  # noqa: B018
        assert len(caught.value.__notes__) == 1
        with pytest.raises(LeaseLostError), theirs:
            take_over(store.path, run_id)[0].close()
        other.close()


def test_a_lease_that_was_dropped_in_this_process_counts_as_crashed(tmp_path):
    """Its process lives on, but nobody can finish the run any more."""
    with Store(tmp_path / "runs.db") as store:
        run_id = store.add_run("abc", DEFINITION)
        lease = store.claim(run_id, {})
        with Store(store.path) as again:
            assert again.claim(run_id, {}) is None
        del lease
        assert store.status(run_id) == "crashed"
        store.claim(run_id, {}).finish("finished")


FORK = f"""
import os, sys
from stepsize.errors import StoreError
from stepsize.store import Store
store = Store(sys.argv[1])
with store.claim(store.add_run("abc", {DEFINITION}), {{}}) as lease:
    lease.log(0, 0.1, 1.0)
    lease.log(1, 0.1, 1.0)
    child = os.fork()
    if not child:
        anew = lambda: Store(sys.argv[1])
        for use in (store.runs, lease.flush, lambda: next(store.updates(1)), anew):
            try:
                use()
            except StoreError as error:
                print(f"{{os.getppid()}}" in str(error))
        store.close()
    else:
        print(os.waitpid(child, 0)[1])
        lease.log(2, 0.1, 1.0)
        lease.finish("finished")
# The child leaves the lease's context, too, and goes by without a word.
if child:
    print(store.status(1), store.read(1).done)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_lease_alone(tmp_path):
    assert said(FORK, tmp_path / "runs.db") == ["True"] * 4 + ["0", "finished 3"]


FORK_CLOSED = f"""
import os, sys
from stepsize.store import Store
with Store(sys.argv[1]) as store:
    store.add_run("a", {DEFINITION})
child = os.fork()
with Store(sys.argv[1]) as store:
    store.add_run(f"b{{bool(child)}}", {DEFINITION})
if child:
    os.waitpid(child, 0)
    with Store(sys.argv[1]) as store:
        print(len(store.runs()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_store_that_is_closed_before_a_fork_can_be_opened_on_both_sides(tmp_path):
    assert said(FORK_CLOSED, tmp_path / "runs.db") == ["3"]


THREAD = """
import sys, threading
from stepsize.errors import StoreError
from stepsize.store import Store
store = Store(sys.argv[1])
def use():
    try:
        store.runs()
    except StoreError as error:
        print("thread" in str(error))
thread = threading.Thread(target=use)
thread.start()
thread.join()
"""


def test_another_thread_is_told_to_open_its_own(tmp_path):
    assert said(THREAD, tmp_path / "runs.db") == ["True"]


def test_a_closed_store_says_so(tmp_path):
    store = Store(tmp_path / "runs.db")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.runs()


GOLDEN = Path(__file__).parents[1] / "golden" / "store" / "version-1.db"
OPENER = """
import json, sys
from stepsize.store import Store
print("ready", flush=True)
input()
with Store(sys.argv[1]) as store:
    print(json.dumps([store.exported(1, "mlflow"), [run.key for run in store.runs()]]))
"""


def test_an_old_store_that_many_open_at_once_is_migrated_once(tmp_path):
    path = tmp_path / "old.db"
    path.write_bytes(GOLDEN.read_bytes())
    outs = at_once(OPENER, 4, path)
    keys = [letter.rjust(20, "0").replace("0" * 19, "0" * 16 + letter * 3) for letter in "abcd"]
    assert [json.loads(out[0]) for out in outs] == [[0, keys]] * 4
    with Store(path) as store:
        store.check()
