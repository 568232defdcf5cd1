"""A comparison before it is made: which arms, which seeds, which budget, judged by what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final

from stepsize.comparison.trial import AnyTrial


@final
@dataclass(frozen=True)
class PlannedArm:
    """An arm with its rates decided.

    Attributes:
        arm: its name.
        schedule: the schedule's text, resolved to whole updates.
        effort: updates spent to choose its rates; None where the user gave them.
        rates_from: where they come from, in words.
    """

    arm: str
    schedule: str
    effort: int | None = None
    rates_from: str = "given"


@final
@dataclass(frozen=True)
class Plan:
    """What is to be compared and how it will be judged, fixed before the first run.

    Attributes:
        task: the task's name.
        epochs, updates: the budget of every run.
        seeds: the same for every arm.
        arms: in the order asked for.
        metric: what the ranking is by; ``higher`` says whether higher is better.
        at, interval: see :class:`CompareOptions`.
        name: a title, or empty.
        notes: sentences a reader should know.
        settings: how it is run, as JSON data.
    """

    task: str
    epochs: int
    updates: int
    seeds: tuple[int, ...]
    arms: tuple[PlannedArm, ...]
    metric: str = "val_loss"
    higher: bool = False
    at: str = "final"
    interval: str = "t"
    name: str = ""
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that :meth:`to_dict` wrote."""
        known = dict(data)
        known["arms"] = tuple(PlannedArm(**arm) for arm in data["arms"])
        for name in ("seeds", "notes"):
            known[name] = tuple(data[name])
        return cls(**known)

    def key(self, trials: Sequence[AnyTrial]) -> str:
        """A digest of what is compared and how it is judged; the same command has the same."""
        parts: list[Any] = [self.name, self.metric, self.higher, self.at, self.interval]
        parts += [(trial.arm, trial.key) for trial in trials]
        parts += [(arm.arm, arm.effort, arm.rates_from) for arm in self.arms]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
