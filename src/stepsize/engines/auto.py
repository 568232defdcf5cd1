"""Which engine is the quickest, as far as a few measured updates tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, final

from stepsize.engines.choice import EngineChoice

#: What takes less than so many seconds one after the other is not worth a look at anything else.
SHORT_SECONDS = 4.0
#: Starting a worker process: Python, PyTorch, the task.
START_SECONDS = 6.0
#: Two processes on two cores get in each other's way a little: caches, memory.
SHARED = 1.05
#: Measuring may take this part of what the work itself would take, one after the other.
MEASURING = 0.05
#: Compiling takes about so long, and has to be worth it twenty times over before it is tried.
COMPILE_SECONDS = 15.0
#: An engine whose numbers are not those of a serial run to the last bit must be quicker by this.
CLEARLY = 0.95


@final
@dataclass(frozen=True, slots=True)
class Work:
    """What is to be trained.

    Attributes:
        trainings: how many, all of one task.
        updates: of each.
        at_once: how many of them can be trained at the same time; at most ``trainings``.
        evaluations: of each.
        evaluation_batches: of each evaluation, the first so many; None for all.
        seeds: of those that can be trained at the same time, how many different ones.
        alone: the part of the work beside which there is nothing else to do.
    """

    trainings: int
    updates: int
    at_once: int
    evaluations: int = 0
    evaluation_batches: int | None = None
    seeds: int = 1
    alone: float = 0.0


class Beat(NamedTuple):
    """How long the parts of one training take, in seconds; infinite where it cannot be.

    Attributes:
        update: an optimizer update.
        evaluation: an evaluation.
    """

    update: float
    evaluation: float = 0.0

    def training(self, work: Work) -> float:
        """Seconds of one training."""
        return work.updates * self.update + work.evaluations * self.evaluation


#: What cannot be used, or was not measured.
NEVER = Beat(math.inf, math.inf)


@final
@dataclass(frozen=True, slots=True)
class Pace:
    """How long a training takes on each engine, from a few measured updates.

    Attributes:
        serial: as it is.
        apart: with the threads that a worker process has.
        fused: with its copies, each one's share.
        compiled: the same when it is compiled.
        workers: processes that cores and memory are enough for.
        copies: that fit into the memory at once.
        why_not: why engines cannot be used, by their names.
    """

    serial: Beat
    apart: Beat
    fused: Beat = NEVER
    compiled: Beat = NEVER
    workers: int = 1
    copies: int = 1
    why_not: Mapping[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """The engine, and why.

    Attributes:
        engine: which.
        reason: in words.
        compiled: of ``fused``: whether its updates are compiled.
        copies: of ``fused``: so many at a time.
        seconds: what each engine was expected to take, by its name.
    """

    engine: EngineChoice
    reason: str
    compiled: bool = False
    copies: int = 1
    seconds: Mapping[str, float] = field(default_factory=dict)


def is_short(work: Work, serial: Beat) -> bool:
    """Whether the work is done before another engine would have been looked at."""
    return work.at_once < 2 or work.trainings * serial.training(work) < SHORT_SECONDS


def worth_compiling(work: Work, pace: Pace) -> bool:
    """Whether compiling may pay: long work, of updates that are not bound by arithmetic.

    Fusing wins where most of the time goes into calling small operations. Where it does not win
    uncompiled, arithmetic fills the processor already, and a compiler does not change that much.
    """
    rest = min(expected(work, pace).values())
    return rest > 20.0 * COMPILE_SECONDS and pace.fused.update < pace.apart.update


def expected(work: Work, pace: Pace) -> dict[str, float]:
    """Seconds that each engine will take.

    >>> seconds = expected(Work(16, 1000, 16), Pace(Beat(0.01), Beat(0.01), workers=2))
    >>> {name: round(value) for name, value in seconds.items()}
    {'serial': 160, 'processes': 90}
    """

    def all_of(alone: float, together: float) -> float:
        """All trainings: what is made with others, and what is not."""
        return work.alone * work.trainings * alone + (1.0 - work.alone) * together

    serial = pace.serial.training(work)
    seconds = {"serial": work.trainings * serial}
    workers = workers_for(work, pace)
    if workers > 1 and "processes" not in pace.why_not:
        apart = pace.apart.training(work) * SHARED
        rounds = math.ceil(work.trainings / workers)
        seconds["processes"] = START_SECONDS + all_of(apart, rounds * apart)
    starts = {"fused": 0.0, "compiled": COMPILE_SECONDS * math.ceil(work.trainings / pace.copies)}
    for name, beat in (("fused", pace.fused), ("compiled", pace.compiled)):
        if math.isfinite(beat.update):
            together = work.trainings * beat.training(work)
            seconds[name] = starts[name] + all_of(serial, together)
    return seconds


def workers_for(work: Work, pace: Pace) -> int:
    """How many worker processes the work would have.

    >>> workers_for(Work(16, 1000, 3), Pace(Beat(0.01), Beat(0.01), workers=8))
    3
    """
    return min(pace.workers, work.at_once)


def decide(work: Work, pace: Pace) -> Decision:
    """The quickest engine; of those about as quick the one with the serial numbers.

    >>> decide(Work(16, 1000, 16), Pace(Beat(0.01), Beat(0.01), workers=2)).engine
    EngineChoice(name='processes', workers=2, address='')
    """
    seconds = expected(work, pace)
    if is_short(work, pace.serial):
        alone = "one training" if work.at_once < 2 else f"about {seconds['serial']:.1f} s in all"
        return Decision(EngineChoice("serial"), alone, seconds={"serial": seconds["serial"]})

    def cost(name: str) -> float:
        exact = name in ("serial", "processes")
        return seconds[name] if exact else seconds[name] / CLEARLY

    best = min(seconds, key=cost)
    told = ", ".join(f"{name} {seconds[name]:.0f} s" for name in seconds)
    engine = EngineChoice("fused" if best == "compiled" else best)
    if best == "processes":
        engine = EngineChoice("processes", workers=workers_for(work, pace))
    return Decision(engine, f"expected: {told}", best == "compiled", pace.copies, seconds)
