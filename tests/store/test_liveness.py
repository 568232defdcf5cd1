"""Who is still there, as far as anyone can tell."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stepsize.store.liveness import SILENCE_SECONDS, here, process_started

SLEEP = [sys.executable, "-c", "input()"]


def ago(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def process():
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


def test_a_process_that_lives_is_not_gone_whatever_the_clock_says(process):
    owner = replace(here(), pid=process.pid, process_started=process_started(process.pid))
    for heartbeat in (ago(0), ago(1e8), ago(-1e8)):
        assert not owner.gone(heartbeat)
        assert not here().gone(heartbeat)


def test_a_process_that_ended_is_gone_at_once(process):
    owner = replace(here(), pid=process.pid, process_started=process_started(process.pid))
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert owner.gone(ago(0))
    process.wait()
    assert owner.gone(ago(0))
    assert replace(owner, process_started="").gone(ago(0))


def test_a_process_number_that_another_process_got_is_told_by_its_start(process):
    assert replace(here(), pid=process.pid).gone(ago(0))  # our start is not its start
    unknown = replace(here(), pid=process.pid, process_started="")
    assert not unknown.gone(ago(0))  # where the system tells no start, the number must do


def test_a_computer_that_was_started_anew_has_none_of_its_old_processes():
    assert replace(here(), boot="another").gone(ago(0))


@pytest.mark.parametrize("place", [{"host": "far", "boot": "b"}, {"pid_space": "pid:[1]"}])
def test_elsewhere_only_a_long_silence_tells(place):
    """On another computer, and in a container with process numbers of its own."""
    owner = replace(here(), pid=2**22 + 1, **place)
    assert not owner.gone(ago(SILENCE_SECONDS - 30))
    assert not owner.gone(ago(-1e6))  # clocks differ
    assert owner.gone(ago(SILENCE_SECONDS + 30))


def test_a_computer_that_changes_its_name_is_still_this_one():
    if not here().boot:
        pytest.skip("this system has no name for the time since it was switched on")
    assert not replace(here(), host="renamed").gone(ago(1e8))
    assert replace(here(), host="renamed", pid=2**22 + 1).gone(ago(0))


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc can hide processes")
def test_a_process_that_proc_does_not_show_is_alive(monkeypatch):
    def refused(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert process_started(2**22 + 1) == ""
