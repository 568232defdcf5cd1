"""What of a batch is remembered, and the proof that training goes on from it as from the batch."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fine_tuning.frozen.activation_bench import Bench, Outcome
from stepsize.adapters.torch.fine_tuning.frozen.activation_script import Script
from stepsize.adapters.torch.fine_tuning.frozen.activations import (
    EXAMPLES,
    Remembered,
    Replay,
    examples_of,
)
from stepsize.adapters.torch.fine_tuning.frozen.frozen_parts import Call, FrozenParts, Refused
from stepsize.adapters.torch.fine_tuning.frozen.needed_outputs import Tracing
from stepsize.adapters.torch.fine_tuning.frozen.nested import put_together, taken_apart

#: A loss smaller than this is compared as if it were as large; its gradients tell the rest.
_SMALL = 0.01
#: Examples that were computed in other batches differ by more: other kernels add in another order.
_MIXED = 10.0


def proven(bench: Bench, parts: FrozenParts, batches: list[Any]) -> Iterator[Script]:
    """How batches are remembered, each way proven on two of them, those that keep less first.

    Their losses and gradients (in an evaluation, loss and metrics) are computed in full and then
    from what is remembered, at other weights than those that will be trained. The next way is for
    batches for which the one before does not do.

    Args:
        bench: opened.
        parts: what is not trained.
        batches: one or two, on the model's device.

    Raises:
        Refused: it cannot be done, with the reason.
    """
    first = batches[0]
    calls = parts.script(
        lambda: bench.tried(first), bench.begin, bench.generators, bench.training
    )  # an evaluation has the same random numbers each time
    try:
        pairs, again = _seen(bench, Replay(parts, calls), batches)
    except Refused:
        raise
    except Exception as error:
        raise Refused(
            f"Computing the loss again, at other weights, failed: {type(error).__name__}: {error}"
        ) from error
    real, outputs = [outcome for outcome, _ in pairs], [found for _, found in pairs]
    same = [_alike(one, other, bench.near()) for one, other in zip(outputs[0], again, strict=True)]
    calls = parts.without(calls, same)
    outputs = [list(itertools.compress(found, same)) for found in outputs]
    known: list[Any] = []
    for script in _attempts(bench, parts, calls, first, outputs[0]):
        told = [script.remember(b, o) for b, o in zip(batches, outputs, strict=True)]
        kept = (script.replay.calls, script.batch)
        if kept not in known and _all_near(bench, real, told):
            known.append(kept)
            mixed = bench.training and _can_be_mixed(bench, batches, real, told)
            yield replace(script, by_example=mixed)
    if not known:
        raise Refused(
            "From the outputs of the frozen layers alone the loss and its gradients come out "
            "otherwise than in full: the frozen layers do more than give outputs, or their outputs "
            "are computed again in the backward pass (checkpointing)."
        )


def _seen(
    bench: Bench, replay: Replay, batches: list[Any]
) -> tuple[list[tuple[Outcome, list[list[Any]]]], list[list[Any]]]:
    """What the batches give, and what the first one's frozen calls give under all that may change.

    That is after another batch, at other weights, and in a training with other random numbers:
    what comes of a frozen call then too, depends on the batch alone.
    """
    bench.begin(seed=1 if bench.training else 0)
    if bench.training:
        bench.note_moving(batches[-1], replay.parts.frozen_weights())
    else:
        bench.loss(batches[-1])
    _, again = bench.recorded(replay, batches[0])
    return [bench.outcome(batch, replay) for batch in batches], again


def _alike(ones: list[Any], others: list[Any], near: float) -> bool:
    """Whether two outputs are the same."""
    return len(ones) == len(others) and all(
        close([one], [other], near)
        if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
        else one == other
        for one, other in zip(ones, others, strict=True)
    )


def _attempts(
    bench: Bench,
    parts: FrozenParts,
    calls: tuple[Call, ...],
    batch: Any,
    outputs: list[list[Any]],
) -> Iterator[Script]:
    """From the least that may do to everything."""
    values, form = taken_apart(batch)
    places = [i for i, value in enumerate(values) if isinstance(value, torch.Tensor)]

    def loss(tensors: list[torch.Tensor]) -> torch.Tensor:
        given = dict(zip(places, tensors, strict=True))
        marked = [given.get(i, value) for i, value in enumerate(values)]
        return bench.tried(put_together(form, marked))

    inputs = [values[i] for i in places]
    with contextlib.suppress(Exception):  # whatever the user's code has against marked tensors
        tracing = Tracing(parts, calls, bench.begin, loss, inputs, outputs)
        least, used = tracing.needs()
        kept = dict(zip(places, used, strict=True))
        flags = tuple(kept.get(i, True) for i in range(len(values)))
        with contextlib.suppress(Exception):  # or drawn ones
            yield Script(Replay(parts, tracing.windows(least, bench.draw)), flags)
        yield Script(Replay(parts, least), flags)
        yield Script(Replay(parts, least), flags, full=True)
    yield Script(Replay(parts, calls), (True,) * len(values))


def _all_near(
    bench: Bench, real: list[Outcome], told: list[Remembered], factor: float = 1.0
) -> bool:
    near = factor * bench.near()
    for outcome, remembered in zip(real, told, strict=True):
        try:
            other, _ = bench.outcome(remembered)
        except Exception:  # noqa: BLE001  (such as writing to what is one number seen many times)
            return False
        for one, two in zip(outcome.values, other.values, strict=True):
            if not bool((one - two).abs() <= near * one.abs().clamp(min=_SMALL)):
                return False
        if not close(outcome.gradients, other.gradients, near):
            return False
        if not close(outcome.statistics, other.statistics, near):
            return False
    return True


def close(ones: list[torch.Tensor], others: list[torch.Tensor], near: float) -> bool:
    """Whether all together they differ by a part ``near`` of their norm at most."""
    pairs = list(zip(ones, others, strict=True))
    if any(one.shape != other.shape for one, other in pairs):
        return False
    size = sum(float(one.double().square().sum()) for one, _ in pairs)
    apart = sum(float((one.double() - other.double()).square().sum()) for one, other in pairs)
    return apart <= near**2 * size


def _can_be_mixed(
    bench: Bench, batches: list[Any], real: list[Outcome], told: list[Remembered]
) -> bool:
    """Whether examples of two batches, put together, give in full what is remembered of them.

    And whether the loss is the mean of those of its parts, in any order: if not, as for losses of
    neighbours, of triplets, or of contrasts, it matters which examples a batch consists of.
    """
    layout = told[0].layout
    kept = [leaf for leaf in layout.leaves if leaf.kind == "kept"]
    if any(one.layout != layout for one in told) or not kept:
        return False
    if any(leaf.shape[:1] != (EXAMPLES,) for leaf in kept):
        return False
    total = sum(len(one.examples) for one in told)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0), device="cpu")
    rows = order[: max(2, len(told[0].examples))]
    whole = _mixed_batch(batches, rows, [len(one.examples) for one in told])
    if whole is None or len(rows) < 2:
        return False
    columns = [torch.cat(column) for column in zip(*(one.kept for one in told), strict=True)]

    def remembered(chosen: torch.Tensor) -> Remembered:
        parts = tuple(column[chosen] for column in columns)
        return Remembered(examples_of(len(chosen)), parts, layout, told[0].replay)

    try:
        mixed, _ = bench.outcome(whole)
        one, other = (bench.settled(remembered(r)) for r in (rows, rows.roll(1)))
        halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        alone = sum(bench.settled(remembered(r)) * len(r) for r in halves) / len(rows)
    except Exception:  # noqa: BLE001  (whatever does not work with other examples)
        return False
    return (
        _all_near(bench, [mixed], [remembered(rows)], _MIXED)
        and _all_near(bench, real[:1], told[:1])  # nothing is left of the mixed batch somewhere
        and close([one, one], [other, torch.as_tensor(alone)], _MIXED * bench.near())
    )


def _mixed_batch(batches: list[Any], rows: torch.Tensor, counts: list[int]) -> Any:
    """The rows of batches one behind the other; None where they cannot be put together."""
    flat = [taken_apart(batch) for batch in batches]
    mixed = []
    for column in zip(*(values for values, _ in flat), strict=True):
        first = column[0]
        if not isinstance(first, torch.Tensor):
            if any(value != first for value in column):
                return None
            mixed.append(first)
        elif all(v.dim() and len(v) == n for v, n in zip(column, counts, strict=True)):
            mixed.append(torch.cat(column)[rows.to(first.device)])
        else:
            return None
    return put_together(flat[0][1], mixed)


def agrees(bench: Bench, batch: Any, loss: torch.Tensor, remembered: Remembered, seed: int) -> bool:
    """Whether what is remembered of a batch has its loss and, in an evaluation, its metrics.

    If it seems not to, because the model or the loss has changed in between, both are computed
    again. Metrics are computed for every batch: what only they need may matter in few.
    """
    random_state.seed(seed)
    whole, again = (float(one.detach()) for one in (loss, bench.loss(remembered)))
    same = abs(again - whole) <= bench.near() * max(abs(whole), _SMALL)
    if same and (bench.training or not bench.task.metrics):
        return True
    return _all_near(bench, [bench.outcome(batch)[0]], [remembered])
