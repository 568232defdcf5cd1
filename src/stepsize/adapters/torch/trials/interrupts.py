"""Ctrl-C, held back until a moment at which nothing is half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupts:
    """Holds back a Ctrl-C inside its block until :meth:`deliver`; a second one acts at once.

    Only the main thread hears of signals: elsewhere, and where SIGINT is not handled by Python,
    this does nothing.
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._waiting = False

    def __enter__(self) -> Self:
        before = signal.getsignal(signal.SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            try:
                signal.signal(signal.SIGINT, self._hear)
            except ValueError:  # a sub-interpreter has no signals
                return self
            self._before = before
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_back()
        if self._waiting and error is None:
            self.deliver()

    def deliver(self) -> None:
        """Let a Ctrl-C that waits have its effect, mostly a KeyboardInterrupt."""
        if self._waiting:
            self._waiting = False
            self._give_back()
            signal.raise_signal(signal.SIGINT)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._waiting:
            self._before(number, frame)
        self._waiting = True

    def _give_back(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
