"""A lease far from its store: what is written there is in the store here, once and in order."""

import contextlib
import os
import pickle
import signal
import sqlite3

import pytest
from engines import runs
from engines.crew_laws import call
from engines.test_conducting import Log, events, rows

from stepsize.engines import Outcome
from stepsize.engines.far_lease import FarLease
from stepsize.engines.far_making import far_begin
from stepsize.errors import InputError, StoreError
from stepsize.records import Evaluation
from stepsize.store import Store


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def begun(store):
    """A run that is begun; what makes it, and its watcher."""
    run_id, log = store.add_run(runs.trial().key, runs.trial().definition()), Log()
    begin = far_begin(store, {"git": None}, lambda *sent: call(runs.training, *sent))
    return begin(runs.trial(), run_id, log), log


@pytest.fixture
def far(tmp_path):
    """Leases far away, and what they have told; on its way it is pickled."""
    folder = tmp_path / "far"
    folder.mkdir()

    def lease(checkpoint=None, done=0, **options):
        told = []
        options = {"checkpoint_seconds": 0.0, **options}
        made = FarLease(
            1, done, folder, checkpoint, lambda each: told.append(pickle.dumps(each)), **options
        )
        return made, told

    return lease


def heard(making, told):
    for message in told:
        making.hear(pickle.loads(message))


def history(lease):
    """Half a run."""
    lease.facts(parameters=3)
    lease.event("started", "10 updates")
    for update in range(5):
        lease.log(update, 0.1, 2.0 - update)
    lease.evaluate(Evaluation(1, 5, {"val_loss": float("nan")}))
    lease.event("half", "5 updates")
    lease.flush()


def test_everything_is_in_the_store_once(far, begun, store):
    making, log = begun
    lease, told = far()
    history(lease)
    lease.checkpoint.write_bytes(b"after 5")
    lease.log(5, 0.1, 1.0)
    lease.rewind(5)
    lease.log(5, 0.2, 1.5)
    lease.flush()
    assert lease.done == 6
    heard(making, [*told, *told])
    assert store.checkpoint(1).read_bytes() == b"after 5"
    lease.weights.write_bytes(b"weights")
    lease.finish("finished", seconds=2.0)
    heard(making, [*told, *told])
    assert making.over(Outcome(0)) is True
    ((updates, evaluations),) = rows(store, [1])
    assert [update[0] for update in updates] == [0, 1, 2, 3, 4, 5]
    assert updates[-1] == (5, 0.2, 1.5)
    assert [each.epoch for each in evaluations] == [1]
    run = store.read(1)
    assert (run.status, run.done, run.seconds, run.facts) == ("finished", 6, 2.0, {"parameters": 3})
    assert events(store, 1) == ["started", "half"]
    assert store.weights(1).read_bytes() == b"weights"
    assert not store.checkpoint(1).exists()
    assert [each for each in log.seen if "ended" in each] == [(0, "ended", "finished")]


def test_a_run_that_was_lost_can_be_begun_again_from_its_checkpoint(far, begun, store):
    making, _ = begun
    lease, told = far()
    lease.checkpoint.write_bytes(b"after 0")
    history(lease)
    heard(making, told)
    assert making.over(Outcome(0, lost="the node is gone")) is False
    assert store.status(1) == "interrupted"
    heard(making, told)  # late words
    sent = []
    again = far_begin(store, {}, lambda *each: sent.append(each) or call(runs.training))
    assert again(runs.trial(), 1, Log()) is not None
    assert sent[0][1].done == 5
    assert sent[0][2] == b"after 0"
    lease, _ = far(sent[0][2], sent[0][1].done)
    assert lease.done == 5
    assert lease.checkpoint.read_bytes() == b"after 0"


def test_a_run_that_was_finished_before_its_worker_was_lost_is_over(far, begun, store):
    making, log = begun
    lease, told = far()
    lease.finish("diverged")
    heard(making, told)
    assert making.over(Outcome(0, lost="the node is gone")) is True
    assert store.status(1) == "diverged"
    assert log.of(0)[-1] == ("ended", "diverged")


def test_ctrl_c_in_the_midst_of_a_message_writes_it_whole(far, begun, store, monkeypatch):
    making, _ = begun
    lease, told = far()
    history(lease)
    log = type(making._lease).log

    def log_and_press(self, update, lr, loss):
        log(self, update, lr, loss)
        if update == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(type(making._lease), "log", log_and_press)
    with pytest.raises(KeyboardInterrupt):
        heard(making, told)
    assert store.read(1).done == 5
    assert len(rows(store, [1])[0][1]) == 1
    with pytest.raises(KeyboardInterrupt):
        making.over(Outcome(0, error=KeyboardInterrupt()))
    assert store.status(1) == "interrupted"
    making.drop()


def test_a_message_that_was_cut_off_and_sent_whole_is_written_once(far, begun, store):
    """Ctrl-C there: the message was told, and is told again with the end of the run."""
    making, _ = begun
    parts = [("event", ("started", "10 updates")), ("log", (0, 0.1, 2.0))]
    making.hear((0, parts))
    making.hear((0, [*parts, ("finish", ("interrupted", "", 1.0))]))
    assert events(store, 1) == ["started"]
    assert store.status(1) == "interrupted"


def test_an_unusable_checkpoint_is_set_aside_here_as_there(far, begun, store):
    making, _ = begun
    lease, told = far()
    lease.checkpoint.write_bytes(b"damaged")
    lease.flush()
    lease.checkpoint.rename(lease.checkpoint.with_suffix(".unreadable"))
    lease.flush()
    heard(making, told)
    assert [path.name for path in store.files.iterdir()] == [
        f"{store.checkpoint(1).name}.unreadable"
    ]


def test_checkpoints_are_told_no_more_often_than_asked_but_always_at_the_end(far):
    lease, told = far(checkpoint_seconds=1000.0)
    for number in range(3):
        lease.checkpoint.write_bytes(b"%d" % number)
        lease.flush()
    lease.finish("interrupted")
    content = [each for message in told for each in pickle.loads(message)[1]]
    assert [each[1] for each in content if each[0] == "checkpoint"] == [(b"0",), (b"2",)]


def test_a_run_that_another_process_has_taken_over_is_left_to_it(far, begun, store):
    making, _ = begun
    lease, told = far()
    history(lease)
    with contextlib.closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE run SET token = 'another' WHERE id = 1")
    heard(making, told)
    assert making.over(Outcome(0)) is False
    assert rows(store, [1]) == [([], ())]


def test_a_lease_is_given_back_once_and_for_all(far):
    lease, told = far()
    with pytest.raises(InputError):
        lease.finish("asleep")
    with pytest.raises(ValueError, match="11"), lease:
        raise ValueError("class 11")
    assert pickle.loads(told[-1])[1][-1] == ("finish", ("interrupted", "ValueError class 11", 0.0))
    with pytest.raises(StoreError):
        lease.log(0, 0.1, 1.0)
