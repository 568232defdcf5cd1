"""Whether the process that makes a run is still there."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import final

#: A process on another host counts as gone after this long without a heartbeat.
SILENCE_SECONDS = 600.0


@final
@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told so exactly that another one with the same number is not taken for it.

    Attributes:
        host: the computer's network name.
        pid: the process number.
        process_started: when the process began, as its system puts it; empty where it does not say.
        boot: names the time since the computer was switched on; empty where it has no name.
        pid_space: the set of process numbers (a container has its own); empty outside Linux.
    """

    host: str
    pid: int
    process_started: str
    boot: str
    pid_space: str

    def gone(self, heartbeat: str) -> bool:
        """Whether the process has ended without a word.

        On this computer the system is asked, never the clock. Of a process on another computer,
        or in a container of its own, only the last ``heartbeat`` is known.
        """
        own = here()
        same_boot = (self.boot or self.host) == (own.boot or own.host)
        if same_boot and self.pid_space == own.pid_space:
            found = process_started(self.pid)
            known = found and self.process_started
            return found is None or (bool(known) and found != self.process_started)
        if not same_boot and self.host == own.host:
            return True  # the computer was started anew
        silence = datetime.now(UTC) - datetime.fromisoformat(heartbeat)
        return silence.total_seconds() > SILENCE_SECONDS


def here() -> Owner:
    """This process."""
    return _describe(os.getpid())


@lru_cache(maxsize=1)
def _describe(pid: int) -> Owner:
    started = process_started(pid) or ""
    return Owner(platform.node(), pid, started, _boot(), _pid_space())


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except (OSError, AttributeError):
        return ""


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY_LIMITED_INFORMATION = 0x1000
    _ACCESS_DENIED = 5
    _STILL_ACTIVE = 259

    def process_started(pid: int) -> str | None:
        """When a living process began, in the words of its system; None when it is gone."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
        if not handle:
            return "" if ctypes.get_last_error() == _ACCESS_DENIED else None
        try:
            times = [wintypes.FILETIME() for _ in range(4)]
            code = wintypes.DWORD()
            kernel.GetExitCodeProcess(wintypes.HANDLE(handle), ctypes.byref(code))
            kernel.GetProcessTimes(wintypes.HANDLE(handle), *map(ctypes.byref, times))
        finally:
            kernel.CloseHandle(wintypes.HANDLE(handle))
        if code.value != _STILL_ACTIVE:
            return None
        return str((times[0].dwHighDateTime << 32) + times[0].dwLowDateTime)

elif sys.platform == "linux":

    def process_started(pid: int) -> str | None:
        """When a living process began, in the words of its system; None when it is gone.

        Empty where the system knows the process but does not tell.
        """
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return "" if _is_hidden(pid) else None
        # The second field is the program's name in parentheses, which may hold anything.
        state, *fields = stat.rpartition(b")")[2].decode("ascii").split()
        return None if state in "ZX" else fields[18]  # a zombie has ended; its starttime, in ticks

    def _is_hidden(pid: int) -> bool:
        """Whether the process is another user's that /proc does not show."""
        try:
            os.kill(pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)
        return True

else:

    def process_started(pid: int) -> str | None:
        """When a living process began, in the words of its system; None when it is gone."""
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout.strip() or None
