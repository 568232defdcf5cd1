"""How long a few updates take, on each engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.engine.bench import Bench
from stepsize.adapters.torch.fused.memory import FILLED, available
from stepsize.adapters.torch.memento import Memento
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.engines.auto import (
    MEASURING,
    Pace,
    Work,
    expected,
    is_short,
    workers_for,
    worth_compiling,
)
from stepsize.engines.machine import resident_bytes, sizes, usable_cores
from stepsize.errors import InputError
from stepsize.tasks import LoadedTask
from stepsize.tasks.sending import definition_of


def pace_of(
    loaded: LoadedTask,
    recipe: Recipe,
    work: Work,
    seed: int = 0,
    *,
    fused: bool = False,
    sendable: Callable[[], object] | None = None,
) -> Pace:
    """Measure what is worth measuring for ``work``, on a task made for it alone.

    A glance tells whether the work is short. Then nothing else is looked at, unless ``fused`` says
    that this is wanted all the same: then only whether it can be. Measuring takes about
    :data:`~stepsize.engines.auto.MEASURING` of what the work takes serially, at most; compiling is
    tried where it may pay.

    Args:
        loaded, recipe: what is trained, and how.
        work: how much of it.
        seed: the first one of the work.
        fused: what cannot be fused has to be known.
        sendable: raises InputError where what worker processes need cannot be sent to them; by
            default the task itself is tried.

    Raises:
        TaskError: the task cannot be made.
        Exception: whatever its code raises.
    """
    back = random_state.remember()
    scaler = Memento()
    scaler.add(recipe.scaler)
    try:
        with (
            torch.inference_mode(mode=False),
            torch.enable_grad(),
            closing(Bench(loaded, recipe, work, seed)) as bench,
        ):
            serial = bench.glance()
            pace = Pace(serial, serial)
            short = is_short(work, serial)
            if short and not fused:
                return pace
            bench.allow(MEASURING * expected(work, pace)["serial"])
            reason = bench.why_not_fused()
            pace = replace(pace, why_not={"fused": reason} if reason else {})
            if not reason:
                pace = replace(pace, copies=bench.copies())
            return pace if short else _measured(bench, pace, sendable)
    finally:
        scaler.restore()
        back()


def _measured(bench: Bench, pace: Pace, sendable: Callable[[], object] | None) -> Pace:
    """The pace of each engine that can be used."""
    serial = bench.serial()
    pace = replace(pace, serial=serial, apart=serial)
    workers, reason = _workers(bench, sendable or (lambda: definition_of(bench.loaded)))
    if reason:
        pace = replace(pace, why_not={**pace.why_not, "processes": reason})
    else:
        pace = replace(pace, workers=workers)
        threads = sizes(workers_for(bench.work, pace)).threads
        if threads != torch.get_num_threads():
            pace = replace(pace, apart=bench.serial(threads))
    if "fused" not in pace.why_not:
        pace = replace(pace, fused=bench.fused(pace.copies))
        if worth_compiling(bench.work, pace):
            pace = replace(pace, compiled=bench.compiled(pace.fused))
    return pace


def _workers(bench: Bench, sendable: Callable[[], object]) -> tuple[int, str]:
    """How many worker processes there may be, or why there can be none."""
    device = device_of(bench.task.model)
    if device.type != "cpu":
        return 1, f"all of them would share {device}"
    try:
        sendable()
    except InputError as error:
        return 1, str(error)
    cores, size = usable_cores(), resident_bytes()
    room = FILLED * available(torch.device("cpu"))
    workers = cores if size == 0 or room >= cores * size else int(room // size)
    if workers < min(2, cores):
        return 1, "the memory is not enough for two of them"
    return workers, ""
