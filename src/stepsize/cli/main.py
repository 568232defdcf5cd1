"""``stepsize``: which command, and what its end means to the shell.

Exit codes: 0 done; 1 done but for runs that failed; 2 bad input; 3 abstained; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from stepsize.cli import (
    compare_command,
    find_command,
    report_command,
    runs_command,
    schedule_command,
    tasks_command,
    transfer_command,
    tune_command,
)
from stepsize.cli.exit_codes import BAD_INPUT, DONE, INTERRUPTED
from stepsize.errors import StepsizeError
from stepsize.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    >>> main(["tasks"])  # doctest: +ELLIPSIS
    digits...
    0
    """
    # Threads of a small network that spin while they wait steal the cores from each other as soon
    # as anything else runs: 24 s instead of 0.3 s for `find digits` on two busy cores. Read by
    # OpenMP when torch is imported; the user's own setting wins.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.words = words
    try:
        with _terminated_like_an_exception():
            code: int = options.run(options)
        sys.stdout.flush()
        return code
    except StepsizeError as error:
        print(f"stepsize: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"stepsize: interrupted; {options.interrupted}.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return DONE
    except OSError as error:
        print(f"stepsize: {error.strerror or error}.", file=sys.stderr)
        return BAD_INPUT


@contextlib.contextmanager
def _terminated_like_an_exception() -> Iterator[None]:
    """Let SIGTERM take back what is half done, as an exception would."""
    try:
        before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepsize",
        description="Which learning rate, which schedule, and how do you know?",
        epilog="exit codes: 0 done, 1 done but for runs that failed, 2 bad input, 3 abstained "
        "(the reason is printed), 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"stepsize {__version__}")
    parser.set_defaults(interrupted="nothing was written")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    find_command.add_to(commands)
    tune_command.add_to(commands)
    compare_command.add_to(commands)
    transfer_command.add_to(commands)
    schedule_command.add_to(commands)
    runs_command.add_to(commands)
    report_command.add_to(commands)
    tasks_command.add_to(commands)
    return parser
