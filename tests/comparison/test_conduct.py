"""Making the runs: each one once, and all that can be made."""

import subprocess
import sys

import pytest

from stepsize.comparison import Trial, Watcher, conduct
from stepsize.errors import StoreError
from stepsize.records import Evaluation
from stepsize.schedules import Constant
from stepsize.store import Store
from stepsize.tasks import LoadedTask

TASK = LoadedTask("mine", lambda seed: None)


def trial(rate=0.1, seed=0, arm=None):
    return Trial(arm or f"constant({rate})", TASK, Constant(rate), seed, 2, 5)


def train(trial, lease, *, watch):
    """Two epochs of five updates whose losses are the rate."""
    lease.rewind(0)
    for update in range(trial.updates):
        lease.log(update, trial.schedule(update), trial.schedule(update))
        if update % 5 == 4:
            evaluation = Evaluation(update // 5 + 1, update + 1, {"val_loss": trial.schedule(0)})
            lease.evaluate(evaluation)
            watch(evaluation)
    lease.finish("finished")


class Log(Watcher):
    def __init__(self):
        self.seen = []

    def planned(self, trials, over):
        self.seen.append(("planned", len(trials), over))

    def started(self, trial, run_id, done):
        self.seen.append(("started", trial.seed, done))

    def evaluated(self, trial, run_id, evaluation):
        self.seen.append(("evaluated", trial.seed, evaluation.epoch))

    def ended(self, trial, run_id, status, error):
        self.seen.append(("ended", trial.seed, status))

    def waiting(self, trials):
        self.seen.append(("waiting", len(trials)))


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "runs.db") as opened:
        yield opened


def test_every_run_is_made_once_and_kept(store):
    made = []

    def counting(trial, lease, *, watch):
        made.append(trial.seed)
        train(trial, lease, watch=watch)

    trials = [trial(seed=0), trial(seed=1)]
    ids = conduct(trials, store, counting, environment={"a": 1})
    assert conduct(trials, store, counting, environment={}) == ids
    assert made == [0, 1]
    assert [store.read(i).status for i in ids] == ["finished"] * 2
    assert store.read(ids[0]).environment == {"a": 1}


def test_a_run_that_is_made_already_counts_for_another_comparison_too(store):
    first = conduct([trial()], store, train, environment={})
    log = Log()
    both = conduct([trial(arm="mine"), trial(0.2)], store, train, environment={}, watcher=log)
    assert both[0] == first[0]
    assert log.seen[0] == ("planned", 2, 1)


def test_two_arms_of_one_definition_are_one_run(store):
    ids = conduct([trial(arm="a"), trial(arm="b")], store, train, environment={})
    assert ids[0] == ids[1]
    assert len(store.runs()) == 1


def test_the_watcher_is_told(store):
    log = Log()
    conduct([trial()], store, train, environment={}, watcher=log)
    assert log.seen == [
        ("planned", 1, 0),
        ("started", 0, 0),
        ("evaluated", 0, 1),
        ("evaluated", 0, 2),
        ("ended", 0, "finished"),
    ]


def test_a_run_that_raises_is_recorded_and_the_others_go_on(store):
    def raising(trial, lease, *, watch):
        if trial.seed == 1:
            lease.log(0, 0.1, 2.0)
            raise ValueError("no such class: 11")
        train(trial, lease, watch=watch)

    ids = conduct([trial(seed=s) for s in (0, 1, 2)], store, raising, environment={})
    runs = [store.read(i) for i in ids]
    assert [run.status for run in runs] == ["finished", "failed", "finished"]
    assert "no such class: 11" in runs[1].error
    assert runs[1].done == 1  # what it logged is kept
    again = conduct([trial(seed=s) for s in (0, 1, 2)], store, train, environment={})
    assert [store.read(i).status for i in again] == ["finished"] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, StoreError("disk full"), MemoryError])
def test_what_concerns_all_runs_ends_the_comparison_and_keeps_what_is_made(store, error):
    def ending(trial, lease, *, watch):
        if trial.seed == 1:
            raise error
        train(trial, lease, watch=watch)

    with pytest.raises(error if isinstance(error, type) else type(error)):
        conduct([trial(seed=s) for s in (0, 1, 2)], store, ending, environment={})
    statuses = [run.status for run in store.runs()]
    assert statuses == ["finished", "interrupted", "waiting"]


def test_a_run_whose_lease_was_lost_is_not_forgotten(store):
    """Another process took it over, and died: then it is made here after all."""
    lost = []

    def losing(trial, lease, *, watch):
        if not lost:
            lost.append(lease)
            with store._database.writing() as connection:
                connection.execute("UPDATE run SET token = 'other', pid = 999999999")
            lease.flush()
        train(trial, lease, watch=watch)

    (run_id,) = conduct([trial()], store, losing, environment={})
    assert store.status(run_id) == "finished"


def test_a_diverged_run_is_a_result(store):
    def diverging(trial, lease, *, watch):
        lease.finish("diverged", error="the loss was not finite at update 3")

    (run_id,) = conduct([trial()], store, diverging, environment={})
    assert conduct([trial()], store, train, environment={}) == (run_id,)
    assert store.read(run_id).status == "diverged"


OTHER = """
import time
from stepsize.comparison import Trial, conduct
from stepsize.schedules import Constant
from stepsize.store import Store
from stepsize.tasks import LoadedTask

def train(trial, lease, *, watch):
    print("started", flush=True)
    time.sleep(0.5)
    lease.finish("finished")

trial = Trial("constant(0.1)", LoadedTask("mine", lambda seed: None), Constant(0.1), 0, 2, 5)
with Store({path!r}) as store:
    conduct([trial], store, train, environment={{"who": "other"}})
"""


def test_a_run_of_another_process_is_waited_for(store):
    code = OTHER.format(path=str(store.path))
    log = Log()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "started\n"
        both = [trial(), trial(seed=1)]
        ids = conduct(both, store, train, environment={"who": "us"}, watcher=log)
    assert other.returncode == 0
    assert [store.read(i).environment["who"] for i in ids] == ["other", "us"]
    assert [store.read(i).status for i in ids] == ["finished"] * 2
    assert ("waiting", 1) in log.seen
