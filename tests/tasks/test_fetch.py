"""Downloads against a real server that breaks off, changes its mind, lies and disappears."""

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from stepsize.errors import DataError
from stepsize.tasks.fetch import content_sha256, fetch

FAST = {"timeout": 5.0, "pause": 0.0}


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "file"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_arrives_whole_and_alone(site, target):
    assert fetch(site.url, target, site.sha256, **FAST) == target
    assert target.read_bytes() == site.body
    assert names_in(target.parent) == [".lock", "file"]


def test_a_file_that_is_there_is_not_asked_for(site, target):
    fetch(site.url, target, site.sha256, **FAST)
    fetch(site.url, target, site.sha256, **FAST)
    assert len(site.ranges) == 1


def test_the_checksum_of_a_gzip_file_is_that_of_its_content(site, target):
    plain = site.body
    site.body = gzip.compress(plain, 1)
    fetch(site.url, target, site.sha256, **FAST)
    site.body = gzip.compress(plain, 9)  # the same content, other bytes: still the right file
    fetch(site.url, target, site.sha256, **FAST)
    assert len(site.ranges) == 1


def test_a_broken_download_goes_on_where_it_stopped(site, target):
    site.break_after = [20_000]
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body
    assert site.ranges == [None, "bytes=20000-"]
    assert site.sent == [20_000, 30_000]


def test_progress_renews_the_patience(site, target):
    site.break_after = [5_000] * 9
    fetch(site.url, target, site.sha256, attempts=2, **FAST)
    assert target.read_bytes() == site.body
    assert sum(site.sent) == len(site.body)


def test_an_earlier_part_is_used(site, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(site.body[:12_345])
    fetch(site.url, target, site.sha256, **FAST)
    assert site.sent == [len(site.body) - 12_345]


def test_a_part_that_is_already_whole_needs_only_its_name(site, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(site.body)
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body
    assert sum(site.sent) == 0


def test_a_part_longer_than_the_file_is_thrown_away(site, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(site.body + b"more")
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body


def test_a_server_without_ranges_is_started_over(site, target):
    site.honours_range = False
    site.break_after = [20_000]
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body
    assert site.sent == [20_000, 50_000]


def test_a_file_that_changed_meanwhile_is_started_over_once(site, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(b"\0" * 1000)  # of an older version
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body
    assert site.ranges == ["bytes=1000-", None]


def test_a_wrong_checksum_is_told_and_nothing_is_kept(site, target):
    with pytest.raises(DataError, match="checksum"):
        fetch(site.url, target, "0" * 64, **FAST)
    assert len(site.ranges) == 1
    assert names_in(target.parent) == [".lock"]


def test_a_wrong_file_gives_up_after_one_fresh_start(site, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(b"\0" * 1000)
    with pytest.raises(DataError, match="checksum"):
        fetch(site.url, target, "0" * 64, **FAST)
    assert site.ranges == ["bytes=1000-", None]
    assert names_in(target.parent) == [".lock"]


def test_a_damaged_file_is_replaced(site, target):
    target.parent.mkdir()
    target.write_bytes(site.body[:-1])
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body


def test_a_damaged_file_stays_when_it_cannot_be_replaced(site, target):
    target.parent.mkdir()
    target.write_bytes(b"placed by hand")
    site.statuses = [404]
    with pytest.raises(DataError):
        fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == b"placed by hand"


def test_a_busy_server_is_asked_again(site, target):
    site.statuses = [503, 429, 500]
    fetch(site.url, target, site.sha256, attempts=4, **FAST)
    assert target.read_bytes() == site.body


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3)])
def test_a_refusal_is_told_with_the_address(site, target, status, requests):
    site.statuses = [status] * 9
    with pytest.raises(DataError, match=str(status)) as caught:
        fetch(site.url, target, site.sha256, attempts=3, **FAST)
    assert site.url in str(caught.value)
    assert len(site.ranges) == requests
    assert not target.exists()


def test_a_silent_server_runs_into_the_timeout(site, target):
    release = threading.Event()
    site.before_byte = lambda at: release.wait(10)
    began = time.monotonic()
    with pytest.raises(DataError):
        fetch(site.url, target, site.sha256, timeout=0.2, attempts=2, pause=0.0)
    assert time.monotonic() - began < 5
    release.set()


def test_nobody_there(target):
    with socket.socket() as closed:  # bound and not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file"
        with pytest.raises(DataError, match=r"127\.0\.0\.1") as caught:
            fetch(url, target, "0" * 64, attempts=2, **FAST)
    assert caught.value.__cause__ is not None
    assert not target.exists()


def test_the_pauses_double(monkeypatch, site, target):
    pauses = []
    monkeypatch.setattr("stepsize.tasks.fetch.time.sleep", pauses.append)
    site.statuses = [503] * 3
    fetch(site.url, target, site.sha256, attempts=4, pause=0.5)
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/file", "file"])
def test_other_kinds_of_address_are_refused(target, url):
    with pytest.raises(DataError, match="http"):
        fetch(url, target, "0" * 64)
    assert not target.parent.exists()


def test_a_folder_that_cannot_be_made_names_the_variable(site, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(DataError, match="STEPSIZE_CACHE"):
        fetch(site.url, tmp_path / "cache" / "file", site.sha256, **FAST)


def test_a_disk_that_fails_is_not_taken_for_the_network(monkeypatch, site, target):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stepsize.tasks.fetch.os.fsync", full)
    with pytest.raises(DataError, match="No space left"):
        fetch(site.url, target, site.sha256, **FAST)
    assert len(site.ranges) == 1
    assert not target.exists()


def test_ctrl_c_keeps_the_part_and_no_final_file(monkeypatch, site, target):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stepsize.tasks.fetch.os.fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(site.url, target, site.sha256, **FAST)
    assert not target.exists()
    assert target.with_name("file.part").stat().st_size > 0
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body


def start_fetching(site, target):
    code = "import sys, pathlib; from stepsize.tasks.fetch import fetch; " + (
        "fetch(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], timeout=20)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [sys.executable, "-c", code, site.url, str(target), site.sha256], env=environment
    )


def wait_until(condition, seconds=20):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.01)


def test_two_processes_download_once_and_both_are_served(site, target):
    both_run = threading.Event()
    site.before_byte = lambda at: at < 30_000 or both_run.wait(20)
    first = start_fetching(site, target)
    wait_until(lambda: site.sent and site.sent[0] >= 30_000)
    second = start_fetching(site, target)
    time.sleep(1.0)  # long enough for the second to ask, if it did not wait for its turn
    assert second.poll() is None
    both_run.set()
    assert first.wait(20) == second.wait(20) == 0
    assert target.read_bytes() == site.body
    assert len(site.ranges) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_no_final_file_and_no_lock(site, target):
    killed = threading.Event()
    site.before_byte = lambda at: at < 30_000 or killed.wait(20)
    process = start_fetching(site, target)
    part = target.with_name("file.part")
    wait_until(lambda: part.exists() and part.stat().st_size > 0)
    process.kill()
    process.wait(20)
    site.before_byte = None
    killed.set()
    assert not target.exists()
    kept = part.stat().st_size
    fetch(site.url, target, site.sha256, **FAST)
    assert target.read_bytes() == site.body
    assert site.ranges[-1] == f"bytes={kept}-"


def test_the_checksum_of_nothing_and_of_damage_is_none(tmp_path):
    assert content_sha256(tmp_path / "absent") is None
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"content" * 100)[:-9])
    assert content_sha256(tmp_path / "cut.gz") is None
