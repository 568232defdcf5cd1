"""Arms trained rung by rung within a budget, and every loss that was seen on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import final

from stepsize.records import RaceArm, Reading
from stepsize.schedules import Schedule, WarmupStableDecay
from stepsize.tuner.entries import cooled, trunk
from stepsize.tuner.options import OPTIMIZER_NAMES, OnReading
from stepsize.tuner.parts import Part
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
    """Trains arms when their losses are asked for, several at once, and keeps the accounts.

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
        self._losses: dict[Part, float] = {}
        self.limit = plan.most
        self.seen = Seen(math.nan, plan.updates, plan.rungs)

    def begin(self) -> None:
        """Measure the loss before any update."""
        self.seen.start = self.trainer.start_loss(self.seed)

    @property
    def cost(self) -> float:
        """Everything so far, in updates."""
        return self._cost(self.trainer.spent, self.trainer.evaluations)

    def loss(self, step: int, rung: int) -> float:
        """The validation loss of an arm at a rung; it is trained if it was not yet.

        Raises:
            BudgetSpent: that would cost more than is left.
        """
        return self.losses([step], rung)[step]

    def losses(self, steps: Iterable[int], rung: int) -> dict[int, float]:
        """The validation losses of several arms at a rung.

        Raises:
            BudgetSpent: they would cost more than is left.
        """
        parts = {step: self.level(step, rung) for step in steps}
        self.train(list(parts.values()))
        return {step: self._losses[part] for step, part in parts.items()}

    def decayed(self, step: int, rung: int) -> float:
        """The validation loss of an arm after a cool-down from a rung it has just reached.

        Raises:
            BudgetSpent: that would cost more than is left.
        """
        part = self.cool_down(step, rung)
        self.train([self.level(step, rung), part])
        return self._losses[part]

    def level(self, step: int, rung: int) -> Part:
        """The part that brings an arm to a rung."""
        return Part(self._trunk(step), self.plan.rungs[rung], "race", place=(step, rung))

    def cool_down(self, step: int, rung: int) -> Part:
        """The part that cools an arm down from the rung that it has just reached."""
        done, length = self.plan.rungs[rung], self.plan.cool_down(rung)
        lr = self.scale.lr(step)
        onto = Entry(cooled(self.trunk(lr), done, length), lr, "", self.seed)
        return Part(onto, done + length, "cool_down", self._trunk(step), (step, rung))

    def known(self, part: Part) -> float | None:
        """The validation loss after a part; None if it was not made. No cost."""
        return self._losses.get(part)

    def train(self, parts: Sequence[Part]) -> None:
        """Make parts that were not made yet, in this order or several at once.

        What is made and what it costs does not depend on how many the trainer makes at once: a part
        is begun early only if all before it and it itself can be paid, whatever comes of them. One
        that begins from an arm that has diverged is not made, and is infinite too.

        Raises:
            BudgetSpent: the next one would cost more than is left.
        """
        for part in parts:
            self._arms.setdefault(part.entry, _Arm(part.stage))
        left = list(parts)
        while left := [part for part in left if part not in self._losses]:
            if self._ended(left[0]):
                self._keep(left[0], math.inf)
            elif asked := self._affordable(left):
                self._make(asked)
            else:
                raise BudgetSpent

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

    def _affordable(self, parts: Sequence[Part]) -> list[Part]:
        """Those that can be begun now: all before them are paid for, and what they need is there.

        A part costs at most what it costs if nothing diverges.
        """
        spent, evaluations = self.trainer.spent, self.trainer.evaluations
        awaited: dict[Entry, int] = {}  # arms in parts to come, with their updates by then
        asked: list[Part] = []
        for part in parts:
            if self._ended(part):
                continue
            begun = awaited.get(part.origin, self._arms[part.origin].stands)
            needed = part.updates - begun
            needed += AVERAGING_UPDATES if part.entry.optimizer == "schedule_free" else 0
            most = self._cost(spent, evaluations) + needed + self.trainer.evaluation_updates
            if most > self.limit + 1e-6:
                break
            if part.origin not in awaited:
                asked.append(part)
            if self.trainer.at_once == 1:
                break
            awaited[part.entry] = part.updates
            spent, evaluations = spent + needed, evaluations + 1
        return asked

    def _make(self, parts: Sequence[Part]) -> None:
        """Have the trainer make parts at once, and take note of each as it comes."""
        for part in parts:
            if part.fork_of is not None:
                self.trainer.branch(part.fork_of, part.entry)
        requests = [(part.entry, part.updates) for part in parts]
        for place, reading, spent in self.trainer.advance_all(requests):
            self._read(parts[place], reading, spent)

    def _read(self, part: Part, reading: Reading, spent: int) -> None:
        arm = self._arms[part.entry]
        arm.stands = reading.updates
        arm.readings.append(reading)
        arm.updates += spent
        if self._on_reading is not None:
            self._on_reading(part.entry, reading)
        self._keep(part, reading.val_loss)
        if part.fork_of is not None:
            self._drop(part.entry)

    def _keep(self, part: Part, loss: float) -> None:
        """Remember the loss after a part, and where it is looked for."""
        self._losses[part] = loss
        if part.place is None:
            return
        if part.fork_of is not None:
            self.seen.after_decay[part.place] = loss
        else:
            self.seen.level[part.place] = loss
            self.seen.train[part.place] = self._arms[part.entry].readings[-1]

    def _ended(self, part: Part) -> bool:
        """Whether it cannot be made, because what it needs has diverged."""
        return self._arms[part.origin].over

    def _cost(self, spent: int, evaluations: int) -> float:
        return spent + evaluations * self.trainer.evaluation_updates
