"""Arms trained rung by rung within a budget, and every loss that was seen on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from stepsize.records import RaceArm, Reading
from stepsize.schedules import Schedule, WarmupStableDecay
from stepsize.tuner.entries import cooled, trunk
from stepsize.tuner.options import OPTIMIZER_NAMES, OnReading
from stepsize.tuner.plan import RacePlan
from stepsize.tuner.rates import RateScale
from stepsize.tuner.seen import Seen
from stepsize.tuner.trainer import ArmTrainer, Entry

#: What an evaluation of averaged weights may cost beside: up to 50 forward passes for batch norm.
AVERAGING_UPDATES = 17


@dataclass
class _Arm:
    """What is known of an entry: why it is trained, its readings, and its accounts.

    ``updates`` were spent on it; ``stands`` of them are not to be made again.
    """

    stage: str
    readings: list[Reading] = field(default_factory=list)
    updates: int = 0
    stands: int = 0

    @property
    def over(self) -> bool:
        """Whether it has diverged."""
        return bool(self.readings) and not math.isfinite(self.readings[-1].val_loss)


class BudgetSpent(Exception):
    """The next part of the race would cost more than is left."""


@final
class Race:
    """Trains arms when their losses are asked for, and keeps the accounts.

    Args:
        trainer: trains.
        plan: the rungs and the budget.
        scale: the rates.
        seed: of every arm.
        on_reading: called with every reading.
    """

    def __init__(
        self,
        trainer: ArmTrainer,
        plan: RacePlan,
        scale: RateScale,
        seed: int = 0,
        on_reading: OnReading | None = None,
    ) -> None:
        self.trainer, self.plan, self.scale, self.seed = trainer, plan, scale, seed
        self._on_reading = on_reading
        self._arms: dict[Entry, _Arm] = {}
        self.limit = plan.most
        self.seen = Seen(math.nan, plan.updates, plan.rungs)

    def begin(self) -> None:
        """Measure the loss before any update."""
        self.seen.start = self.trainer.start_loss(self.seed)

    @property
    def cost(self) -> float:
        """Everything so far, in updates."""
        return self.trainer.spent + self.trainer.evaluations * self.trainer.evaluation_updates

    def loss(self, step: int, rung: int) -> float:
        """The validation loss of an arm at a rung; it is trained if it was not yet.

        Raises:
            BudgetSpent: that would cost more than is left.
        """
        if (step, rung) not in self.seen.level:
            entry = self._trunk(step)
            reading = self._advance(entry, self.plan.rungs[rung], "race")
            self.seen.level[step, rung] = reading.val_loss
            self.seen.train[step, rung] = reading
        return self.seen.level[step, rung]

    def decayed(self, step: int, rung: int) -> float:
        """The validation loss of an arm after a cool-down from a rung it has just reached.

        Raises:
            BudgetSpent: that would cost more than is left.
        """
        if (step, rung) in self.seen.after_decay:
            return self.seen.after_decay[step, rung]
        if not math.isfinite(self.loss(step, rung)):
            self.seen.after_decay[step, rung] = math.inf
            return math.inf
        done, length = self.plan.rungs[rung], self.plan.cool_down(rung)
        lr = self.scale.lr(step)
        onto = Entry(cooled(self.trunk(lr), done, length), lr, "", self.seed)
        loss = self.fork(self._trunk(step), onto, done + length, "cool_down")
        self.seen.after_decay[step, rung] = loss
        return loss

    def fork(self, entry: Entry, onto: Entry, updates: int, stage: str) -> float:
        """The loss of ``onto``, which begins where ``entry`` stands, after ``updates``."""
        begun = self._arms[entry].stands
        self._need(entry, updates - begun)
        self.trainer.branch(entry, onto)
        self._arms[onto] = _Arm(stage, stands=begun)
        reading = self._advance(onto, updates, stage)
        self._drop(onto)
        return reading.val_loss

    def other(self, entry: Entry, updates: int, stage: str) -> float:
        """The loss of any other entry after ``updates``.

        Raises:
            BudgetSpent: that would cost more than is left.
        """
        return self._advance(entry, updates, stage).val_loss

    def drop(self, step: int) -> None:
        """Forget the state of an arm that is out."""
        self._drop(self._trunk(step))

    def _drop(self, entry: Entry) -> None:
        self.trainer.drop(entry)
        if entry in self._arms:
            self._arms[entry].stands = 0

    def arms(self, kept: frozenset[int]) -> tuple[RaceArm, ...]:
        """The arms for the record; ``kept`` are those that were in until the end."""
        levels: set[Schedule] = {self.trunk(self.scale.lr(step)) for step in kept}
        return tuple(
            RaceArm(
                schedule=str(entry.schedule),
                lr=entry.lr,
                stage=arm.stage,
                fate=self._fate(entry, arm, levels),
                readings=tuple(arm.readings),
                updates=arm.updates,
                optimizer=OPTIMIZER_NAMES.get(entry.optimizer, ""),
                seed=entry.seed,
            )
            for entry, arm in self._arms.items()
            if arm.readings
        )

    def trunk(self, lr: float) -> WarmupStableDecay:
        """The schedule that is raced, at a peak."""
        return trunk(lr, self.plan.updates, self.plan.warmup_steps)

    def _trunk(self, step: int) -> Entry:
        lr = self.scale.lr(step)
        return Entry(self.trunk(lr), lr, "", self.seed)

    def _fate(self, entry: Entry, arm: _Arm, levels: set[Schedule]) -> str:
        if arm.over:
            return "diverged"
        return "slower" if arm.stage == "race" and entry.schedule not in levels else "kept"

    def _advance(self, entry: Entry, updates: int, stage: str) -> Reading:
        arm = self._arms.setdefault(entry, _Arm(stage))
        if arm.over:
            return arm.readings[-1]
        self._need(entry, updates - arm.stands)
        before = self.trainer.spent
        reading = self.trainer.advance(entry, updates)
        arm.stands = reading.updates
        arm.readings.append(reading)
        arm.updates += self.trainer.spent - before
        if self._on_reading is not None:
            self._on_reading(entry, reading)
        return reading

    def _need(self, entry: Entry, updates: int) -> None:
        updates += AVERAGING_UPDATES if entry.optimizer == "schedule_free" else 0
        if self.cost + updates + self.trainer.evaluation_updates > self.limit + 1e-6:
            raise BudgetSpent
