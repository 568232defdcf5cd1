"""What a trial leaves: one training of a task under a schedule from a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from stepsize.errors import require

#: What can be said of a run. ``finished`` and ``diverged`` are results and are never made again;
#: ``crashed`` is a run whose process is gone without a word.
STATUSES = ("waiting", "running", "finished", "diverged", "failed", "interrupted", "crashed")
#: The statuses that are results.
OVER = frozenset({"finished", "diverged"})


@final
@dataclass(frozen=True, slots=True)
class Evaluation:
    """The values of all metrics after a number of updates.

    Attributes:
        epoch: epochs done, so the first one is 1.
        updates: updates done.
        values: metrics by name: ``train_loss`` (the mean over the epoch's updates), ``val_loss``
            and ``val_<name>`` for each of the task's metrics. NaN and infinity are kept as ``inf``.

    >>> Evaluation(1, 250, {"val_loss": float("nan")}).values["val_loss"]
    inf
    """

    epoch: int
    updates: int
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {n: _or_inf(v) for n, v in self.values.items()})

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as flat JSON data; a value that is not finite is ``None``."""
        return {"epoch": self.epoch, "updates": self.updates, **plain_values(self.values)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """The evaluation that :meth:`to_dict` wrote."""
        values = {n: v for n, v in data.items() if n not in ("epoch", "updates")}
        return cls(int(data["epoch"]), int(data["updates"]), _read(values))


@final
@dataclass(frozen=True, slots=True)
class Run:
    """One training of a task under a schedule from a seed, as far as it went.

    Attributes:
        arm: the name of what is compared: the schedule's text unless the user named it.
        schedule: the schedule's text form.
        seed: decides the initial weights and the order of the batches.
        status: one of :data:`STATUSES`.
        updates: the budget.
        done: updates made.
        history: the evaluations in order; the last one of a finished run is at ``updates``.
        key: names the run in its store.
        error: what went wrong, in one line, or empty.
        seconds: time spent training, left out of comparisons.

    Raises:
        InputError: an unknown status, or a history out of order.

    >>> run = Run("cosine(0.1)", "cosine(0.1)", 0, "finished", 20, 20, (
    ...     Evaluation(1, 10, {"val_loss": 0.3}), Evaluation(2, 20, {"val_loss": 0.4})))
    >>> run.final, run.best("val_loss").epoch
    ({'val_loss': 0.4}, 1)
    """

    arm: str
    schedule: str
    seed: int
    status: str
    updates: int
    done: int = 0
    history: tuple[Evaluation, ...] = ()
    key: str = ""
    error: str = ""
    seconds: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        require(
            self.status in STATUSES,
            f"A run's status is one of {', '.join(STATUSES)}; got {self.status!r}.",
        )
        at = [each.updates for each in self.history]
        require(at == sorted(set(at)), f"A run's history must go forward, got updates {at}.")

    def __repr__(self) -> str:
        return f"Run({self.arm}, seed {self.seed}, {self.status}, {self.done}/{self.updates})"

    @property
    def final(self) -> Mapping[str, float]:
        """The values at the end; empty unless the run is finished."""
        return self.history[-1].values if self.status == "finished" and self.history else {}

    def best(self, metric: str, higher: bool = False) -> Evaluation | None:
        """The evaluation at which ``metric`` was best, the first of equals; None without one."""
        sign = -1.0 if higher else 1.0
        known = [each for each in self.history if math.isfinite(each.values.get(metric, math.inf))]
        return min(known, key=lambda each: sign * each.values[metric], default=None)

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON data."""
        return {
            "arm": self.arm,
            "schedule": self.schedule,
            "seed": self.seed,
            "status": self.status,
            "updates": self.updates,
            "done": self.done,
            "final": plain_values(self.final),
            "history": [each.to_dict() for each in self.history],
            "key": self.key,
            "error": self.error,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Run:
        """The run that :meth:`to_dict` wrote."""
        return cls(
            arm=data["arm"],
            schedule=data["schedule"],
            seed=int(data["seed"]),
            status=data["status"],
            updates=int(data["updates"]),
            done=int(data["done"]),
            history=tuple(Evaluation.from_dict(each) for each in data["history"]),
            key=data.get("key", ""),
            error=data.get("error", ""),
            seconds=float(data.get("seconds", 0.0)),
        )


def _or_inf(value: float) -> float:
    value = float(value)
    return value if math.isfinite(value) else math.inf


def plain_values(values: Mapping[str, float]) -> dict[str, float | None]:
    """Named values as JSON data; one that is not finite is ``None``."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _read(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.inf if value is None else value for name, value in values.items()}
