"""What the tests of clusters have carried out, beside what any crew is asked to do."""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock

from engines import runs

from stepsize.comparison import Watcher
from stepsize.comparison.make_one import make_one
from stepsize.engines.crew import Call
from stepsize.engines.far_lease import FarLease
from stepsize.engines.far_making import far_begin
from stepsize.engines.telling import tell


def big(size):
    """Say much, and return as much."""
    tell(b"t" * size)
    return b"r" * size


def linger(folder):
    """Write down that it has begun, say by whose child, and stay until there is a file ``go``."""
    with open(Path(folder) / "diary", "a", encoding="utf-8") as file:
        file.write("begun\n")
    tell(os.getppid())
    end = time.monotonic() + 100.0
    while not (Path(folder) / "go").exists() and time.monotonic() < end:
        time.sleep(0.05)


def make(run_id, done, checkpoint, seed, schedule, folder):
    """What a worker does for a run of :mod:`engines.runs` without its store."""

    def train(trial, lease, *, watch):
        runs.training(trial, lease, watch=watch, folder=folder)

    with TemporaryDirectory() as files:
        lease = FarLease(run_id, done, Path(files), checkpoint, tell, checkpoint_seconds=0.0)
        make_one(runs.trial(seed, schedule), lease, Mock(read=lambda _: lease), train, Watcher())


def begin(store, folder):
    """Runs of :mod:`engines.runs`, made by workers without their store."""

    def call_of(trial, lease, checkpoint):
        sent = lease.run_id, lease.done, checkpoint, trial.seed, str(trial.schedule), str(folder)
        return Call(f"{__name__}:{make.__name__}", sent)

    return far_begin(store, {}, call_of)
