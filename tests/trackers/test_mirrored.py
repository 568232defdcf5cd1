"""The process that sends, and what happens when it cannot."""

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings

import pytest
from trackers.stored import FILES, Stored

from stepsize.errors import InputError, MissingDependencyError, OutputError
from stepsize.trackers import TrackerWarning, mirrored

pytest.importorskip("tensorboard")


@pytest.fixture
def stored(tmp_path):
    return Stored(tmp_path)


def tell(mirror, stored, *numbers):
    (watcher,) = mirror.watchers
    watcher.entered(stored.store, stored.id)
    for number in numbers:
        watcher.ended(None, stored.make(number), "finished", "")


def event_files(folder):
    return [path for path in folder.rglob("*") if ".tfevents." in path.name]


def test_a_tracker_that_breaks_warns_once_and_later_gets_the_rest(stored, tmp_path):
    runs = tmp_path / "runs"
    to = [f"tensorboard:{runs}"]
    with pytest.warns(TrackerWarning) as seen, mirrored(to, stored.path) as mirror:  # noqa: PT031
        tell(mirror, stored, 0)
        mirror.wait()
        shutil.rmtree(runs)
        runs.write_text("in the way")
        tell(mirror, stored, 1)
        mirror.finish(stored.result(), FILES)
        mirror.finish(stored.result(), FILES)
    assert len(seen) == 1
    runs.unlink()
    with mirrored([f"tensorboard:{runs}"], stored.path) as mirror:
        tell(mirror, stored)
        mirror.finish(stored.result(), FILES)
    assert len(event_files(runs)) == 3


def test_a_process_that_is_killed_costs_a_warning(stored, tmp_path):
    to = [f"tensorboard:{tmp_path / 'runs'}"]
    with pytest.warns(TrackerWarning), mirrored(to, stored.path) as mirror:  # noqa: PT031
        os.kill(mirror.process_id, signal.SIGKILL)
        tell(mirror, stored, 0, 1)
        mirror.finish(stored.result(), FILES)
    assert stored.store.status(stored.runs[1][0]) == "finished"


def test_a_warning_that_is_an_error_ends_nothing(stored, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with mirrored([f"tensorboard:{tmp_path / 'runs'}"], stored.path) as mirror:
            os.kill(mirror.process_id, signal.SIGKILL)
            mirror.wait()
            tell(mirror, stored, 0)


def test_an_exception_gets_out_and_the_rest_is_sent(stored, tmp_path):
    runs = tmp_path / "runs"
    to = [f"tensorboard:{runs}"]
    with pytest.raises(KeyboardInterrupt), mirrored(to, stored.path) as mirror:  # noqa: PT012
        tell(mirror, stored, 0)
        raise KeyboardInterrupt
    assert len(event_files(runs)) == 1


def test_nothing_of_this_process_is_changed(stored, tmp_path, monkeypatch):
    for name in ("DO_NOT_TRACK", "WANDB_SILENT", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)

    def state():
        handlers = (logging.root.level, tuple(logging.root.handlers))
        return os.getcwd(), dict(os.environ), random.getstate(), handlers, signal.getsignal(2)

    before = state()
    with mirrored([f"tensorboard:{tmp_path / 'runs'}"], stored.path) as mirror:
        tell(mirror, stored, 0)
    assert state() == before


def test_a_training_that_is_killed_leaves_what_it_had(tmp_path):
    """The process that sends outlives it and closes the run as the store says it stands."""
    (tmp_path / "training.py").write_text(KILLED)
    done = subprocess.run(
        [sys.executable, "training.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    runs = tmp_path / "runs"
    for _ in range(300):
        if any(b"summary/text_summary" in path.read_bytes() for path in event_files(runs)):
            return
        time.sleep(0.1)
    pytest.fail("the run was not closed")


KILLED = """
import os, signal, time
from pathlib import Path
from trackers.stored import Stored
from stepsize.trackers import mirrored

stored = Stored(Path.cwd())
with mirrored(["tensorboard:runs"], stored.path) as mirror:
    mirror.watchers[0].entered(stored.store, stored.id)
    mirror.wait()
    stored.make(0, 25, "interrupted")
    mirror.watchers[0].evaluated(None, stored.runs[0][0], None)
    time.sleep(0.5)  # for the order to leave this process
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_several_trackers_at_once(stored, tmp_path):
    texts = [f"tensorboard:{tmp_path / name}" for name in ("one", "two")]
    with mirrored(texts, stored.path) as mirror:
        tell(mirror, stored, 0)
    assert len(event_files(tmp_path / "one")) == len(event_files(tmp_path / "two")) == 1


def test_what_cannot_be_used_is_told_before_anything_is_trained(stored, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), mirrored([f"tensorboard:{tmp_path / 'file'}"], stored.path):
        pass
    with pytest.raises(InputError), mirrored(["tensorbord"], stored.path):
        pass
    (tmp_path / "broken" / "wandb").mkdir(parents=True)
    (tmp_path / "broken" / "wandb" / "__init__.py").write_text("raise OSError('broken')")
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    extra = r"stepsize\[wandb\]"
    with pytest.raises(MissingDependencyError, match=extra), mirrored(["wandb"], stored.path):
        pass
