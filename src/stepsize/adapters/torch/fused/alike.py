"""``why_not_alike``: whether the tasks of two seeds differ in nothing but what can be stacked."""

from __future__ import annotations

from typing import Any

import torch
from torch.func import functional_call

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fused.detect import batches_of
from stepsize.adapters.torch.fused.gradients import Measured
from stepsize.adapters.torch.fused.streams import Stream, going_back
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.update import Recipe, device_of

#: By how much of its size a loss may differ: it is computed twice in the same way.
NEAR = 1e-4


def why_not_alike(first: Stream, other: Stream, recipe: Recipe) -> str:
    """The reason why a seed's copies cannot be run through another seed's model; empty if they can.

    Weights, buffers, batches and random numbers may differ. The layers, the loss and the settings
    of the optimizer must not: the loss of one batch is computed both ways. Nothing is left behind.

    >>> model, other = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    >>> one, two = (torch.optim.SGD(each.parameters(), lr=0.1) for each in (model, other))
    >>> batches = [torch.ones(4, 3)]
    >>> first = Stream(model, one, lambda m, x: m(x).square().mean(), list, batches)
    >>> second = Stream(other, two, lambda m, x: 2 * m(x).square().mean(), list, batches)
    >>> why_not_alike(first, second, Recipe())
    'its loss, or more of its model than weights and buffers, depends on the seed'
    """
    if _shapes(first) != _shapes(other):
        return "the layers of its model depend on the seed"
    if _settings(first) != _settings(other):
        return "the settings of its optimizer depend on the seed"
    with going_back(first), going_back(other), torch.no_grad():
        batch = batches_of(other, 1)[0]
        own, lent = (_loss(through, other, batch, recipe) for through in (other, first))
    if not own.isfinite():
        return "its loss is not finite, which tells nothing"
    if not torch.allclose(own, lent, rtol=NEAR):
        return "its loss, or more of its model than weights and buffers, depends on the seed"
    return ""


def _shapes(stream: Stream) -> dict[str, Any]:
    named = (*stream.model.named_parameters(), *stream.model.named_buffers())
    return {name: (tensor.shape, tensor.dtype, tensor.requires_grad) for name, tensor in named}


def _settings(stream: Stream) -> list[Any]:
    """What the optimizer is, and what its groups are apart from the scale of their rates."""
    names = {id(parameter): name for name, parameter in stream.model.named_parameters()}
    rates = GroupRates(stream.optimizer)
    groups = [
        {
            **{key: str(value) for key, value in group.items() if key in _known(stream)},
            "parameters": [names.get(id(parameter)) for parameter in group["params"]],
            "ratio": round(ratio, 9),
        }
        for group, ratio in zip(rates.groups, rates.ratios, strict=True)
    ]
    return [type(stream.optimizer), groups]


def _known(stream: Stream) -> set[str]:
    """The names of the optimizer's own settings; schedulers and users add others."""
    return set(stream.optimizer.defaults) - {"lr"}


def _loss(through: Stream, of: Stream, batch: Any, recipe: Recipe) -> torch.Tensor:
    """The loss of a stream's weights by the model and the loss of another."""
    random_state.seed(0)
    given = {f"model.{name}": tensor.detach() for name, tensor in of.model.named_parameters()}
    given |= {f"model.{name}": tensor.clone() for name, tensor in of.model.named_buffers()}
    measured = Measured(through.model, through.loss)
    mixed = recipe.autocast is not None
    with torch.autocast(device_of(of.model).type, dtype=recipe.autocast, enabled=mixed):
        loss: torch.Tensor = functional_call(measured, given, (batch,))
    return loss.detach().float()
