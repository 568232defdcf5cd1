"""How long a few updates take, on each engine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import final

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.fused import Stack, Stream, evaluated, most_copies, why_not
from stepsize.adapters.torch.made_task import made_task
from stepsize.adapters.torch.memento import Memento
from stepsize.adapters.torch.setting import other_device, peek
from stepsize.adapters.torch.trials import evaluate
from stepsize.adapters.torch.update import Recipe, Update
from stepsize.engines.auto import Beat, Pace, Work, is_short, worth_compiling
from stepsize.engines.machine import usable_cores
from stepsize.errors import InputError
from stepsize.tasks import LoadedTask
from stepsize.tasks.sending import definition_of

#: Each thing is timed for about so long, and a few times at least.
SECONDS = 0.3
LEAST, MOST = 3, 50
#: Batches that are drawn once and used over and over.
BATCHES = 4


def pace_of(
    loaded: LoadedTask, recipe: Recipe, work: Work, seed: int = 0, *, fused: bool = False
) -> Pace:
    """Measure what is worth measuring for ``work``, on a task made for it alone.

    Short work is measured serially and no other way, unless ``fused`` says that this is wanted all
    the same; compiling is tried where it may pay.

    Raises:
        TaskError: the task cannot be made.
        Exception: whatever its code raises.
    """
    back = random_state.remember()
    scaler = Memento()
    scaler.add(recipe.scaler)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            bench = _Bench(loaded, recipe, work, seed)
            serial = bench.serial(0.0)
            if fused or not is_short(work, serial):
                serial = bench.serial()
            pace = Pace(serial, serial, cores=usable_cores())
            return bench.measured(pace) if fused or not is_short(work, serial) else pace
    finally:
        scaler.restore()
        back()


@final
class _Bench:
    """A task whose updates are timed."""

    def __init__(self, loaded: LoadedTask, recipe: Recipe, work: Work, seed: int) -> None:
        self.loaded, self.recipe, self.work = loaded, recipe, work
        self.task = made_task(loaded, seed, "measured")
        self.task.model.train()
        device = other_device(self.task.model)
        source = Batches(peek(self.task.train, BATCHES * recipe.accumulate), device)
        self.stream = Stream(self.task.model, self.task.optimizer, self.task.loss, source.next)
        self.update = Update(self.task.model, self.task.optimizer, self.task.loss, source, recipe)

    def serial(self, seconds: float = SECONDS) -> Beat:
        """One training, as it is; timed for so long."""
        update = _seconds(lambda: self.update().item(), seconds)
        return Beat(update, self._evaluation(self._evaluate, seconds))

    def single(self) -> Beat:
        """One training with one thread."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self.serial()
        finally:
            torch.set_num_threads(threads)

    def measured(self, pace: Pace) -> Pace:
        """The other engines."""
        why: dict[str, str] = {}
        try:
            definition_of(self.loaded)
        except InputError as error:
            why["processes"] = str(error)
        if torch.get_num_threads() > 1 and "processes" not in why:
            pace = replace(pace, single=self.single())
        if reason := why_not(self.stream, self.recipe):
            return replace(pace, why_not={**why, "fused": reason})
        copies = min(self.work.at_once, most_copies(self.stream, self.recipe))
        pace = replace(pace, fused=self.fused(copies), copies=copies, why_not=why)
        if worth_compiling(self.work, pace):
            pace = replace(pace, compiled=self.fused(copies, compiled=True))
        return pace

    def fused(self, copies: int, *, compiled: bool = False) -> Beat:
        """The share of one copy in what all copies take."""
        stack = Stack([self.stream], [0] * copies, self.recipe, compiled=compiled)
        rates = [1e-6] * copies
        update = _seconds(lambda: stack.update(rates).tolist())
        evaluation = self._evaluation(lambda: self._evaluate_all(stack))
        return Beat(update / copies, evaluation / copies)

    def _evaluation(self, evaluation: Callable[[], object], seconds: float = SECONDS) -> float:
        return _seconds(evaluation, seconds) if self.work.evaluations else 0.0

    def _evaluate(self) -> object:
        assert self.task.val is not None
        return evaluate(self.task, self.task.val, self.recipe, "val_")

    def _evaluate_all(self, stack: Stack) -> object:
        assert self.task.val is not None
        return evaluated(stack, self.task, self.task.val, self.recipe, "val_")


def _seconds(run: Callable[[], object], seconds: float = SECONDS) -> float:
    """The median of some runs, after one that warms up."""
    run()
    times: list[float] = []
    while len(times) < LEAST or (sum(times) < seconds and len(times) < MOST):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
