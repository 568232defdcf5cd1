"""Runs without a framework: a training that adds numbers, and can be told to go wrong."""

import os
import signal
import time
from pathlib import Path

from stepsize.comparison import Trial
from stepsize.comparison.make_one import make_one
from stepsize.engines.conducting import TellingWatcher
from stepsize.engines.crew import Call
from stepsize.records import Evaluation
from stepsize.schedules import parse
from stepsize.store import Store
from stepsize.tasks import LoadedTask

EPOCHS, UPDATES_PER_EPOCH = 2, 5
UPDATES = EPOCHS * UPDATES_PER_EPOCH
TASK = LoadedTask("adding", lambda seed: None)


def trial(seed=0, schedule="constant(0.1)", arm=None):
    return Trial(arm or schedule, TASK, parse(schedule), seed, EPOCHS, UPDATES_PER_EPOCH)


def call_for(store, folder):
    def call(trial, run_id):
        sent = str(store.path), run_id, trial.seed, str(trial.schedule), str(folder)
        return Call(f"{make.__module__}:make", sent)

    return call


def make(path, run_id, seed, schedule, folder):
    """What a worker does for a run."""

    def train(trial, lease, *, watch):
        training(trial, lease, watch=watch, folder=folder)

    with Store(path, create=False) as store:
        lease = store.claim(run_id, {})
        if lease is None:
            return False
        return make_one(trial(seed, schedule), lease, store, train, TellingWatcher())


def training(trial, lease, *, watch, folder=""):
    """Updates whose losses depend on all before them; a checkpoint after each.

    A file ``<what>-<seed>`` in the folder says what goes wrong: ``kill`` (as often as it has
    bytes), ``raise``, ``full`` (a StoreError), ``hold`` (until it is removed).
    """
    done, total = 0, 0.0
    if lease.checkpoint.is_file():
        text = lease.checkpoint.read_text().split()
        done, total = int(text[0]), float.fromhex(text[1])
    lease.event("resumed" if done else "started", f"after {done}")
    lease.rewind(done)
    try:
        for update in range(done, UPDATES):
            if update == UPDATES_PER_EPOCH + 2:
                _go_wrong(Path(folder), trial.seed)
            total = total / 3 + trial.schedule(update) + trial.seed
            lease.log(update, trial.schedule(update), total)
            if (update + 1) % UPDATES_PER_EPOCH == 0:
                epoch = (update + 1) // UPDATES_PER_EPOCH
                evaluation = Evaluation(epoch, update + 1, {"val_loss": total})
                lease.evaluate(evaluation)
                watch(evaluation)
            lease.flush()
            lease.checkpoint.write_text(f"{update + 1} {total.hex()}")
    except KeyboardInterrupt:
        lease.finish("interrupted")
        raise
    lease.finish("finished")


def _go_wrong(folder, seed):
    def told(what):
        path = folder / f"{what}-{seed}"
        return path if path.exists() else None

    if (kill := told("kill")) and kill.stat().st_size:
        kill.write_bytes(kill.read_bytes()[1:])
        os.kill(os.getpid(), signal.SIGKILL)
    if told("raise"):
        raise ValueError("no such class: 11")
    if told("full"):
        from stepsize.errors import StoreError

        raise StoreError("the disk is full")
    while told("hold"):
        (folder / f"held-{seed}").write_text(str(os.getpid()))
        time.sleep(0.01)
