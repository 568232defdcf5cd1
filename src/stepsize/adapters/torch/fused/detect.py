"""``why_not``: whether copies of a training, updated together, get the numbers of serial runs."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.optim import Optimizer

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.batches import Batches, to_device
from stepsize.adapters.torch.fused.gradients import clipped
from stepsize.adapters.torch.fused.refusals import refusal
from stepsize.adapters.torch.fused.stack import Stack
from stepsize.adapters.torch.fused.streams import RandomStates, Stream, going_back, same
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.setting import other_device, peek
from stepsize.adapters.torch.trials.object_parts import parts_of
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import Recipe, Update

#: Updates of a trial.
UPDATES = 3
#: The larger rate of a trial at most: at small rates, rounding stays small.
RATE = 1e-3
#: Parts of it, one after the other until losses and gradients are finite.
PARTS = (1.0, 1e-3, 1e-6)
#: The other copy's part of it.
OTHER = 0.25


class _Seen(NamedTuple):
    """What a run of a few updates has given."""

    losses: torch.Tensor
    gradients: dict[str, torch.Tensor]  # of the first update
    weights: dict[str, torch.Tensor]
    random: RandomStates
    kept: dict[tuple[int, str], Any]  # by the model and the loss, beside weights and buffers


def why_not(stream: Stream, recipe: Recipe) -> str:
    """The reason why the stream's task cannot be fused, in words; empty if it can.

    What does not show at once is tried: :data:`UPDATES` updates of two copies with two rates
    against serial ones; losses, weights, buffers and random states must be the same, to the
    rounding of the numbers' type. They must be finite, for nothing can be told of others.

    Nothing is left behind: the model, the optimizer, the loss and the random states come back. The
    batches are the first of ``stream.loader``, which are given back; without a loader they are
    drawn, and gone.

    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> batches = [torch.ones(4, 3)]
    >>> def why(loss):
    ...     return why_not(Stream(model, optimizer, loss, list, batches), Recipe())
    >>> why(lambda model, x: model(x).square().mean())
    ''
    >>> why(lambda model, x: model(x * model(x).sum().item()).mean()) == ""
    False
    """
    reason = refusal(stream, recipe)
    if reason:
        return reason
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        going_back(stream) as go_back,
        _no_hooks(stream.optimizer),
    ):
        try:
            return _tried(stream, recipe, go_back)
        except Exception as error:  # noqa: BLE001  (whatever the user's code does in there)
            return f"a trial of two copies has failed: {_first_sentence(error)}"


def _tried(stream: Stream, recipe: Recipe, go_back: Callable[[], None]) -> str:
    if not all(bool(parameter.isfinite().all()) for parameter in _trained(stream)):
        return "its weights are not finite"
    batches = batches_of(stream, UPDATES * recipe.accumulate)
    own = max(float(group["lr"]) for group in stream.optimizer.param_groups)
    rate = min(own, RATE) or RATE
    for part in PARTS:
        rates = [part * rate, part * rate * OTHER]
        alone = [_alone(stream, recipe, batches, each, go_back) for each in rates]
        if all(map(_is_finite, alone)):
            break
    else:
        return f"its losses or gradients are not finite, even at a rate of {rates[0]:.2g}"
    for (place, name), value in alone[0].kept.items():
        if not same(value, alone[1].kept.get((place, name))):
            return f"{name} is a state that would be another for each copy, and is not a buffer"
    go_back()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        together = _together(stream, recipe, batches, rates)
    slow = (str(one.message) for one in told if "performance drop" in str(one.message))
    for operation in slow:
        return f"{operation.partition('for ')[2].partition('. ')[0]} has no form for many copies"
    differences = (_difference(*pair, recipe) for pair in zip(alone, together, strict=True))
    return next((difference for difference in differences if difference), "")


def _trained(stream: Stream) -> list[torch.Tensor]:
    groups = stream.optimizer.param_groups
    return [p for group in groups for p in group["params"] if p.requires_grad]


def batches_of(stream: Stream, count: int) -> list[Any]:
    """The first batches of a stream on its model's device, given back if it has a loader."""
    if stream.loader is None:
        return [stream.draw() for _ in range(count)]
    batches = peek(stream.loader, count)
    device = other_device(stream.model)
    return batches if device is None else [to_device(batch, device) for batch in batches]


def _alone(
    stream: Stream, recipe: Recipe, batches: list[Any], rate: float, go_back: Callable[[], None]
) -> _Seen:
    go_back()
    random_state.seed(0)
    update = Update(stream.model, stream.optimizer, stream.loss, Batches(batches), recipe)
    GroupRates(stream.optimizer).set(rate)
    losses = [update().detach()]
    named = stream.model.named_parameters()
    gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}
    losses += [update().detach() for _ in range(UPDATES - 1)]
    return _Seen(torch.stack(losses), gradients, _weights(stream), RandomStates(), _kept(stream))


def _together(
    stream: Stream, recipe: Recipe, batches: list[Any], rates: list[float]
) -> list[_Seen]:
    random_state.seed(0)
    source = Batches(batches)
    copy = Stream(stream.model, stream.optimizer, stream.loss, source.next)
    stack = Stack([copy], [0, 0], recipe)
    losses = [stack.update(rates)]
    gradients = clipped(stack.gradients, recipe)
    losses += [stack.update(rates) for _ in range(UPDATES - 1)]
    random = RandomStates()
    seen = []
    for place in range(2):
        stack.pour(place)
        own = {name: gradient[place] for name, gradient in gradients.items()}
        mine = torch.stack([loss[place] for loss in losses])
        seen.append(_Seen(mine, own, _weights(stream), random, {}))
    return seen


def _is_finite(seen: _Seen) -> bool:
    weights = (seen.weights[name] for name in seen.gradients)
    return all(bool(t.isfinite().all()) for t in (seen.losses, *seen.gradients.values(), *weights))


def _weights(stream: Stream) -> dict[str, torch.Tensor]:
    """Parameters and buffers."""
    named = (*stream.model.named_parameters(), *stream.model.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


@torch.no_grad()
def _kept(stream: Stream) -> dict[tuple[int, str], Any]:
    """What else the model and the loss hold, in attributes and enclosed names, at a run's end.

    Weights and buffers are set to zero, so that they count for nothing wherever they are held.
    """
    for tensor in (*stream.model.parameters(), *stream.model.buffers()):
        tensor.zero_()
    roots = (stream.model, stream.loss)
    return {
        (place, f"{type(part).__name__}.{name}"): data
        for place, (part, slots) in enumerate(
            zip(parts_of(roots), ObjectState(*roots).take(), strict=True)
        )
        for name, data in slots.items()
    }


def _difference(alone: _Seen, together: _Seen, recipe: Recipe) -> str:
    """In what they differ by more than rounding."""
    if alone.random != together.random:
        return "its forward pass draws other random numbers when it is mapped over copies"
    near = tolerance(recipe, alone.losses)
    if not _close(alone.losses, together.losses, near):
        losses = f"{together.losses.tolist()} instead of {alone.losses.tolist()}"
        return f"its copies have other losses than serial runs: {losses}"
    scale = max((float(gradient.norm()) for gradient in alone.gradients.values()), default=0.0)
    for name, gradient in alone.gradients.items():
        other = together.gradients.get(name, torch.zeros_like(gradient))
        if not float((gradient - other).norm()) <= 10 * near * scale:
            return f"its copies get other gradients of {name!r} than serial runs"
    for name, weights in alone.weights.items():
        counted = _counted(alone.gradients.get(name), scale)
        if not _close(weights * counted, together.weights[name] * counted, 10 * near):
            return f"its copies get other values of {name!r} than serial runs"
    return ""


def _counted(gradient: torch.Tensor | None, scale: float) -> torch.Tensor:
    """Which weights are compared.

    Where a gradient is nothing but rounding, as before a batch normalisation, an optimizer such as
    Adam makes whole steps of it, in either direction.
    """
    if gradient is None:
        return torch.tensor(1, dtype=torch.int8)
    counted: torch.Tensor = gradient.abs() > 1e-3 * scale / math.sqrt(gradient.numel())
    return counted


def _close(first: torch.Tensor, second: torch.Tensor, near: float) -> bool:
    """Whether they are the same but for a part ``near`` of their size.

    What is not finite in a buffer or an unused weight, such as a mask, is compared by its kind.
    """
    if not first.is_floating_point():
        return bool(torch.equal(first, second))
    one, two = first.double(), second.double()
    finite = one.isfinite()
    if not torch.equal(finite, two.isfinite()):
        return False
    if not torch.equal(one[~finite].nan_to_num(), two[~finite].nan_to_num()):
        return False
    one, two = one[finite], two[finite]
    return bool((one - two).norm() <= near * one.norm() + 1e-12)


def tolerance(recipe: Recipe, losses: torch.Tensor) -> float:
    """The part by which losses like these may differ; of gradients and weights, ten times that."""
    if recipe.autocast is not None or losses.dtype in (torch.float16, torch.bfloat16):
        return 3e-2
    if losses.dtype == torch.float64:
        return 1e-9
    # Convolutions on CUDA have 10 bits of precision by default (TF32).
    return 3e-3 if losses.device.type == "cuda" else 1e-4


@contextmanager
def _no_hooks(optimizer: Optimizer) -> Iterator[None]:
    """Without the schedule that may be attached to the optimizer."""
    given: Any = optimizer
    names = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    before = {name: getattr(given, name) for name in names}
    for name in names:
        setattr(given, name, OrderedDict())
    try:
        yield
    finally:
        for name, hooks in before.items():
            setattr(given, name, hooks)


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].removeprefix("vmap: ").partition(". ")[0] if lines else type(error).__name__
