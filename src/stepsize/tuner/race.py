"""Arms trained rung by rung within a budget, and every loss that was seen on the way."""

from __future__ import annotations

import math
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
        self._readings: dict[Entry, list[Reading]] = {}
        self._stages: dict[Entry, str] = {}
        self._spent: dict[Entry, int] = {}
        self._stands: dict[Entry, int] = {}  # updates that are not to be made again
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
        self._need(entry, updates - self._stands[entry])
        self.trainer.branch(entry, onto)
        self._stands[onto] = self._stands[entry]
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
        self._stands.pop(entry, None)

    def arms(self, kept: frozenset[int]) -> tuple[RaceArm, ...]:
        """The arms for the record; ``kept`` are those that were in until the end."""
        levels: set[Schedule] = {self.trunk(self.scale.lr(step)) for step in kept}
        return tuple(
            RaceArm(
                schedule=str(entry.schedule),
                lr=entry.lr,
                stage=self._stages[entry],
                fate=self._fate(entry, readings, levels),
                readings=tuple(readings),
                updates=self._spent[entry],
                optimizer=OPTIMIZER_NAMES.get(entry.optimizer, ""),
                seed=entry.seed,
            )
            for entry, readings in self._readings.items()
        )

    def trunk(self, lr: float) -> WarmupStableDecay:
        """The schedule that is raced, at a peak."""
        return trunk(lr, self.plan.updates, self.plan.warmup_steps)

    def _trunk(self, step: int) -> Entry:
        lr = self.scale.lr(step)
        return Entry(self.trunk(lr), lr, "", self.seed)

    def _fate(self, entry: Entry, readings: list[Reading], levels: set[Schedule]) -> str:
        if not math.isfinite(readings[-1].val_loss):
            return "diverged"
        return (
            "slower" if self._stages[entry] == "race" and entry.schedule not in levels else "kept"
        )

    def _advance(self, entry: Entry, updates: int, stage: str) -> Reading:
        readings = self._readings.get(entry, [])
        if readings and not math.isfinite(readings[-1].val_loss):
            return readings[-1]  # it is over
        self._need(entry, updates - self._stands.get(entry, 0))
        before = self.trainer.spent
        reading = self.trainer.advance(entry, updates)
        self._stands[entry] = reading.updates
        self._readings.setdefault(entry, []).append(reading)
        self._stages.setdefault(entry, stage)
        self._spent[entry] = self._spent.get(entry, 0) + self.trainer.spent - before
        if self._on_reading is not None:
            self._on_reading(entry, reading)
        return reading

    def _need(self, entry: Entry, updates: int) -> None:
        updates += AVERAGING_UPDATES if entry.optimizer == "schedule_free" else 0
        if self.cost + updates + self.trainer.evaluation_updates > self.limit + 1e-6:
            raise BudgetSpent
