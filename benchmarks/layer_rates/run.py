"""Which reading of the layer groups' range tests gives the rates that train best?

    STEPSIZE_DATA=... python benchmarks/layer_rates/run.py [transfer ...] [--seeds 100 101]

For each transfer of ``tasks.py`` and each seed: the head is trained, the groups are range-tested,
every reading makes ratios out of the same curves, and every arm (a set of ratios) trains at the
level that the tests give it and at others three times apart, until the best lies between two.
Appends to ``results.jsonl``; arms that are in it already are kept. ``tables.py`` makes
``tables.md`` of it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tasks import TRANSFERS, Transfer  # noqa: E402

from stepsize import find_lr, transfer  # noqa: E402
from stepsize.adapters.torch.setting import peek  # noqa: E402
from stepsize.adapters.torch.transaction import Transaction  # noqa: E402
from stepsize.fine_tuning import LayerGroups, LayerRangeTests, discriminative  # noqa: E402
from stepsize.fine_tuning.fall import fall  # noqa: E402
from stepsize.fine_tuning.layer_reading import compared, judged, layer_reading  # noqa: E402
from stepsize.rangetest import Geometric  # noqa: E402
from stepsize.records import Curve, FindResult, Suggestion  # noqa: E402
from stepsize.suggest import nine_tenths  # noqa: E402
from stepsize.suggest.registry import RULES  # noqa: E402
from stepsize.tasks import Task  # noqa: E402

RESULTS, TESTS = HERE / "results.jsonl", HERE / "tests.jsonl"
CHOSEN = "seven tenths"
UPDATES = 84  # in each range test
MOST_LEVELS = 6
#: How each reading makes a suggestion out of a group's curve.
READINGS: dict[str, Callable[[Curve], Suggestion]] = {
    "half": lambda curve: fall([curve], 0.5),
    "seven tenths": lambda curve: fall([curve], 0.7),
    "nine tenths": lambda curve: nine_tenths([curve]),
    "minimum / 10": lambda curve: _bare(RULES["minimum_over_ten"](curve)),
}


class Trained:
    """A task whose head is trained, able to be fine-tuned from there again and again."""

    def __init__(self, name: str, seed: int) -> None:
        self.how: Transfer = TRANSFERS[name]
        self.task: Task = self.how.make(seed)
        self.model, self.optimizer = self.task.model, self.task.optimizer
        first = peek(self.task.train, 1)[0]
        found = transfer.groups(self.model, lambda model: self.task.loss(model, first))
        self.groups: LayerGroups = found.merged(6)
        transfer.regroup(self.optimizer, self.model, self.groups)
        torch.manual_seed(seed)
        self._train_head()

    def _train_head(self) -> None:
        freezing = transfer.Freezing(self.model, self.groups)
        freezing.train_last(1)
        updates = self.how.head_epochs * len(self.task.train)
        self._epochs(updates, (1.0,) * len(self.groups), lambda t: self.how.head_lr * _cosine(t))
        freezing.restore()
        self.model.train()

    def fine_tune(self, ratios: Sequence[float], peak: float) -> dict[str, float]:
        """Train all groups for the epochs of the transfer, validate, and go back."""
        epoch = len(self.task.train)
        updates = self.how.epochs * epoch

        def rate(t: float) -> float:
            return peak * (t / 0.1 if t < 0.1 else _cosine((t - 0.1) / 0.9))

        with Transaction(self.model, self.optimizer, loader=self.task.train):
            losses = self._epochs(updates, ratios, rate)
            return {**self.validated(), "train": math.fsum(losses[-epoch:]) / epoch}

    def _epochs(
        self, updates: int, ratios: Sequence[float], rate: Callable[[float], float]
    ) -> list[float]:
        losses: list[float] = []
        while len(losses) < updates:
            for batch in self.task.train:
                lr = max(rate((len(losses) + 0.5) / updates), 1e-12)
                transfer.set_ratios(self.optimizer, ratios, lr)
                self.optimizer.zero_grad()
                loss = self.task.loss(self.model, batch)
                losses.append(loss.item())
                if not math.isfinite(losses[-1]):
                    return losses + [math.inf] * (updates - len(losses))
                loss.backward()
                self.optimizer.step()
        return losses

    def validated(self) -> dict[str, float]:
        """The loss on the validation data, and the accuracy."""
        self.model.eval()
        with torch.no_grad():
            batches = list(self.task.val or ())
            sizes = [len(batch[1]) for batch in batches]
            sized = list(zip(batches, sizes, strict=True))
            values = {"loss": self.task.loss, "accuracy": self.task.metrics["accuracy"]}
            means = {
                name: sum(float(value(self.model, b)) * n for b, n in sized) / sum(sizes)
                for name, value in values.items()
            }
        self.model.train()
        return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("transfers", nargs="*", default=list(TRANSFERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101])
    parser.add_argument("--arms", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in options.seeds:
        for name in options.transfers:
            one_transfer(name, seed, options.arms)


def one_transfer(name: str, seed: int, wanted: Sequence[str] | None) -> None:
    """All arms of a transfer from one seed."""
    done = {(row["transfer"], row["seed"], row["arm"]) for row in rows()}
    trained = Trained(name, seed)
    parts = (trained.model, trained.optimizer, trained.task.loss, trained.task.train)
    ladder = Geometric(trained.how.lowest, 1e7 * trained.how.lowest, UPDATES)
    tests = transfer.find_rates(*parts, trained.groups, ladder=ladder, task=name)
    common = transfer.find_common(*parts, trained.groups, ladder=ladder)
    bare = find_lr(*parts, ladder=ladder)
    save_tests(name, seed, tests, common, bare)
    for arm, (ratios, peak) in arms(tests).items():
        if (name, seed, arm) in done or (wanted and arm not in wanted):
            continue
        for exponent, result in levels(trained, ratios, peak):
            row = {"transfer": name, "seed": seed, "arm": arm, "level": exponent}
            row |= {"peak": peak * 3.0**exponent, "ratios": list(ratios), **result}
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(name, seed, arm, f"{row['peak']:.2g}", result, flush=True)


def save_tests(
    name: str, seed: int, tests: LayerRangeTests, common: FindResult, bare: FindResult
) -> None:
    """What every group's test says; whether it says anything without the batches' noise removed."""
    row = {
        "transfer": name,
        "seed": seed,
        "names": list(tests.names),
        "lr": [None if test.find is None else test.find.lr for test in tests.tests],
        "ceiling": [test.ceiling for test in tests.tests],
        "suggested": None if tests.rates is None else list(tests.rates),
        "told_apart": tests.told_apart,
        "common": common.lr,
        "common_ceiling": judged("", common).ceiling,
        "find_lr": bare.verdict if bare.lr is None else bare.lr,
        "updates": tests.updates,
    }
    with TESTS.open("a") as file:
        file.write(json.dumps(row) + "\n")


def arms(tests: LayerRangeTests) -> dict[str, tuple[tuple[float, ...], float]]:
    """The ratios of each arm, and the level that single groups' tests give it."""
    count = len(tests.names)
    found: dict[str, tuple[tuple[float, ...], float]] = {}
    if tests.rates is not None:
        found["suggested"] = tests.rates.ratios, tests.rates.peak
    for name, reading in READINGS.items():
        told = [judged(test.name, _read(test.find, reading)) for test in tests.tests]
        seen = layer_reading(compared(told))
        if seen is not None:
            found[name] = seen.ratios, seen.peak
            if name == CHOSEN:
                middle = 10.0 ** (math.fsum(seen.values) / count)
                found["one rate"] = (1.0,) * count, middle
                for factor in (2.6, 10.0):
                    rates = discriminative(1.0, count, factor).rates
                    found[f"factor {factor:g}"] = rates, middle
    return found


def levels(
    trained: Trained, ratios: Sequence[float], level: float
) -> list[tuple[int, dict[str, float]]]:
    """Trainings at ``level * 3^k``, until the best one lies between two others."""
    seen: dict[int, dict[str, float]] = {}
    ask = [0, 1]
    while ask and len(seen) < MOST_LEVELS:
        exponent = ask.pop()
        seen[exponent] = trained.fine_tune(ratios, level * 3.0**exponent)
        if not ask:
            best = min(seen, key=lambda e: seen[e]["loss"])
            ask = [e for e in (best - 1, best + 1) if e not in seen][-1:]
    return sorted(seen.items())


def rows() -> list[dict[str, Any]]:
    """What was trained so far."""
    return [json.loads(line) for line in RESULTS.open()] if RESULTS.exists() else []


def _read(find: FindResult | None, reading: Callable[[Curve], Suggestion]) -> FindResult | None:
    return None if find is None else replace(find, suggestion=reading(find.curve))


def _bare(lr: float | None) -> Suggestion:
    if lr is None:
        return Suggestion("flat", "no answer", rule="minimum_over_ten")
    return Suggestion("ok", "", lr=lr, interval=(lr / 1.5, lr * 1.5), rule="minimum_over_ten")


def _cosine(t: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * min(t, 1.0)))


if __name__ == "__main__":
    main()
