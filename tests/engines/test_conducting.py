"""The runs of a comparison, made by a crew: each one once, whatever happens to the workers."""

import os
import subprocess
import sys
import threading
import time

import pytest
from engines import runs
from engines.crew_laws import awaited

from stepsize.comparison import Watcher, conduct
from stepsize.engines.conducting import beside, conduct_with
from stepsize.engines.processes import ProcessCrew
from stepsize.errors import StoreError
from stepsize.store import Store


class Log(Watcher):
    def __init__(self):
        self.seen = []

    def planned(self, trials, over):
        self.seen.append(("planned", len(trials), over))

    def started(self, trial, run_id, done):
        self.seen.append((trial.seed, "started", done))

    def evaluated(self, trial, run_id, evaluation):
        self.seen.append((trial.seed, "evaluated", evaluation.epoch))

    def ended(self, trial, run_id, status, error):
        self.seen.append((trial.seed, "ended", status))

    def waiting(self, trials):
        self.seen.append("waiting")

    def of(self, seed):
        return [each[1:] for each in self.seen if each[0] == seed]


WHOLE = [("started", 0), ("evaluated", 1), ("evaluated", 2), ("ended", "finished")]


@pytest.fixture(scope="module")
def crew():
    with ProcessCrew(2, threads=1) as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def made(crew, store, tmp_path):
    """Makes trials by the crew; their ids."""

    def make(trials, watcher=None):
        begin = beside(store, runs.call_for(store, tmp_path))
        return conduct_with(crew, trials, store, begin, environment={}, watcher=watcher)

    return make


def rows(store, ids):
    """All numbers of runs."""
    return [(list(store.updates(i)), store.read(i).history) for i in ids]


def serially(trials, tmp_path):
    with Store(tmp_path / "serial.db") as store:
        return rows(store, conduct(trials, store, runs.training, environment={}))


def events(store, run_id):
    return [event.kind for event in store.read(run_id).events]


def test_runs_over_processes_are_the_serial_ones(made, store, tmp_path):
    trials = [runs.trial(seed) for seed in range(5)]
    log = Log()
    ids = made(trials, log)
    assert rows(store, ids) == serially(trials, tmp_path)
    assert [events(store, run_id) for run_id in ids] == [["started"]] * 5
    assert log.seen[0] == ("planned", 5, 0)
    assert [log.of(seed) for seed in range(5)] == [WHOLE] * 5


def test_what_is_over_is_not_made_again_and_one_definition_is_one_run(made, store):
    first = made([runs.trial(0)])
    log = Log()
    ids = made([runs.trial(0, arm="a"), runs.trial(0, arm="b"), runs.trial(1)], log)
    assert ids[:2] == first * 2
    assert log.seen[0] == ("planned", 3, 1)
    assert log.of(0) == []
    assert len(store.runs()) == 2


def test_a_run_whose_worker_is_killed_goes_on_from_its_checkpoint(made, store, tmp_path):
    trials = [runs.trial(seed) for seed in range(3)]
    (tmp_path / "kill-1").write_bytes(b"xx")
    log = Log()
    ids = made(trials, log)
    assert rows(store, ids) == serially(trials, tmp_path)
    again = ["crashed", "resumed"] * 2
    assert [events(store, i) for i in ids] == [["started"], ["started", *again], ["started"]]
    assert log.of(1)[-1] == ("ended", "finished")


def test_a_run_that_costs_every_worker_its_life_fails_alone(made, store, tmp_path):
    (tmp_path / "kill-0").write_bytes(b"x" * 100)
    log = Log()
    ids = made([runs.trial(seed) for seed in range(3)], log)
    assert [store.status(run_id) for run_id in ids] == ["failed", "finished", "finished"]
    assert "SIGKILL" in store.read(ids[0]).error
    assert (tmp_path / "kill-0").stat().st_size == 97
    assert log.of(0)[-1] == ("ended", "failed")
    (tmp_path / "kill-0").unlink()
    assert made([runs.trial(0)]) == ids[:1]
    assert store.status(ids[0]) == "finished"


def test_a_run_that_raises_is_recorded_and_the_others_go_on(made, store, tmp_path):
    (tmp_path / "raise-1").touch()
    log = Log()
    ids = made([runs.trial(seed) for seed in range(3)], log)
    assert [store.status(run_id) for run_id in ids] == ["finished", "failed", "finished"]
    assert "no such class: 11" in store.read(ids[1]).error
    assert log.of(1)[-1] == ("ended", "failed")


def test_what_concerns_all_runs_stops_all(made, store, tmp_path):
    (tmp_path / "hold-0").touch()
    (tmp_path / "full-1").touch()
    with pytest.raises(StoreError):
        made([runs.trial(seed) for seed in range(4)])
    statuses = [run.status for run in store.runs()]
    assert statuses == ["interrupted", "interrupted", "waiting", "waiting"]
    store.check()


def test_runs_of_another_process_are_waited_for(made, store, tmp_path):
    run_id = store.add_run(runs.trial(0).key, runs.trial(0).definition())
    (tmp_path / "hold-0").touch()
    code = "import sys; from engines import runs; runs.make(*sys.argv[1:2], 1, 0, *sys.argv[2:])"
    words = [sys.executable, "-c", code, store.path, "constant(0.1)", tmp_path]
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path}) as other:
        awaited(tmp_path / "held-0")
        log = Log()
        log.waiting = lambda trials: (tmp_path / "hold-0").unlink(missing_ok=True)
        ids = made([runs.trial(0), runs.trial(1)], log)
    assert other.returncode == 0
    assert ids[0] == run_id
    assert [store.status(i) for i in ids] == ["finished"] * 2
    assert log.of(0) == []


def test_ctrl_c_stops_all_workers_and_the_next_call_goes_on(made, store, tmp_path):
    trials = [runs.trial(seed) for seed in range(3)]
    for seed in (0, 1):
        (tmp_path / f"hold-{seed}").touch()

    def press():
        awaited(tmp_path / "held-0", tmp_path / "held-1")
        time.sleep(0.1)
        os.kill(os.getpid(), 2)

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        made(trials)
    pressing.join()
    assert [run.status for run in store.runs()] == ["interrupted", "interrupted", "waiting"]
    store.check()
    for seed in (0, 1):
        (tmp_path / f"hold-{seed}").unlink()
    ids = made(trials)
    assert rows(store, ids) == serially(trials, tmp_path)
    assert [events(store, i) for i in ids] == [["started", "resumed"]] * 2 + [["started"]]
