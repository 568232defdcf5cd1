"""A real Dask cluster: the laws of a crew, and what is special to workers on other machines."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
from engines import calls, far_calls
from engines.clusters import LONG_SECONDS, PATH, Cluster, eventually, kill
from engines.crew_laws import CrewLaws, call, outcomes

from stepsize.engines import Call, carried_out
from stepsize.engines.dask_crew import DaskCrew
from stepsize.errors import EngineError, InputError, MissingDependencyError

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds processes in /proc")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        made.start_worker()
        made.start_worker()
        yield made


@pytest.fixture(scope="module")
def crew(cluster):
    """Both workers; for tests that leave it as they have found it."""
    with crew_of(cluster) as made:
        yield made


@contextlib.contextmanager
def crew_of(cluster):
    """A crew, once both workers are there."""
    with DaskCrew(cluster.address, patience=LONG_SECONDS) as made:
        eventually(lambda: made.workers == 2)
        yield made


@pytest.fixture
def lingering(tmp_path):
    """Submit a call that stays until it is let go; its ticket, its folder, whose child it is."""
    numbers = itertools.count()

    def begun(crew):
        folder, heard = tmp_path / str(next(numbers)), []
        folder.mkdir()
        ticket = crew.submit(far(far_calls.linger, str(folder)), heard.append)
        eventually(lambda: crew.wait(0.1) or heard)
        return ticket, folder, heard[0]

    return begun


def far(function, *arguments):
    return Call(f"engines.far_calls:{function.__name__}", arguments)


class TestDaskCrew(CrewLaws):
    pass


def test_much_can_be_said(crew):
    heard, size = [], 20_000_000
    (outcome,) = outcomes(crew, crew.submit(far(far_calls.big, size), heard.append))
    assert outcome.value == b"r" * size
    assert heard == [b"t" * size]


def test_arguments_that_cannot_be_sent_are_told_at_once(crew):
    with pytest.raises(InputError):
        crew.submit(call(calls.double, (each for each in "a generator")))


def test_a_call_computes_with_one_thread_unless_the_worker_says_otherwise(crew, cluster, lingering):
    said = outcomes(crew, crew.submit(call(calls.environment, "OMP_NUM_THREADS")))
    others = [lingering(crew) for _ in range(2)]
    with more(crew, cluster, environment={"OMP_NUM_THREADS": "3"}):
        said += outcomes(crew, crew.submit(call(calls.environment, "OMP_NUM_THREADS")))
    assert [each.value for each in said] == ["1", "3"]
    for ticket, folder, _ in others:
        (folder / "go").touch()
        outcomes(crew, ticket)


def test_a_call_that_dies_costs_its_cluster_no_worker(crew, tmp_path):
    (outcome,) = outcomes(crew, crew.submit(call(calls.dying, str(tmp_path / "lives"), 9)))
    assert "SIGKILL" in outcome.lost
    assert crew.workers == 2


def test_two_crews_share_a_cluster(crew, cluster):
    with crew_of(cluster) as other:
        assert dict(carried_out(other, [call(calls.double, 1)])) == {0: 2}
    assert dict(carried_out(crew, [call(calls.double, 1)])) == {0: 2}


def test_closing_leaves_nothing_running(cluster, lingering):
    with crew_of(cluster) as crew:
        before = set(cluster.calls())
        _, folder, _ = lingering(crew)
        assert set(cluster.calls()) - before
    assert not set(cluster.calls()) - before
    with pytest.raises(EngineError):
        crew.submit(far(far_calls.linger, str(folder)))


@contextlib.contextmanager
def more(crew, cluster, **options):
    """One more worker for a while."""
    added = cluster.start_worker(**options)
    try:
        eventually(lambda: crew.workers == 3)
        yield added
    finally:
        kill(added)
        eventually(lambda: crew.workers == 2)


@pytest.mark.parametrize("nanny", [False, True])
def test_a_lost_workers_call_is_lost_and_not_begun_again(crew, cluster, lingering, nanny):
    """Dask would begin it anew at once, on the worker that is free."""
    (first, go, _), (second, later, _) = lingering(crew), lingering(crew)
    with more(crew, cluster, nanny=nanny) as added:
        lost, folder, worker = lingering(crew)
        assert os.getpgid(worker) == added.pid
        (go / "go").touch()
        assert not outcomes(crew, first)[0].lost
        os.kill(worker, signal.SIGKILL)
        assert outcomes(crew, lost)[0].lost
        assert (folder / "diary").read_text() == "begun\n"
        if nanny:  # it starts another one
            eventually(lambda: crew.workers == 3)
            assert dict(carried_out(crew, [call(calls.double, 1)])) == {0: 2}
    (later / "go").touch()
    assert not outcomes(crew, second)[0].lost


def test_a_client_that_is_killed_leaves_nothing_running(cluster, tmp_path):
    script = f"""
        from engines import far_calls
        from engines.test_dask_crew import far
        from stepsize.engines.dask_crew import DaskCrew
        crew = DaskCrew({cluster.address!r}, silence=2.0)
        crew.submit(far(far_calls.linger, {str(tmp_path)!r}))
        crew.wait()
    """
    before = set(cluster.calls())
    client = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": PATH},
    )
    try:
        eventually((tmp_path / "diary").exists)
        assert set(cluster.calls()) - before
    finally:
        client.kill()
        client.wait()
    eventually(lambda: not set(cluster.calls()) - before)


def test_a_worker_with_other_versions_is_refused(cluster, tmp_path):
    """At once if it is there, and when it would carry out a call if it joins later."""
    about = tmp_path / "torch-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PATH}"}
    with crew_of(cluster) as crew, more(crew, cluster, environment=environment):
        with pytest.raises(EngineError, match=r"torch 1\.0"):
            DaskCrew(cluster.address)
        with pytest.raises(EngineError, match=r"torch 1\.0"):
            list(carried_out(crew, [Call("time:sleep", (0.5,))] * 3))


def test_a_cluster_must_be_there(tmp_path):
    with pytest.raises(EngineError, match="dask scheduler"):
        DaskCrew("127.0.0.1:1", patience=0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(EngineError):
        DaskCrew(f"127.0.0.1:{deaf.getsockname()[1]}", patience=0.5)
    with Cluster(tmp_path) as cluster:
        with pytest.raises(EngineError, match="dask worker"):
            DaskCrew(cluster.address, patience=0.5)
        worker = cluster.start_worker()
        DaskCrew(cluster.address, patience=LONG_SECONDS).close()  # it is there
        with DaskCrew(cluster.address, patience=1.0) as crew:
            crew.submit(Call("time:sleep", (100.0,)))
            kill(worker)
            with pytest.raises(EngineError, match="dask worker"):
                outcomes(crew, 1)
            kill(cluster.scheduler)
            with pytest.raises(EngineError, match="is gone"):
                outcomes(crew, 1)


def test_distributed_must_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match="dask"):
        DaskCrew("127.0.0.1:1")
