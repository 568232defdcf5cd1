"""Optimizers whose updates are linear in their rate: torch's own step at rate 1, rescaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn
from torch.optim import Adadelta, Adagrad, Adamax, NAdam, Optimizer, RAdam

from stepsize.adapters.torch.fused.rules import Options, Shared, Slot


@final
@dataclass(frozen=True)
class Stock:
    """What the state of an optimizer consists of.

    Attributes:
        names: of the tensors that have their parameter's shape.
        start: the numbers beside them, before the first update.
    """

    names: tuple[str, ...]
    start: Mapping[str, float]

    def tensors(self, options: Options) -> tuple[str, ...]:
        """The names of the state's tensors, each of its parameter's shape."""
        return self.names


#: Elementwise and linear in the rate, weight decay included. By exact type.
STOCK: dict[type, Stock] = {
    NAdam: Stock(("exp_avg", "exp_avg_sq"), {"step": 0.0, "mu_product": 1.0}),
    RAdam: Stock(("exp_avg", "exp_avg_sq"), {"step": 0.0}),
    Adagrad: Stock(("sum",), {"step": 0.0}),
    Adamax: Stock(("exp_avg", "exp_inf"), {"step": 0.0}),
    Adadelta: Stock(("square_avg", "acc_delta"), {"step": 0.0}),
}


def step_rescaled(
    kind: type[Optimizer], groups: Sequence[tuple[Options, Sequence[Slot]]], shared: Shared
) -> Shared:
    """Update every slot in place; returns what all parameters have in common after it.

    The rounding of a weight at rate 1 is rescaled with the rest: the error of an update is the
    spacing of floating-point numbers at the largest of weight and step, times the rate.
    """
    shadows = [[nn.Parameter(slot.parameter) for slot in slots] for _, slots in groups]
    automatic = {"lr": 1.0, "foreach": None, "fused": False}
    make: Any = kind
    optimizer: Any = make(
        [
            {key: automatic.get(key, value) for key, value in options.items()} | {"params": of}
            for (options, _), of in zip(groups, shadows, strict=True)
        ]
    )
    pairs = [
        (slot, shadow, options)
        for (options, slots), of in zip(groups, shadows, strict=True)
        for slot, shadow in zip(slots, of, strict=True)
    ]
    before = [slot.parameter.clone() for slot, _, _ in pairs]
    for slot, shadow, options in pairs:
        device = slot.parameter.device if options.get("capturable") else None
        numbers = {key: torch.tensor(value, device=device) for key, value in shared.items()}
        optimizer.state[shadow] = {**numbers, **slot.state}
        shadow.grad = slot.gradient
    optimizer.step()
    for (slot, _, _), start in zip(pairs, before, strict=True):
        torch.lerp(start, slot.parameter, slot.rate, out=slot.parameter)
    state = optimizer.state[pairs[0][1]]
    return {key: float(state[key]) for key in shared}
