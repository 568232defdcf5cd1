"""A worker process: it carries out the calls that its parent sends, one at a time.

Orders come on what was its standard input, and replies leave on what was its standard output::

    ("call", ticket, function, arguments)   ("interrupt", ticket)

    ("ready",)   ("told", ticket, message)   ("returned", ticket, value)
    ("raised", ticket, error, in words, traceback)

Arguments, messages, values and errors are pickled each by itself, so that one that cannot be read
spoils nothing else. Whatever the user's code prints goes to standard error.
"""

from __future__ import annotations

import _thread
import atexit
import importlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from operator import attrgetter
from queue import SimpleQueue
from types import FrameType
from typing import Any, BinaryIO, final

from stepsize.engines import frames
from stepsize.engines.telling import set_say

#: A call that was told to end has so long to save what it has.
GRACE_SECONDS = 30.0
#: How often it is looked whether the parent is there; mostly the end of the orders tells at once.
_LOOK_SECONDS = 1.0


def main(parent: int) -> None:
    """Serve the process that has started this one, until it needs no more or is gone."""
    orders, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = _Worker(orders, replies, parent).serve()
    # Taking a framework apart takes longer than many a call, and whoever closes a crew waits.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


@final
class _Worker:
    """Calls run in the main thread, which alone hears of signals; other threads listen and speak.

    Args:
        orders, replies: to and from the parent.
        parent: its process number.
    """

    def __init__(self, orders: BinaryIO, replies: BinaryIO, parent: int) -> None:
        self._orders, self._replies, self._parent = orders, replies, parent
        self._calls: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        # Written by a thread, so that no signal can cut a message in two.
        self._unsaid: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._ticket: int | None = None  # of the call that is being carried out
        self._stopping: int | None = None  # of the call that is to be interrupted
        self._terminated = False
        self._leaving = threading.Lock()

    def serve(self) -> int:
        """Carry out calls until there are no more; the process's exit code."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGTERM, self._on_terminate)
        frames.write(self._replies, "ready")
        writer = threading.Thread(target=self._write, daemon=True)
        writer.start()
        for each in (self._read, self._look):
            threading.Thread(target=each, daemon=True).start()
        try:
            while (call := self._calls.get()) is not None:
                reply = self._carried_out(*call)
                if self._terminated:  # what the call held was given back
                    break
                self._unsaid.put(reply)
        except KeyboardInterrupt:  # SIGTERM's, between two calls
            pass
        self._unsaid.put(None)
        writer.join()
        return 128 + signal.SIGTERM if self._terminated else 0

    # -- in the main thread -------------------------------------------------------------------

    def _carried_out(self, ticket: int, function: str, arguments: bytes) -> tuple[Any, ...]:
        """Carry out a call; what to reply."""
        set_say(lambda message: self._unsaid.put(("told", ticket, _pickled(message))))
        try:
            try:
                self._ticket = ticket
                self._stop_if_asked()  # before it has begun
                value = _function(function)(*pickle.loads(arguments))  # noqa: S301 - our parent's
                reply: tuple[Any, ...] = ("returned", ticket, _pickled(value))
            except BaseException as error:  # noqa: BLE001 - all of it is the caller's
                reply = _raised(ticket, error)
            self._ticket = None
        except KeyboardInterrupt as error:  # it came when something else had been raised
            self._ticket = None
            reply = _raised(ticket, error)
        finally:
            set_say(None)
        return reply

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._ticket is not None:  # else the call has ended by now
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self._stopping == self._ticket:
            self._stopping = None
            raise KeyboardInterrupt

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True
        raise KeyboardInterrupt  # a SystemExit might be taken for the user's own

    # -- in other threads ---------------------------------------------------------------------

    def _read(self) -> None:
        for kind, *words in frames.messages(self._orders):
            if kind == "call":
                self._calls.put(tuple(words))
            else:
                (self._stopping,) = words
                if self._ticket == self._stopping:
                    _signal_main(signal.SIGINT)
        self._leave()

    def _look(self) -> None:
        """Notice that the parent is gone, also where its other children hold the orders open."""
        while os.name == "posix" and os.getppid() == self._parent:
            time.sleep(_LOOK_SECONDS)
        if os.name == "posix":
            self._leave()

    def _leave(self) -> None:
        """End after giving back what the call has, as SIGTERM would have it; at last by force."""
        if not self._leaving.acquire(blocking=False):
            return  # a second signal would act at once
        self._calls.put(None)
        if self._ticket is not None:
            _signal_main(signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    def _write(self) -> None:
        for words in iter(self._unsaid.get, None):
            try:
                frames.write(self._replies, *words)
            except OSError:  # nobody listens any more
                return


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return attrgetter(attribute)(importlib.import_module(module))


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def _raised(ticket: int, error: BaseException) -> tuple[Any, ...]:
    """The reply to a call that has raised; without the error itself if it cannot be pickled."""
    try:
        content = _pickled(error)
    except Exception:  # noqa: BLE001 - the user's classes raise what they like
        content = b""
    said = "".join(traceback.format_exception_only(error)).strip()
    return "raised", ticket, content, said, "".join(traceback.format_exception(error))


def _signal_main(number: signal.Signals) -> None:
    """Let a signal come to the main thread, also if it waits inside a system call."""
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        signal.pthread_kill(main_thread, number)
    else:
        _thread.interrupt_main(number)
