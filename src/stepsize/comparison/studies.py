"""The studies that come along: a task, the arms and the budget under one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import final

from stepsize.comparison.arms import Arm


@final
@dataclass(frozen=True)
class Study:
    """A comparison ready to be made.

    Attributes:
        name: what to call it on the command line.
        summary: one line.
        task: the name of the task.
        arms: what is compared.
        epochs: the budget of every run.
        seeds: of every arm.
    """

    name: str
    summary: str
    task: str
    arms: tuple[Arm, ...]
    epochs: int
    seeds: tuple[int, ...] = (0, 1, 2)


#: What a task is compared under when no schedule is named: the rate found, decayed or not.
DEFAULT_ARMS = (
    Arm("constant(lr)", "constant"),
    Arm("linear(lr)", "linear to zero"),
    Arm("cosine(lr)", "cosine"),
    Arm("one_cycle(lr)", "1cycle"),
    Arm("wsd(lr)", "WSD"),
)

#: What the published study compared, with its own rates. Its callbacks set the rate once an epoch.
_PUBLISHED = (
    Arm("constant(0.01)", "constant 0.01"),
    Arm("stairs(polynomial(0.5, power=0.5), every=1 epoch)", "polynomial 0.5"),
    Arm("stairs(linear(0.5), every=1 epoch)", "linear (polynomial 1)"),
    Arm("stairs(polynomial(0.5, power=2), every=1 epoch)", "polynomial 2"),
    Arm(
        "stairs(inverse_time(0.5, decay=0.005, every=1 epoch), every=1 epoch)",
        "time-based, as meant",
    ),
    Arm("compounding_time(0.5, decay=0.005, every=1 epoch)", "time-based, as run"),
    Arm(  # 0.5 exp(-0.1 epoch)
        "stairs(exponential(0.5, factor=0.9048374180359595, every=1 epoch), every=1 epoch)",
        "exponential",
    ),
    Arm("step(0.5, every=10 epochs, factor=0.8)", "step"),
    Arm("constant(0.001)", "Adam", task="fashion-mnist-mlp-adam"),
)
#: What it lacked, with rates out of a range test: five cycles where there are cycles.
_ADDED = (
    Arm("linear(lr)", "linear to zero"),
    Arm("cosine(lr)", "cosine"),
    Arm("warm_restarts(lr, first_steps=20%)", "warm restarts"),
    Arm("triangular(base_lr, max_lr, up_steps=10%)", "triangular"),
    Arm("triangular2(base_lr, max_lr, up_steps=10%)", "triangular2"),
    Arm("one_cycle(lr)", "1cycle"),
    Arm("wsd(lr)", "WSD"),
)

_FASHION = Study(
    "fashion-mnist-schedules",
    "16 schedules on Fashion-MNIST, MLP 784-512-200-10, 100 epochs, 3 seeds (48 runs, an hour)",
    "fashion-mnist-mlp",
    _PUBLISHED + _ADDED,
    epochs=100,
)


def _short(arm: Arm) -> Arm:
    return arm if arm.task is None else replace(arm, task="fashion-mnist-mlp-short-adam")


#: Every study by name.
STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        study.name: study
        for study in (
            _FASHION,
            Study(
                "fashion-mnist-schedules-short",
                "the same on 2,000 of its images for 10 epochs, 2 seeds (32 runs, half a minute)",
                "fashion-mnist-mlp-short",
                tuple(map(_short, _FASHION.arms)),
                epochs=10,
                seeds=(0, 1),
            ),
        )
    }
)
