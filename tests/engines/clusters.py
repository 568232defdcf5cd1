"""A real Dask cluster: a scheduler and workers, each a process of its own, on free ports."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

#: Where processes of the tests import from: what this one does, and the tests.
PATH = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
#: Generous: a busy machine takes its time to start a process.
LONG_SECONDS = 60.0


def eventually(what, seconds=LONG_SECONDS):
    """Wait until ``what()`` is true; returns it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds:g} seconds"
        time.sleep(0.05)
    return found


class Cluster:
    """A scheduler; workers are added by :meth:`start_worker`.

    Args:
        folder: for its files; each process has its own folder in it.
        host: the address that the scheduler listens at.
        environment: further variables of the scheduler's.
    """

    def __init__(self, folder, host="127.0.0.1", environment=None):
        self.folder = folder
        self.processes = []
        file = folder / "scheduler.json"
        words = ["scheduler", "--host", host, "--port", "0", "--no-show", "--no-dashboard"]
        words += ["--scheduler-file", str(file)]
        self.scheduler = self.start(*words, environment=environment)
        self.port = eventually(lambda: self._address(file)).rpartition(":")[2]
        self.address = f"127.0.0.1:{self.port}"

    def _address(self, file):
        assert self.scheduler.poll() is None, (self.folder / "0" / "said").read_text()
        with contextlib.suppress(OSError, ValueError):
            return json.loads(file.read_text())["address"].removeprefix("tcp://")

    def start(self, *words, within=(), environment=None):
        """A process of the cluster, in a session and a folder of its own.

        Args:
            words: of the dask command.
            within: words in front of it, such as ``ip netns exec NAME``.
            environment: further variables.
        """
        folder = self.folder / str(len(self.processes))
        folder.mkdir()
        with open(folder / "said", "wb") as said:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", "dask", *words],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": PATH,
                    "PYTHONWARNINGS": "ignore",
                    "OMP_NUM_THREADS": "1",
                    "DASK_TEMPORARY_DIRECTORY": str(folder),
                    **(environment or {}),
                },
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_worker(self, host="127.0.0.1", nanny=False, **more):
        """A worker with one thread; it is there once it has registered.

        Args:
            host: the scheduler's, as seen from there.
            nanny: whether another process looks after it.
            more: of :meth:`start`.
        """
        return self.start(
            "worker", f"{host}:{self.port}", "--nthreads", "1", "--no-dashboard",
            "--nanny" if nanny else "--no-nanny", **more,
        )  # fmt: skip

    def calls(self):
        """The numbers of the processes in which calls run just now, or wait for one."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                ours = str(self.folder).encode() in (entry / "environ").read_bytes()
                if ours and b"stepsize.engines.worker" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """End everything."""
        for process in reversed(self.processes):
            kill(process)


def kill(process):
    """End a process and those in its session at once, as a lost machine does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
