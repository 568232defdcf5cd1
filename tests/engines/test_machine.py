"""How many cores there are, and how workers share them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.engines.machine import resident_bytes, sizes, usable_cores
from stepsize.errors import InputError

MANY = 1000


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(MANY)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@given(st.integers(1, 200), st.none() | st.integers(1, 300))
def test_workers_never_have_more_threads_than_there_are_cores(cores, workers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stepsize.engines.machine.usable_cores", lambda: cores)
        found = sizes(workers)
    assert found.workers * found.threads <= max(cores, workers or 1)
    assert found.workers == (workers or cores)


def test_what_is_given_is_kept_and_the_rest_follows(many_cores, monkeypatch):
    assert sizes(3, 700) == (3, 700)
    assert sizes(threads=4) == (MANY // 4, 4)
    assert sizes(10) == (10, MANY // 10)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert sizes(10) == (10, 2)
    for wrong in ({"workers": 0}, {"threads": -1}):
        with pytest.raises(InputError):
            sizes(**wrong)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, MANY),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, MANY),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "350000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (  # the group above is narrower
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
            },
            4,
        ),
        (  # version 1, in a container that shows the path of the machine
            {
                "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/docker/123\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            MANY,
        ),
    ],
)
def test_a_containers_quota_counts(many_cores, tmp_path, files, cores):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert usable_cores(tmp_path) == cores


def test_the_memory_that_a_process_fills(tmp_path):
    assert resident_bytes(tmp_path) == 0
    status = tmp_path / "proc" / "self" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nVmHWM:\t 400 kB\nVmRSS:\t 300 kB\n")
    assert resident_bytes(tmp_path) == 300 * 1024
