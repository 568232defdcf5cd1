"""What the workers of the tests are asked to do."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from stepsize.engines.telling import tell
from stepsize.tasks.leftovers import folder_prefix


class Unpicklable(Exception):
    """Holds what no pickle takes."""

    def __init__(self, text):
        super().__init__(text)
        self.held = lambda: None


class Unreadable(Exception):
    """Can be pickled and not be read: reading it calls the class with one argument."""

    def __init__(self, text, _):
        super().__init__(text)


def double(number):
    return 2 * number


def process_id():
    return os.getpid()


def raising(kind, text):
    raise {"Unpicklable": Unpicklable, "Unreadable": lambda text: Unreadable(text, 1)}.get(
        kind, ValueError
    )(text)


def a_lambda():
    return lambda: None


def telling(messages):
    for message in messages:
        tell(message)
    return len(messages)


def printing(text):
    print(text)
    os.write(1, f"{text}\n".encode())
    return sys.stdin.read()


def meeting(folder, own, other, seconds=60.0):
    """Whether another call was there at the same time."""
    Path(folder, own).touch()
    end = time.monotonic() + seconds
    while not Path(folder, other).exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def dying(file, times):
    """Killed in the midst of it, as long as the file has fewer lines than ``times``."""
    with open(file, "a", encoding="utf-8") as lines:
        lines.write(f"{os.getpid()}\n")
    if len(Path(file).read_text(encoding="utf-8").splitlines()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def exiting(code):
    os._exit(code)


def sleeping(folder, name="sleeping", seconds=60.0):
    """Sleeps; ``<name>.begun`` has its process number, ``<name>.ended`` says what ended it."""
    _write(Path(folder, f"{name}.begun"), os.getpid())
    try:
        time.sleep(seconds)
    except BaseException as error:
        _write(Path(folder, f"{name}.ended"), type(error).__name__)
        raise


def deaf(folder):
    """Does not end when it is told to."""
    while True:
        try:
            sleeping(folder)
        except KeyboardInterrupt:
            continue


def environment(name):
    return os.environ.get(name)


def arguments():
    return sys.argv, sys.path, os.getcwd()


def _write(path, text):
    beside = path.with_suffix(".part")
    beside.write_text(str(text), encoding="utf-8")
    beside.replace(path)


def littering():
    """Make a temporary folder, and be killed."""
    tempfile.mkdtemp(prefix=folder_prefix())
    os.kill(os.getpid(), signal.SIGKILL)
