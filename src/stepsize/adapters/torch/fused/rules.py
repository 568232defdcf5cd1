"""The updates of torch's own optimizers, with a rate of its own for every copy.

The formulas follow the order of operations of torch's single-tensor implementations, so that a copy
differs from its serial run by rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.adam import adam
from torch.optim.adamw import adamw

#: A parameter group's options, without its parameters.
Options = Mapping[str, Any]
#: What all parameters have in common, such as the count of updates.
Shared = dict[str, float]
#: Factors of one update, numbers or tensors of no dimension.
Factors = Sequence[Any]

#: In torch's state there is no count for SGD: it knows whether its momentum has begun.
BEGUN = "begun"


@final
@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter of all copies in one update.

    Attributes:
        parameter: stacked; written to.
        gradient: stacked; not written to.
        state: the optimizer's stacked tensors by torch's names; written to.
        rate: of each copy, in a shape that spreads over the parameter.
    """

    parameter: torch.Tensor
    gradient: torch.Tensor
    state: Mapping[str, torch.Tensor]
    rate: torch.Tensor


@final
@dataclass(frozen=True)
class Rule:
    """How an optimizer updates.

    Attributes:
        tensors: the names of the state's tensors, each of its parameter's shape.
        start: what all parameters have in common before the first update.
        factors: the factors of the coming update.
        update: makes it, in place.
        at_once: makes it for all parameters of a group by a kernel of torch's, which a compiler
            cannot look into; None where that is not faster. Adam's many passes over the weights
            become one: 2 to 3 times as fast on a CPU. SGD has few.
    """

    tensors: Callable[[Options], tuple[str, ...]]
    start: Mapping[str, float]
    factors: Callable[[Options, Shared], tuple[float, ...]]
    update: Callable[[Options, Slot, Factors], None]
    at_once: Callable[[Options, Sequence[Slot], Shared], None] | None = None

    def after(self, shared: Shared) -> Shared:
        """What all parameters have in common after one more update."""
        return {BEGUN: 1.0} if BEGUN in shared else {**shared, "step": shared["step"] + 1.0}


def _sgd_tensors(options: Options) -> tuple[str, ...]:
    return ("momentum_buffer",) if options["momentum"] != 0 else ()


def _sgd_factors(options: Options, shared: Shared) -> tuple[float, ...]:
    return (1.0 - options["dampening"] if shared[BEGUN] else 1.0,)


def _sgd(options: Options, slot: Slot, factors: Factors) -> None:
    gradient = _decayed(options, slot)
    if options["momentum"] != 0:
        buffer = slot.state["momentum_buffer"]
        damped = gradient if options["dampening"] == 0 else gradient * factors[0]
        buffer.mul_(options["momentum"]).add_(damped)
        gradient = (
            gradient.add(buffer, alpha=options["momentum"]) if options["nesterov"] else buffer
        )
    slot.parameter.addcmul_(gradient, slot.rate, value=-1)


def _adam_tensors(options: Options) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if options["amsgrad"] else []))


def _adam_factors(options: Options, shared: Shared) -> tuple[float, ...]:
    step = shared["step"] + 1.0
    beta1, beta2 = map(float, options["betas"])
    return (1.0 / (1.0 - beta1**step), (1.0 - beta2**step) ** 0.5)


def _adam(options: Options, slot: Slot, factors: Factors) -> None:
    if options.get("decoupled_weight_decay", False):
        _adamw(options, slot, factors)
    else:
        _adam_step(options, slot, _decayed(options, slot), factors)


def _adamw(options: Options, slot: Slot, factors: Factors) -> None:
    if options["weight_decay"] != 0:
        slot.parameter.mul_(1 - slot.rate * options["weight_decay"])
    _adam_step(options, slot, _signed(options, slot), factors)


def _adam_step(options: Options, slot: Slot, gradient: torch.Tensor, factors: Factors) -> None:
    beta1, beta2 = map(float, options["betas"])
    mean, square = slot.state["exp_avg"], slot.state["exp_avg_sq"]
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    if options["amsgrad"]:
        largest = slot.state["max_exp_avg_sq"]
        square = largest.copy_(torch.maximum(largest, square))
    denominator = (square.sqrt() / factors[1]).add_(options["eps"])
    slot.parameter.addcdiv_(mean * (slot.rate * factors[0]), denominator, value=-1)


def _adam_at_once(options: Options, slots: Sequence[Slot], shared: Shared) -> None:
    decoupled = options.get("decoupled_weight_decay", False)
    _kernel(adamw if decoupled else adam, options, slots, shared)


def _adamw_at_once(options: Options, slots: Sequence[Slot], shared: Shared) -> None:
    _kernel(adamw, options, slots, shared)


def _kernel(
    update: Callable[..., None], options: Options, slots: Sequence[Slot], shared: Shared
) -> None:
    """torch's fused kernel at rate 1, its steps rescaled."""
    weights = [slot.parameter for slot in slots]
    before = [weight.clone() for weight in weights]
    beta1, beta2 = map(float, options["betas"])
    largest = [slot.state["max_exp_avg_sq"] for slot in slots] if options["amsgrad"] else []
    update(
        weights,
        [slot.gradient.contiguous() for slot in slots],  # the kernel reads memory as it lies
        [slot.state["exp_avg"] for slot in slots],
        [slot.state["exp_avg_sq"] for slot in slots],
        largest,
        [torch.full((), shared["step"], device=weight.device) for weight in weights],
        foreach=False,
        fused=True,
        amsgrad=options["amsgrad"],
        beta1=beta1,
        beta2=beta2,
        lr=1.0,
        weight_decay=options["weight_decay"],
        eps=options["eps"],
        maximize=options["maximize"],
    )
    for slot, start in zip(slots, before, strict=True):
        torch.lerp(start, slot.parameter, slot.rate, out=slot.parameter)


def _rmsprop_tensors(options: Options) -> tuple[str, ...]:
    momentum = ["momentum_buffer"] if options["momentum"] > 0 else []
    return ("square_avg", *momentum, *(["grad_avg"] if options["centered"] else []))


def _rmsprop(options: Options, slot: Slot, factors: Factors) -> None:
    gradient = _decayed(options, slot)
    square = slot.state["square_avg"]
    square.mul_(options["alpha"]).addcmul_(gradient, gradient, value=1 - options["alpha"])
    if options["centered"]:
        mean = slot.state["grad_avg"]
        mean.lerp_(gradient, 1 - options["alpha"])
        root = square.addcmul(mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    root.add_(options["eps"])
    if options["momentum"] > 0:
        buffer = slot.state["momentum_buffer"]
        buffer.mul_(options["momentum"]).addcdiv_(gradient, root)
        slot.parameter.addcmul_(buffer, slot.rate, value=-1)
    else:
        slot.parameter.addcdiv_(gradient * slot.rate, root, value=-1)


def _signed(options: Options, slot: Slot) -> torch.Tensor:
    return -slot.gradient if options["maximize"] else slot.gradient


def _decayed(options: Options, slot: Slot) -> torch.Tensor:
    """The gradient with the weight decay in it."""
    gradient = _signed(options, slot)
    decay = options["weight_decay"]
    return gradient.add(slot.parameter, alpha=decay) if decay != 0 else gradient


def _none(options: Options, shared: Shared) -> tuple[float, ...]:
    return ()


#: By exact type: a subclass may do anything.
FORMULAS: dict[type, Rule] = {
    SGD: Rule(_sgd_tensors, {BEGUN: 0.0}, _sgd_factors, _sgd),
    Adam: Rule(_adam_tensors, {"step": 0.0}, _adam_factors, _adam, _adam_at_once),
    AdamW: Rule(_adam_tensors, {"step": 0.0}, _adam_factors, _adamw, _adamw_at_once),
    RMSprop: Rule(_rmsprop_tensors, {"step": 0.0}, _none, _rmsprop),
}
