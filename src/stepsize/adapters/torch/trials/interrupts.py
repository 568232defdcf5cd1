"""Ctrl-C and SIGTERM, held back until a moment at which nothing is half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Holds back Ctrl-C and SIGTERM in its block until :meth:`deliver`; a second acts at once.

    Only the main thread hears of signals: elsewhere, and where a signal is not handled by Python,
    this does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._waiting: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if callable(before):
                try:
                    signal.signal(number, self._hear)
                except ValueError:  # a sub-interpreter has no signals
                    return self
                self._before[number] = before
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_back()
        if error is None:
            self.deliver()

    def deliver(self) -> None:
        """Let a signal that waits have its effect, mostly a KeyboardInterrupt."""
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._give_back()
            signal.raise_signal(number)

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """In this block, inside the other, a signal acts at once: nothing would be half done."""
        self.deliver()
        held = self._before
        self._give_back()
        try:
            yield
        finally:
            for number in held:
                signal.signal(number, self._hear)
            self._before = held

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._waiting is not None:
            self._before[number](number, frame)
        self._waiting = number

    def _give_back(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}
