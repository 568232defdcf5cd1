"""Small comparisons in a store: made by hand, half or whole."""

import json
import math
import os
import struct
import subprocess
import sys
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from stepsize.records import Comparison, Evaluation
from stepsize.records.comparison import Standing
from stepsize.store import Store
from stepsize.trackers import mirrored

#: A name that is a path, has control characters and half a character, and is long.
HOSTILE = "../../outside/\n\0'\"; <b>\\?%#:" + "x" * 500
#: A metric's name that is none of any tool's.
METRIC = "val_top 5/../<b>"
UPDATES, EPOCH = 40, 10


def lr(update):
    return 0.1 / (update + 3)


def loss(update, seed):
    return math.nan if seed and update == 7 else math.exp(-update / 30) + seed / 3


def evaluation(epoch, seed):
    values = {"train_loss": 1 / (epoch + 2), "val_loss": (1 + seed) / 3 / epoch, METRIC: epoch / 7}
    return Evaluation(epoch, epoch * EPOCH, values)


def rows(seed, updates=UPDATES):
    """What a tracker is to have of a run: the values by update."""
    found = {t: {"lr": lr(t), "loss": loss(t, seed)} for t in range(updates)}
    for epoch in range(1, updates // EPOCH + 1):
        found[epoch * EPOCH - 1] |= {"epoch": epoch, **evaluation(epoch, seed).values}
    return found


@dataclass
class Stored:
    """A comparison of two arms with one seed each; the second arm's name is hostile."""

    folder: Path
    arms: tuple = (("cosine(0.1)", 0), (HOSTILE, 1))
    name: str = "digits: a <b> study/.."
    runs: list = field(default_factory=list)

    def __post_init__(self):
        self.path = self.folder / "stepsize.db"
        self.store = Store(self.path)
        for arm, seed in self.arms:
            definition = {
                "task": "digits",
                "schedule": f"constant({seed + 1})",
                "seed": seed,
                "epochs": UPDATES // EPOCH,
                "updates": UPDATES,
                "recipe": {"clip": None},
            }
            self.runs.append((self.store.add_run(f"key{seed}", definition), arm))
        plan = {"task": "digits", "metric": "val_loss", "higher": False, "seeds": [0, 1]}
        self.id = self.store.add_comparison("0123456789abcdef", self.name, plan, self.runs)

    def make(self, number, updates=UPDATES, status="finished"):
        """Make a run up to ``updates``, from where it is."""
        run, seed = self.runs[number][0], self.arms[number][1]
        with self.store.claim(run, {"versions": {"torch": "2.13"}}) as lease:
            for t in range(lease.done, updates):
                lease.log(t, lr(t), loss(t, seed))
                if (t + 1) % EPOCH == 0:
                    lease.evaluate(evaluation((t + 1) // EPOCH, seed))
            lease.finish(status, seconds=1.5)
        return run

    def result(self):
        runs = tuple(self.store.read(run).as_run(arm) for run, arm in self.runs)
        best = Standing(
            "cosine(0.1)", "constant(1)", "best", 0.1, (0.05, 0.15), 0.0, seeds=1, best_epoch=4.0
        )
        worse = Standing(HOSTILE, "constant(2)", "worse", 0.2, None, 0.1, (0.05, 0.15), 0.01, 1)
        seeds, ranking, note = (0, 1), (best, worse), ("A <b>note</b>.",)
        epochs = UPDATES // EPOCH
        return Comparison(
            "digits", epochs, UPDATES, seeds, "val_loss", runs, ranking, notes=note, name=self.name
        )


def png():
    """A picture of three by two pixels."""
    data = b"".join(b"\0" + b"\x20\x40\x80" * 3 for _ in range(2))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    )
    body = (
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


FILES = {"compare.png": png(), "compare.html": b"<p>page</p>", "compare.json": b"{}"}


def send_in_two_parts(folder, text, processes=2):
    """A comparison that was interrupted and done again, sent to the tracker both times."""
    stored = Stored(folder)
    with ExitStack() as stack:
        mirror = stack.enter_context(mirrored([text], stored.path))
        mirror.watchers[0].entered(stored.store, stored.id)
        run = stored.make(0, 25, "interrupted")
        mirror.watchers[0].evaluated(None, run, None)
        mirror.watchers[0].ended(None, run, "interrupted", "")
        mirror.wait()
        if processes == 2:
            stack.close()
            mirror = stack.enter_context(mirrored([text], stored.path))
            mirror.watchers[0].entered(stored.store, stored.id)
        for number in range(len(stored.runs)):
            mirror.watchers[0].ended(None, stored.make(number), "finished", "")
        mirror.finish(stored.result(), FILES)
        mirror.finish(stored.result(), FILES)
    return stored


def read_back(*words):
    """What a tool's own reader finds, asked in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("readers.py")), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def same(found, expected):
    """Whether two numbers are the same bit for bit, NaN among them."""
    return struct.pack("d", found) == struct.pack("d", expected) or found != found != expected


def files_below(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*")}
