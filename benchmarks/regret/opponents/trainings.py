"""Trainings of a workload under the linear schedule: whole ones, made once, and partial ones."""

from __future__ import annotations

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any

import torch
from make_grid import Run, exponents, linear, train
from workloads import WORKLOADS

Final = dict[str, float | None]


def write_lines(path: Path, lines: list[Any]) -> None:
    """All at once: a reader sees the old file or the new one."""
    text = "\n".join(json.dumps(line, separators=(",", ":"), allow_nan=False) for line in lines)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_lines(path: Path) -> list[Any]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Trainings:
    """Whole trainings of a workload with its own optimizer, kept in a file.

    The numbers are those that the grid has for the same rate (to the last digit: a network may
    answer the seventh with the third) and seed.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.updates = WORKLOADS[name].updates
        self.kept: dict[tuple[float, int], Final | None] = {
            (row["lr"], row["seed"]): row["final"] for row in read_lines(path)
        }
        self.runs: dict[int, Run] = {}

    def run(self, seed: int) -> Run:
        """The workload made from a seed; one for all trainings."""
        if seed not in self.runs:
            self.runs[seed] = Run(self.name, seed)
        return self.runs[seed]

    def final(self, lr: float, seed: int) -> Final | None:
        """What the training ends with; None when it diverged."""
        if (lr, seed) not in self.kept:
            run, length = self.run(seed), self.updates
            self.kept[lr, seed] = train(run, lr, length, lambda t: linear(t, length))["final"]
            rows = [
                {"lr": lr, "seed": seed, "final": final} for (lr, seed), final in self.kept.items()
            ]
            write_lines(self.path, rows)
        return self.kept[lr, seed]


class Arm:
    """A whole training at a rate, made only as far as asked and able to go on."""

    def __init__(self, run: Run, lr: float, updates: int) -> None:
        self.run, self.lr, self.updates = run, lr, updates
        self.done, self.alive = 0, True
        self.state: Any = run.start
        self.random: torch.Tensor | None = None

    def advance(self, to: int) -> float:
        """Train until update ``to``; the validation loss there, infinite when it diverged."""
        self.run.restore(self.state)
        if self.random is None:
            torch.manual_seed(self.run.seed)
        else:
            torch.set_rng_state(self.random)
        while self.alive and self.done < to:
            loss = self.run.update(self.done, self.lr * linear(self.done, self.updates))
            self.alive = math.isfinite(loss)
            self.done += 1
        self.state, self.random = self.run.state(), torch.get_rng_state()
        loss = self.run.evaluate(self.run.task.val)["loss"] if self.alive else math.inf
        return loss if math.isfinite(loss) else math.inf


class Search:
    """What a search may do with one workload and seed: train arms, at a count."""

    def __init__(self, trainings: Trainings, seed: int) -> None:
        self.trainings, self.seed = trainings, seed
        self.name, self.length = trainings.name, trainings.updates
        self.epochs = WORKLOADS[self.name].epochs
        self.low, self.high = exponents(self.name)
        #: Of the search's own random numbers: others for each workload and seed.
        self.random_seed = zlib.crc32(f"{self.name}, seed {seed}".encode())
        self.updates = self.evaluations = 0

    def arm(self, lr: float) -> Arm:
        return Arm(self.trainings.run(self.seed), six_digits(lr), self.length)

    def advance(self, arm: Arm, to: int) -> float:
        """As the arm's, charged."""
        before = arm.done
        loss = arm.advance(to)
        self.updates += arm.done - before
        self.evaluations += 1
        return loss

    def part(self, share: float) -> int:
        """That share of a training, in updates."""
        return max(1, round(share * self.length))

    def whole(self, lr: float) -> float:
        """The validation loss at the end of a whole training, charged."""
        final = self.trainings.final(six_digits(lr), self.seed)
        self.updates += self.length
        self.evaluations += 1
        return math.inf if final is None or final["val"] is None else final["val"]


def six_digits(lr: float) -> float:
    return float(f"{lr:.6g}")
