"""Worker processes: the laws of a crew, and what is special to processes."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from engines import calls
from engines.crew_laws import PATIENCE_SECONDS, CrewLaws, awaited, call, outcomes

from stepsize.engines import Call
from stepsize.engines.processes import ProcessCrew
from stepsize.errors import EngineError, InputError
from stepsize.store.liveness import process_started


@pytest.fixture
def crew():
    with ProcessCrew(2, threads=1) as opened:
        yield opened


def number_in(path):
    awaited(path)
    return int(path.read_text())


def gone(process):
    """Wait until a process has ended."""
    end = time.monotonic() + PATIENCE_SECONDS
    while process_started(process) is not None:
        assert time.monotonic() < end
        time.sleep(0.05)


class TestProcessCrew(CrewLaws):
    pass


def test_workers_are_started_only_for_calls_and_used_again(crew):
    ids = set()
    for _ in range(3):
        (outcome,) = outcomes(crew, crew.submit(call(calls.process_id)))
        ids.add(outcome.value)
    assert len(ids) == 1


def test_a_worker_has_its_parents_path_arguments_and_folder_and_its_own_threads(crew):
    tickets = [
        crew.submit(call(calls.arguments)),
        crew.submit(call(calls.environment, "OMP_NUM_THREADS")),
    ]
    first, threads = outcomes(crew, *tickets)
    assert first.value == (sys.argv, sys.path, os.getcwd())
    assert threads.value == "1"


def test_the_way_a_worker_has_ended_is_told(crew, tmp_path):
    tickets = [
        crew.submit(call(calls.dying, str(tmp_path / "lives"), 9)),
        crew.submit(call(calls.exiting, 3)),
    ]
    killed, exited = outcomes(crew, *tickets)
    assert "SIGKILL" in killed.lost
    assert "3" in exited.lost


def test_the_temporary_folders_of_a_killed_worker_are_removed(crew):
    (killed,) = outcomes(crew, crew.submit(call(calls.littering)))
    number = re.search(r"worker process (\d+)", killed.lost)[1]
    assert not list(Path(tempfile.gettempdir()).glob(f"stepsize-{number}-*"))


def test_arguments_that_cannot_be_sent_are_told_at_once(crew):
    with pytest.raises(InputError):
        crew.submit(Call("engines.calls:double", (threading.Lock(),)))
    (outcome,) = outcomes(crew, crew.submit(call(calls.double, 2)))
    assert outcome.value == 4


def test_nothing_is_left_after_closing_even_of_a_busy_worker(tmp_path):
    with ProcessCrew(2, threads=1) as crew:
        (outcome,) = outcomes(crew, crew.submit(call(calls.process_id)))
        crew.submit(call(calls.sleeping, str(tmp_path)))
        busy = number_in(tmp_path / "sleeping.begun")
    for process in (outcome.value, busy):
        assert process_started(process) is None
    assert (tmp_path / "sleeping.ended").read_text() == "KeyboardInterrupt"
    with pytest.raises(EngineError):
        crew.submit(call(calls.process_id))


def test_a_call_that_does_not_end_when_interrupted_is_killed(crew, tmp_path, monkeypatch):
    monkeypatch.setattr("stepsize.engines.processes.GRACE_SECONDS", 0.2)
    ticket = crew.submit(call(calls.deaf, str(tmp_path)))
    awaited(tmp_path / "sleeping.begun")
    crew.interrupt()
    (outcome,) = outcomes(crew, ticket)
    assert "SIGKILL" in outcome.lost


def test_a_worker_that_cannot_start_is_an_error_and_no_endless_try(crew, monkeypatch):
    monkeypatch.setattr("stepsize.engines.worker_process._BEGIN", "raise SystemExit(7)")
    crew.submit(call(calls.double, 1))
    with pytest.raises(EngineError, match="7"):
        outcomes(crew, 0)


# No guard of __main__: a worker is a clean interpreter and runs nothing of the script's.
_SCRIPT = """
import sys
import tempfile
from engines.crew_laws import call
from engines import calls
from stepsize.engines.processes import ProcessCrew

crew = ProcessCrew(1, threads=1)
crew.submit(call(calls.sleeping, sys.argv[1]))
while True:
    crew.wait()
"""


def test_workers_of_a_parent_that_is_killed_give_back_what_they_hold_and_end(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    path = os.pathsep.join(sys.path)
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path], env={**os.environ, "PYTHONPATH": path}
    )
    worker = number_in(tmp_path / "sleeping.begun")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    gone(worker)
    assert (tmp_path / "sleeping.ended").read_text() == "KeyboardInterrupt"


def test_a_worker_that_is_terminated_gives_back_what_it_holds_and_is_lost(crew, tmp_path):
    ticket = crew.submit(call(calls.sleeping, str(tmp_path)))
    os.kill(number_in(tmp_path / "sleeping.begun"), signal.SIGTERM)
    (outcome,) = outcomes(crew, ticket)
    assert outcome.lost
    assert (tmp_path / "sleeping.ended").read_text() == "KeyboardInterrupt"
