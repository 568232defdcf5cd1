"""Runs over a Dask cluster: workers, machines, clients are lost; no run is, none comes twice."""

import contextlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engines import far_calls, runs
from engines.clusters import LONG_SECONDS, PATH, Cluster, eventually
from engines.crew_laws import awaited
from engines.machines import Machine, why_not
from engines.test_conducting import WHOLE, Log, events, rows, serially

from stepsize.engines.conducting import conduct_with
from stepsize.engines.dask_crew import DaskCrew
from stepsize.store import Store
from stepsize.store.liveness import process_started

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds processes in /proc")

#: What a run that is held has done.
HALF = runs.UPDATES_PER_EPOCH + 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        made.start_worker()
        made.start_worker()
        yield made


@pytest.fixture(scope="module")
def crew(cluster):
    with DaskCrew(cluster.address, patience=LONG_SECONDS) as made:
        eventually(lambda: made.workers == 2)
        yield made


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def made(crew, store, tmp_path):
    """Makes trials by the crew; their ids."""

    def make(trials, watcher=None, crew=crew):
        begin = far_calls.begin(store, tmp_path)
        return conduct_with(crew, trials, store, begin, environment={}, watcher=watcher)

    return make


def released(*paths):
    for path in paths:
        path.unlink()


def test_runs_over_a_cluster_are_the_serial_ones(made, store, tmp_path):
    trials = [runs.trial(seed) for seed in range(5)]
    log = Log()
    ids = made(trials, log)
    assert rows(store, ids) == serially(trials, tmp_path)
    assert [events(store, run_id) for run_id in ids] == [["started"]] * 5
    assert [log.of(seed) for seed in range(5)] == [WHOLE] * 5
    assert [path.name for path in store.files.iterdir()] == []
    assert made(trials, log) == ids
    assert log.seen[-1] == ("planned", 5, 5)


def test_a_run_whose_process_is_killed_is_finished_by_another(made, store, tmp_path):
    trials = [runs.trial(seed) for seed in range(3)]
    (tmp_path / "kill-1").write_bytes(b"xx")
    log = Log()
    ids = made(trials, log)
    assert rows(store, ids) == serially(trials, tmp_path)
    assert (tmp_path / "kill-1").read_bytes() == b""
    assert [events(store, i) for i in (ids[0], ids[2])] == [["started"]] * 2
    assert log.of(1)[-1] == ("ended", "finished")


def test_a_run_that_costs_every_worker_its_life_fails_alone(made, store, tmp_path):
    (tmp_path / "kill-0").write_bytes(b"x" * 100)
    ids = made([runs.trial(seed) for seed in range(3)])
    assert [store.status(run_id) for run_id in ids] == ["failed", "finished", "finished"]
    assert 94 <= (tmp_path / "kill-0").stat().st_size <= 97  # rows that come late are getting on


def test_a_run_that_raises_is_recorded_and_the_others_go_on(made, store, tmp_path):
    (tmp_path / "raise-1").touch()
    log = Log()
    ids = made([runs.trial(seed) for seed in range(3)], log)
    assert [store.status(run_id) for run_id in ids] == ["finished", "failed", "finished"]
    assert "no such class: 11" in store.read(ids[1]).error
    assert log.of(1)[-1] == ("ended", "failed")


def held(folder, *seeds):
    """Wait until these runs are in the midst of it, and what they told is in the store."""
    awaited(*(folder / f"held-{seed}" for seed in seeds))
    with Store(folder / "runs.db") as store:
        eventually(lambda: sum(run.done == HALF for run in store.runs()) == len(seeds))


@contextlib.contextmanager
def meanwhile(folder, do):
    """Something that happens while runs are made; if it goes wrong, none is held any longer."""

    def done():
        try:
            do()
        finally:
            released(*folder.glob("hold-*"))

    with ThreadPoolExecutor(1) as pool:
        happening = pool.submit(done)
        yield
        happening.result()


def test_a_worker_that_is_killed_loses_no_run(made, crew, cluster, store, tmp_path):
    """The Dask worker itself, in the midst of a run; another one joins."""
    trials = [runs.trial(seed) for seed in range(3)]
    (tmp_path / "hold-0").touch()

    def kill_one():
        held(tmp_path, 0)
        child = int(eventually((tmp_path / "held-0").read_text))  # written again and again
        os.kill(parent_of(child), signal.SIGKILL)
        cluster.start_worker()
        eventually(lambda: process_started(child) is None)

    log = Log()
    with meanwhile(tmp_path, kill_one):
        ids = made(trials, log)
    assert rows(store, ids) == serially(trials, tmp_path)
    assert [events(store, i) for i in ids] == [["started", "resumed"], ["started"], ["started"]]
    assert log.of(0)[-1] == ("ended", "finished")
    eventually(lambda: crew.workers == 2)


def parent_of(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_ctrl_c_leaves_every_run_where_it_stands_and_the_cluster_free(
    made, crew, cluster, store, tmp_path
):
    trials = [runs.trial(seed) for seed in range(3)]
    holds = [tmp_path / f"hold-{seed}" for seed in range(2)]
    for hold in holds:
        hold.touch()
    client, before = client_of(cluster, tmp_path), set(cluster.calls())
    awaited(tmp_path / "held-0", tmp_path / "held-1")
    assert set(cluster.calls()) - before
    client.send_signal(signal.SIGINT)
    assert client.wait(LONG_SECONDS) == -signal.SIGINT
    assert not set(cluster.calls()) - before
    assert [run.status for run in store.runs()] == ["interrupted", "interrupted", "waiting"]
    assert [run.done for run in store.runs()] == [HALF] * 2 + [0]
    released(*holds)
    ids = made(trials)
    assert rows(store, ids) == serially(trials, tmp_path)
    assert [events(store, i) for i in ids] == [["started", "resumed"]] * 2 + [["started"]]


def test_a_client_that_is_killed_can_be_started_again(made, cluster, store, tmp_path):
    trials = [runs.trial(seed) for seed in range(3)]
    hold = tmp_path / "hold-0"
    hold.touch()
    client, before = client_of(cluster, tmp_path), set(cluster.calls())
    held(tmp_path, 0)
    eventually(lambda: [run.status for run in store.runs()][1:] == ["finished"] * 2)
    client.kill()
    client.wait()
    log = Log()
    with meanwhile(tmp_path, lambda: eventually(lambda: not set(cluster.calls()) - before)):
        ids = made(trials, log)
    assert rows(store, ids) == serially(trials, tmp_path)
    assert events(store, ids[0]) == ["started", "crashed", "resumed"]
    assert log.seen[0] == ("planned", 3, 2)


_CLIENT = """
import sys
from engines import far_calls, runs
from stepsize.engines.conducting import conduct_with
from stepsize.engines.dask_crew import DaskCrew
from stepsize.store import Store

address, folder = sys.argv[1:]
with DaskCrew(address, silence=2.0) as crew, Store(folder + "/runs.db") as store:
    trials = [runs.trial(seed) for seed in range(3)]
    conduct_with(crew, trials, store, far_calls.begin(store, folder), environment={})
"""


def client_of(cluster, folder):
    """A process that makes three runs."""
    words = [sys.executable, "-c", _CLIENT, cluster.address, str(folder)]
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": PATH})


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_machine_that_is_cut_off_loses_no_run_and_its_late_words_are_not_heard(tmp_path):
    """Three hosts; the cable of one is pulled out while it makes two runs, and put in again."""
    trials = [runs.trial(seed) for seed in range(4)]
    holds = [tmp_path / f"hold-{seed}" for seed in range(3)]
    for hold in holds:
        hold.touch()
    quick = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}
    folder = tmp_path / "cluster"
    folder.mkdir()
    with (
        Machine(1) as one,
        Machine(2) as two,
        Cluster(folder, host="0.0.0.0", environment=quick) as cluster,
        Store(tmp_path / "runs.db") as store,
    ):
        for machine in (one, two, two):
            cluster.start_worker(host=machine.near, within=machine.within)
        address = f"127.0.0.1:{cluster.port}"
        with DaskCrew(address, patience=LONG_SECONDS, silence=6.0) as crew:
            eventually(lambda: crew.workers == 3)

            def cut_and_mend():
                held(tmp_path, 0, 1, 2)
                two.cut()
                released(*holds)
                with Store(tmp_path / "runs.db") as other:
                    eventually(lambda: any("resumed" in events(other, i) for i in range(1, 5)))
                two.mend()

            log = Log()
            with meanwhile(tmp_path, cut_and_mend):
                begin = far_calls.begin(store, tmp_path)
                ids = conduct_with(crew, trials, store, begin, environment={}, watcher=log)
            assert rows(store, ids) == serially(trials, tmp_path)
            told = sorted(events(store, i) for i in ids)
            assert told == [["started"]] * 2 + [["started", "resumed"]] * 2
            ends = [each for each in log.seen if "ended" in each]
            assert sorted(ends) == [(seed, "ended", "finished") for seed in range(4)]
        eventually(lambda: not cluster.calls())
