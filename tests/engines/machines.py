"""Separate hosts on one computer: network namespaces, each with a cable of its own."""

import contextlib
import os
import shutil
import subprocess


def why_not():
    """Why there can be none here; empty if there can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "there is no ip command"
    name = f"stepsize-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not permitted: {error.stderr.strip()}"
    return ""


class Machine:
    """A host with its own network, connected to this one; a context manager.

    Attributes:
        within: words in front of a command that is to run there.
        near: this computer's address, as seen from there.
    """

    def __init__(self, number):
        self.name = f"stepsize-{os.getpid()}-{number}"
        self.within = ("ip", "netns", "exec", self.name)
        self._ends = [f"ss{os.getpid() % 1_000_000}{end}{number}" for end in "ab"]
        # A net of four addresses out of those that are kept for measurements (RFC 2544).
        net = (198 << 24) + (18 << 16) + (os.getpid() * 8 + number) % 2**15 * 4
        self.near, self.far = (_dotted(net + host) for host in (1, 2))

    def __enter__(self):
        near, far = self._ends
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
            _ip("address", "add", f"{self.near}/30", "dev", near)
            _ip("link", "set", near, "up")
            _ip("-n", self.name, "address", "add", f"{self.far}/30", "dev", far)
            _ip("-n", self.name, "link", "set", far, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for words in (("link", "delete", self._ends[0]), ("netns", "delete", self.name)):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(*words)

    def cut(self):
        """Pull the cable out."""
        _ip("link", "set", self._ends[0], "down")

    def mend(self):
        """Put it in again."""
        _ip("link", "set", self._ends[0], "up")


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _dotted(address):
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
