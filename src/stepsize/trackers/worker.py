"""The process that sends: whatever a tool does to its process, it does not do it to the training.

It reads orders from standard input and answers on standard output, a line of JSON each::

    ["comparison", id]  ["sync", run_id]  ["end", run_id]  ["finish", result, {name: base64}]
    ["alive"]

    ["ready"]  ["alive"]  ["done", order]  ["failed", tracker, why]  ["error", kind, message]

When its input ends it sends what is left, and ends too.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, final

from stepsize.errors import StepsizeError
from stepsize.records import Comparison
from stepsize.store import Store
from stepsize.trackers.base import Tracker
from stepsize.trackers.mirror import Mirror
from stepsize.trackers.names import line
from stepsize.trackers.registry import open_tracker

Reply = Callable[..., None]


def main(words: Sequence[str]) -> None:
    """Serve until the input ends; ``words`` are the store's path and the trackers."""
    with contextlib.suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who gives orders decides
    reply = _answers()
    path, *texts = words
    trackers: list[Tracker] = []
    try:
        for text in texts:
            trackers.append(_opened(text))
        store = Store(path)
    except StepsizeError as error:
        reply("error", type(error).__name__, str(error))
        return
    reply("ready")
    with store:
        mirrors = _Mirrors(store, trackers, reply)
        for order in sys.stdin:
            what, *values = json.loads(order)
            mirrors.obey(what, *values)
            reply("done", what)
        mirrors.close()


def _answers() -> Reply:
    """A way to answer that nobody else writes to: what tools print goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(*words: str) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more; there is still work to end
            out.write(json.dumps(words) + "\n")
            out.flush()

    return reply


def _opened(text: str) -> Tracker:
    """The tracker, or an error in words.

    Raises:
        StepsizeError: it cannot be used.
    """
    try:
        return open_tracker(text)
    except StepsizeError:
        raise
    except Exception as error:
        why = line(f"{type(error).__name__}: {error}", 500)
        raise StepsizeError(f"The tracker {text} cannot be used: {why}") from error


@final
class _Mirrors:
    """A mirror for each tracker; one that fails is left out from then on."""

    def __init__(self, store: Store, trackers: Sequence[Tracker], reply: Reply) -> None:
        self._store = store
        self._trackers = list(trackers)
        self._reply = reply
        self._mirrors: dict[Tracker, Mirror] = {}

    def obey(self, order: str, *values: Any) -> None:
        """Do what was ordered, for each tracker that still works."""
        if order == "comparison":
            self._each("close")
            self._mirrors = {}
            self._for_all(lambda tracker: self._add(tracker, *values))
        elif order == "finish":
            data, files = values
            contents = {name: base64.b64decode(text) for name, text in files.items()}
            self._each("finish", Comparison.from_dict(data), contents)
        elif order != "alive":
            self._each(order, *values)

    def close(self) -> None:
        """End what is open."""
        self._each("close")
        self._for_all(lambda tracker: tracker.close())

    def _add(self, tracker: Tracker, comparison: int) -> None:
        self._mirrors[tracker] = Mirror(
            self._store, tracker, comparison, alive=lambda: self._reply("alive")
        )

    def _each(self, order: str, *values: Any) -> None:
        def do(tracker: Tracker) -> None:
            if tracker in self._mirrors:
                getattr(self._mirrors[tracker], order)(*values)

        self._for_all(do)

    def _for_all(self, do: Callable[[Tracker], None]) -> None:
        for tracker in tuple(self._trackers):
            try:
                do(tracker)
            except Exception as error:  # noqa: BLE001 - tools raise what they like
                self._reply("failed", tracker.name, line(f"{type(error).__name__}: {error}", 500))
                self._trackers.remove(tracker)
                with contextlib.suppress(Exception):
                    tracker.close()


if __name__ == "__main__":
    main(sys.argv[1:])
