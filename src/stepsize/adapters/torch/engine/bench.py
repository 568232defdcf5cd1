"""``Bench``: a task made to be timed, serially and as copies of one batched model."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch

from stepsize.adapters.torch.arms.validation import FirstBatches
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.fused import Stack, Stream, evaluated, most_copies, why_not
from stepsize.adapters.torch.fused.alike import why_not_alike
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.setting import other_device
from stepsize.adapters.torch.threads import computing_with
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials import evaluate
from stepsize.adapters.torch.update import Recipe, Update
from stepsize.engines.auto import SHORT_SECONDS, Beat, Work
from stepsize.tasks import LoadedTask, Task

#: Each thing is timed for about so long, if the work takes long enough.
SECONDS = 0.3
#: So many times at most.
MOST = 50
#: So many things are timed, updates and evaluations.
THINGS = 8
#: Serial updates are timed at a rate at which nothing changes.
RATE = 1e-6
#: Copies are timed at rates up to this, which tell them apart; at most the task's own.
RATE_OF_COPIES = 1e-3
#: Tasks are made for so many seeds; what more would take is worked out.
SEEDS = 4


@final
class Bench:
    """A task whose updates and evaluations are timed, with the batches that it gives.

    Args:
        loaded: the task.
        recipe: how an update is made.
        work: what it is to be timed for.
        seed: the first one of the work.

    Raises:
        TaskError: the task cannot be made.
    """

    def __init__(self, loaded: LoadedTask, recipe: Recipe, work: Work, seed: int) -> None:
        self.loaded, self.recipe, self.work, self.seed = loaded, recipe, work, seed
        self._sources: list[Batches] = []
        self.task, self.stream = self._made(seed)
        self._streams = [self.stream]
        model, optimizer = self.stream.model, self.stream.optimizer
        self._update = Update(model, optimizer, self.stream.loss, self._sources[0], recipe)
        own = max(float(group["lr"]) for group in optimizer.param_groups)
        self._rate = min(own, RATE_OF_COPIES) or RATE_OF_COPIES
        self._end, self._each = math.inf, SECONDS
        self._serial = Beat(0.0)
        self._layout = 1, 1

    def close(self) -> None:
        """Let go of the loaders' iterators, and of their worker processes."""
        for source in self._sources:
            source.close()

    def glance(self) -> Beat:
        """One training, from two updates, and from an evaluation where those do not tell.

        Nothing is left behind.
        """
        with self._alone():
            update = min(_once(self._updated) for _ in range(2))
            short = self.work.trainings * self.work.updates * update < SHORT_SECONDS
            evaluation = _once(self._evaluate) if short and self.work.evaluations else 0.0
        self._serial = Beat(update, evaluation)
        return self._serial

    def allow(self, seconds: float) -> None:
        """Let measuring take about so long in all, from now on."""
        self._end = time.perf_counter() + seconds
        self._each = min(SECONDS, seconds / THINGS)

    def why_not_fused(self) -> str:
        """The reason why the work cannot be fused; empty if it can. Before anything is timed."""
        if reason := why_not(self.stream, self.recipe):
            return reason
        for each in range(1, min(self.work.seeds, SEEDS)):
            _, other = self._made(self.seed + each)
            reason = why_not_alike(self.stream, other, self.recipe)
            if reason:  # each seed has a batched model of its own
                self._streams = [self.stream]
                return reason if self.work.at_once // self.work.seeds < 2 else ""
            self._streams.append(other)
        return ""

    def copies(self) -> int:
        """How many copies of those that can be trained at the same time fit into the memory."""
        seeds = self.work.seeds if len(self._streams) > 1 else 1
        return min(self.work.at_once, most_copies(self.stream, self.recipe, seeds))

    def serial(self, threads: int | None = None) -> Beat:
        """One training, as it is, or with so many threads; nothing is left behind."""
        with computing_with(threads or torch.get_num_threads()), self._alone():
            evaluation = self._serial.evaluation  # known by now, if it takes long
            if self.work.evaluations and evaluation < self._left():
                evaluation = self._seconds(self._evaluate)
            beat = Beat(self._seconds(self._updated), evaluation)
        if threads is None:
            self._serial = beat
        return beat

    def fused(self, copies: int) -> Beat:
        """The share of one copy in what all copies take; after :meth:`serial`."""
        self._layout = copies, seeds = self._several(copies)
        stack = self._stack(copies, min(seeds, SEEDS))
        update = self._of_stack(stack)
        evaluation = self._of_copies(stack, copies // seeds)
        del stack
        return Beat((update + self._of_further(copies, seeds)) / copies, evaluation)

    def compiled(self, fused: Beat) -> Beat:
        """The same of compiled updates, after :meth:`fused` has given the other ones."""
        copies, seeds = self._layout
        update = self._of_stack(self._stack(copies, min(seeds, SEEDS), compiled=True))
        return fused._replace(update=(update + self._of_further(copies, seeds)) / copies)

    def _several(self, copies: int) -> tuple[int, int]:
        """How many copies of how many seeds are one batched model; fewer, if that takes long."""
        quick = self._left() / THINGS / max(self._serial.update, 1e-9)
        copies = int(min(copies, max(2.0, quick)))
        if len(self._streams) == 1:
            return max(1, copies // self.work.seeds), 1
        return copies, min(copies, self.work.seeds)

    def _of_further(self, copies: int, seeds: int) -> float:
        """Seconds that an update takes for the seeds for which no task was made."""
        if seeds <= SEEDS:
            return 0.0
        all_made, half = (self._of_stack(self._stack(copies, n)) for n in (SEEDS, SEEDS // 2))
        return max(0.0, all_made - half) / (SEEDS - SEEDS // 2) * (seeds - SEEDS)

    def _made(self, seed: int) -> tuple[Task, Stream]:
        task = made_task(self.loaded, seed, "measured")
        task.model.train()
        source = Batches(task.train, other_device(task.model))
        self._sources.append(source)
        return task, Stream(task.model, task.optimizer, task.loss, source.next, task.train)

    def _stack(self, copies: int, seeds: int, *, compiled: bool = False) -> Stack:
        """A stack that has made the updates that take longer than others."""
        places = [copy % seeds for copy in range(copies)]
        stack = Stack(self._streams[:seeds], places, self.recipe, compiled=compiled)
        for _ in range(2 if compiled else 1):
            self._update_all(stack)
        return stack

    def _of_stack(self, stack: Stack) -> float:
        """Seconds of an update of all copies."""
        return self._seconds(lambda: self._update_all(stack))

    def _of_copies(self, stack: Stack, copies: int) -> float:
        """Seconds of an evaluation of each of so many copies of the first seed."""
        alone = self._serial.evaluation
        if not self.work.evaluations or copies < 2 or 5.0 * alone > self._left():
            return alone

        def evaluate_first(count: int) -> None:
            places = range(0, len(stack), len(stack.streams))[:count]
            evaluated(stack, self.task, self._held_out(), self.recipe, "val_", places)

        evaluate_first(2)  # which of two ways is taken is found out
        share = _once(lambda: evaluate_first(2)) / 2
        if copies > 2 and copies * share < self._left():
            share = self._seconds(lambda: evaluate_first(copies)) / copies
        return share

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A block in which the task is trained; nothing is left behind."""
        stream = self.stream
        with Transaction(stream.model, stream.optimizer, stream.loss, loader=stream.loader):
            GroupRates(stream.optimizer).set(RATE)
            try:
                yield
            finally:
                self._sources[0].close()

    def _updated(self) -> object:
        return self._update().item()

    def _update_all(self, stack: Stack) -> object:
        count = len(stack)
        return stack.update([self._rate * (copy + count) / (2 * count) for copy in range(count)])

    def _evaluate(self) -> object:
        return evaluate(self.task, self._held_out(), self.recipe, "val_")

    def _held_out(self) -> Iterable[Any]:
        assert self.task.val is not None  # there are evaluations
        count = self.work.evaluation_batches
        return self.task.val if count is None else FirstBatches(self.task.val, count)

    def _left(self) -> float:
        return self._end - time.perf_counter()

    def _seconds(self, run: Callable[[], object]) -> float:
        """The median of some runs, after one that warms up; of that one if it has taken long."""
        first = _once(run)
        if first > self._left():
            return first
        times: list[float] = []
        while not times or (sum(times) < self._each and len(times) < MOST):
            times.append(_once(run))
        return statistics.median(times)


def _once(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
