"""What a race leaves: every arm, and its losses at every rung it reached."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stepsize.errors import require

#: What became of an arm. ``kept``: still in when the race ended. ``slower``: left behind at a rung.
#: ``diverged``: its loss was not finite.
FATES = ("kept", "slower", "diverged")
#: Why an arm was trained: to find the rate, to see what an arm is worth once its rate has decayed,
#: to compare another schedule, or another optimizer.
STAGES = ("race", "cool_down", "schedule", "optimizer")


@final
@dataclass(frozen=True, slots=True)
class Reading:
    """The losses of an arm at a rung.

    Attributes:
        updates: updates that the arm had made.
        val_loss: the validation loss; infinite when it was not finite.
        train_loss: the mean training loss of the updates before.
        train_error: its standard error.
    """

    updates: int
    val_loss: float
    train_loss: float
    train_error: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The reading as JSON data; a loss that is not finite is ``None``."""
        return {
            "updates": self.updates,
            "val_loss": self.val_loss if math.isfinite(self.val_loss) else None,
            "train_loss": self.train_loss if math.isfinite(self.train_loss) else None,
            "train_error": self.train_error if math.isfinite(self.train_error) else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reading:
        """The reading that :meth:`to_dict` wrote."""
        losses = (
            math.inf if data[name] is None else float(data[name])
            for name in ("val_loss", "train_loss", "train_error")
        )
        return cls(int(data["updates"]), *losses)


@final
@dataclass(frozen=True, slots=True)
class RaceArm:
    """One arm of a race.

    Attributes:
        schedule: the text form of what it was trained under.
        lr: the peak of that schedule.
        stage: one of :data:`STAGES`.
        fate: one of :data:`FATES`.
        readings: its losses, rung by rung.
        updates: optimizer updates spent on it.
        optimizer: another optimizer than the task's own, such as ``"AdamW"``; empty for its own.
        seed: what it was trained from.

    Raises:
        InputError: an unknown stage or fate.
    """

    schedule: str
    lr: float
    stage: str = "race"
    fate: str = "kept"
    readings: tuple[Reading, ...] = ()
    updates: int = 0
    optimizer: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            self.stage in STAGES,
            f"An arm's stage is one of {', '.join(STAGES)}; got {self.stage!r}.",
        )
        require(
            self.fate in FATES,
            f"An arm's fate is one of {', '.join(FATES)}; got {self.fate!r}.",
        )

    def to_dict(self) -> dict[str, Any]:
        """The arm as JSON data."""
        return {
            "schedule": self.schedule,
            "lr": self.lr,
            "stage": self.stage,
            "fate": self.fate,
            "readings": [reading.to_dict() for reading in self.readings],
            "updates": self.updates,
            "optimizer": self.optimizer,
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RaceArm:
        """The arm that :meth:`to_dict` wrote."""
        readings = tuple(Reading.from_dict(reading) for reading in data["readings"])
        return cls(**{**data, "readings": readings})
