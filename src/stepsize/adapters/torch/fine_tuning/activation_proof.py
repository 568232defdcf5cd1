"""What of a batch is remembered, and the proof that training goes on from it as from the batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, final

import torch
from torch.utils import _pytree as pytree

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fine_tuning.activation_script import Script, recorded
from stepsize.adapters.torch.fine_tuning.activations import (
    EXAMPLES,
    FromActivations,
    Remembered,
    Replay,
    examples_of,
)
from stepsize.adapters.torch.fine_tuning.frozen_parts import Call, FrozenParts, Refused
from stepsize.adapters.torch.fine_tuning.needed_outputs import Tracing
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.tasks import Task

#: The part by which losses and gradients of the same batch may differ, by the type of the loss.
_NEAR = {torch.float64: 1e-9, torch.float32: 1e-5}
_COARSE = 3e-2
#: Convolutions and products on CUDA have 10 bits of precision by default (TF32).
_CUDA = 3e-3
#: A loss smaller than this is compared as if it were as large; its gradients tell the rest.
_SMALL = 0.01
#: Examples that were computed in other batches differ by more: other kernels add in another order.
_MIXED = 10.0


class Outcome(NamedTuple):
    """What a batch has given: the loss and the metrics, and the gradients of what is trained."""

    values: list[torch.Tensor]
    gradients: list[torch.Tensor]


@final
class Bench:
    """Where batches are tried, and everything is put back.

    Args:
        task: its model, losses and metrics.
        recipe: its precision is used.
        training: whether batches are trained on: the loss with its gradients; else the loss and the
            metrics.
    """

    def __init__(self, task: Task, recipe: Recipe, training: bool) -> None:
        self.task, self.training = task, training
        self._recipe = recipe
        self._functions = [task.loss, *([] if training else task.metrics.values())]
        groups = task.optimizer.param_groups
        given = [*task.model.parameters(), *(p for group in groups for p in group["params"])]
        self.trained = list({id(p): p for p in given if p.requires_grad}.values())
        self._go_back: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """In the block batches can be tried; all comes back after it."""
        things = (self.task.model, *self._functions)
        objects = ObjectState(*things)
        before = objects.take()
        with Transaction(self.task.optimizer, *things) as transaction:

            def go_back() -> None:
                objects.put(before)
                transaction.restore()

            self._go_back = go_back
            try:
                yield
            finally:
                objects.put(before)

    def loss(self, batch: Any) -> torch.Tensor:
        """The loss of a batch as the training or the evaluation computes it."""
        with self.precision():
            loss: torch.Tensor = FromActivations(self.task.loss)(self.task.model, batch)
        return loss

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Mixed precision, if the recipe says so."""
        if self._recipe.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(device_of(self.task.model).type, dtype=self._recipe.autocast)

    def outcome(
        self, batch: Any, replay: Replay | None = None, seed: int = 0
    ) -> tuple[Outcome, list[list[Any]]]:
        """What a batch, or a remembered one, gives, from where everything was before.

        With ``replay``, the outputs of the frozen calls too.
        """
        self.begin(seed)
        loss, outputs = self.recorded(replay, batch) if replay else (self.loss(batch), [])
        if self.training:
            found = torch.autograd.grad(loss.sum(), self.trained, allow_unused=True)
            given: list[torch.Tensor | None] = list(found)
            pairs = zip(self.trained, given, strict=True)
            gradients = [torch.zeros_like(p) if g is None else g.clone() for p, g in pairs]
            return Outcome([loss.detach().double().cpu()], gradients), outputs
        metrics = self.task.metrics.values()
        with self.precision(), torch.no_grad():
            told = [loss, *(FromActivations(f)(self.task.model, batch) for f in metrics)]
        values = [torch.as_tensor(one, dtype=torch.float64, device="cpu") for one in told]
        return Outcome([value.detach().reshape(()) for value in values], []), outputs

    def recorded(self, replay: Replay, batch: Any) -> tuple[torch.Tensor, list[list[Any]]]:
        """The loss, and the outputs of the frozen calls.

        Raises:
            Refused: other calls are made than ``replay`` knows.
        """
        return recorded(replay, lambda: self.loss(batch))

    def tried(self, batch: Any) -> torch.Tensor:
        """The loss with what its gradient needs; :meth:`begin` comes before it."""
        with torch.enable_grad():
            return self.loss(batch)

    def settled(self, batch: Any) -> torch.Tensor:
        """The loss without dropout or batch statistics."""
        self.begin()
        self.task.model.eval()
        with torch.no_grad():
            return self.loss(batch).detach().double().cpu()

    def near(self) -> float:
        """The part by which outcomes may differ."""
        dtype = next(iter(self.trained)).dtype
        if self._recipe.autocast is not None or dtype not in _NEAR:
            return _COARSE
        cuda = device_of(self.task.model).type == "cuda" and dtype != torch.float64
        return _CUDA if cuda else _NEAR[dtype]

    def begin(self, seed: int = 0) -> None:
        """Everything as it was, and random numbers from a seed."""
        self._go_back()
        random_state.seed(seed)


def proven(bench: Bench, parts: FrozenParts, batches: list[Any]) -> Iterator[Script]:
    """How batches are remembered, each way proven on two of them, those that keep less first.

    Their losses and gradients (in an evaluation, loss and metrics) are computed in full and then
    from what is remembered. The next way is for batches for which the one before does not do.

    Args:
        bench: opened.
        parts: what is not trained.
        batches: one or two, on the model's device.

    Raises:
        Refused: it cannot be done, with the reason.
    """
    first = batches[0]
    calls = parts.script(lambda: bench.tried(first), bench.begin)
    replay = Replay(parts, calls)
    pairs = [bench.outcome(batch, replay) for batch in batches]
    real, outputs = [outcome for outcome, _ in pairs], [found for _, found in pairs]
    if bench.training:  # an evaluation has the same random numbers each time
        _, again = bench.outcome(first, replay, seed=1)
        _check_steady(outputs[0], again, bench.near())
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


def _attempts(
    bench: Bench,
    parts: FrozenParts,
    calls: tuple[Call, ...],
    batch: Any,
    outputs: list[list[Any]],
) -> Iterator[Script]:
    """From the least that may do to everything."""
    values, form = pytree.tree_flatten(batch)
    places = [i for i, value in enumerate(values) if isinstance(value, torch.Tensor)]

    def loss(tensors: list[torch.Tensor]) -> torch.Tensor:
        given = dict(zip(places, tensors, strict=True))
        marked = [given.get(i, value) for i, value in enumerate(values)]
        return bench.tried(pytree.tree_unflatten(marked, form))

    inputs = [values[i] for i in places]
    with contextlib.suppress(Exception):  # whatever the user's code has against marked tensors
        tracing = Tracing(parts, calls, bench.begin, loss, inputs, outputs)
        least, used = tracing.needs()
        kept = dict(zip(places, used, strict=True))
        flags = tuple(kept.get(i, True) for i in range(len(values)))
        with contextlib.suppress(Exception):  # or drawn ones
            yield Script(Replay(parts, tracing.windows(least, bench.trained)), flags)
        yield Script(Replay(parts, least), flags)
        yield Script(Replay(parts, least), flags, full=True)
    yield Script(Replay(parts, calls), (True,) * len(values))


def _check_steady(first: list[list[Any]], again: list[list[Any]], near: float) -> None:
    """Refuse outputs that are others the second time."""
    for one, other in zip(pytree.tree_leaves(first), pytree.tree_leaves(again), strict=True):
        tensor = isinstance(one, torch.Tensor)
        if not (_close([one], [other], near) if tensor else one == other):
            raise Refused(
                "The outputs of the frozen layers for the same batch change: something before or "
                "inside of them draws random numbers, or remembers what it has seen."
            )


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
        if not _close(outcome.gradients, other.gradients, near):
            return False
    return True


def _close(ones: list[torch.Tensor], others: list[torch.Tensor], near: float) -> bool:
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

    And whether their order matters, as for losses of neighbours, which would lose their partners.
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
    except Exception:  # noqa: BLE001  (whatever does not work with other examples)
        return False
    return (
        _all_near(bench, [mixed], [remembered(rows)], _MIXED)
        and _all_near(bench, real[:1], told[:1])  # nothing is left of the mixed batch somewhere
        and _close([one], [other], _MIXED * bench.near())
    )


def _mixed_batch(batches: list[Any], rows: torch.Tensor, counts: list[int]) -> Any:
    """The rows of batches one behind the other; None where they cannot be put together."""
    flat = [pytree.tree_flatten(batch) for batch in batches]
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
    return pytree.tree_unflatten(mixed, flat[0][1])


def agrees(bench: Bench, batch: Any, loss: torch.Tensor, remembered: Remembered, seed: int) -> bool:
    """Whether a remembered batch has the loss that it had in full.

    If it seems not to, because the model or the loss has changed in between, both are computed
    again.
    """
    random_state.seed(seed)
    whole, again = (float(one.detach()) for one in (loss, bench.loss(remembered)))
    if abs(again - whole) <= bench.near() * max(abs(whole), _SMALL):
        return True
    return _all_near(bench, [bench.outcome(batch)[0]], [remembered])
