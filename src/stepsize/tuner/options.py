"""What a user may choose about a recommendation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from stepsize.errors import require
from stepsize.records import Reading
from stepsize.tuner.trainer import Entry

#: The other optimizers that a race can try beside the task's own, and what they are called.
OPTIMIZER_NAMES = {"adamw": "AdamW", "schedule_free": "schedule-free AdamW", "momo": "MoMo-Adam"}
OPTIMIZERS = tuple(OPTIMIZER_NAMES)
#: Called with every reading as it is made.
OnReading = Callable[[Entry, Reading], None]


@final
@dataclass(frozen=True)
class TuneOptions:
    """How ``tune`` searches.

    Attributes:
        budget: what the search may cost, in full trainings; evaluations are charged too.
        seed: decides the initial weights and the order of the batches of every arm.
        around: a rate to begin the search around; None lets the optimizer's family decide.
        optimizers: other optimizers to try: ``"adamw"``, ``"schedule_free"``, ``"momo"``.
        on_reading: called with every reading as it is made.

    Raises:
        InputError: an option that makes no sense.

    >>> TuneOptions(budget=0.5).budget
    0.5
    """

    budget: float = 1.0
    seed: int = 0
    around: float | None = None
    optimizers: tuple[str, ...] = ()
    on_reading: OnReading | None = None

    def __post_init__(self) -> None:
        _need_positive("budget", self.budget, "in full trainings, such as 1.0")
        if self.around is not None:
            _need_positive("around", self.around, "a learning rate, such as 0.01")
            require(self.around < 1e12, f"around is a learning rate, got {self.around:g}.")
        seed: Any = self.seed
        require(
            isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63,
            f"seed must be a whole number of at least 0, got {seed!r}.",
        )
        given: Any = self.optimizers
        require(
            isinstance(given, (tuple, list)) and all(isinstance(name, str) for name in given),
            f"optimizers is a list of names, got {self.optimizers!r}.",
        )
        object.__setattr__(self, "optimizers", tuple(dict.fromkeys(self.optimizers)))
        for name in self.optimizers:
            require(
                name in OPTIMIZERS,
                f"The other optimizers are {', '.join(OPTIMIZERS)}; got {name!r}.",
            )

    def to_dict(self) -> dict[str, Any]:
        """The choices as JSON data, for the record."""
        return {
            "budget": self.budget,
            "seed": self.seed,
            "around": self.around,
            "optimizers": list(self.optimizers),
        }


def _need_positive(name: str, value: Any, unit: str) -> None:
    require(
        isinstance(value, (int, float)) and 0 < value < math.inf,
        f"{name} must be a positive number ({unit}), got {value!r}.",
    )
