"""Real processes that use a store."""

from __future__ import annotations

import subprocess
import sys

DEFINITION = {
    "task": "digits",
    "schedule": "cosine(0.1)",
    "seed": 0,
    "epochs": 2,
    "updates": 40,
}


def started(code, *arguments, wrapper=(), **options):
    """A Python process that runs ``code``, with pipes to talk to it."""
    command = [*wrapper, sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)


def said(code, *arguments, **options):
    """What a Python process that runs ``code`` prints, line by line; it must end well."""
    with started(code, *arguments, stderr=subprocess.PIPE, **options) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out.splitlines()


def at_once(code, count, *arguments):
    """What ``count`` processes print that all wait at ``input()`` and are let go together."""
    processes = [started(code, *arguments, number) for number in range(count)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outs = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return outs
