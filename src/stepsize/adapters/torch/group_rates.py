"""One learning rate for an optimizer with several groups: the ratios between them are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from stepsize.errors import InputError, require

#: In a group made by ``fine_tuning.regroup``: the places its parameters had among all before.
PLACES = "layer_places"


class GroupRates:
    """Sets all groups of an optimizer from one rate, the largest group's.

    The ratios are those of the rates the groups have now (their ``initial_lr`` if a warm-up has
    all of them at zero); groups that are all zero, or all the same, get the same rate. Tensor rates
    are filled in place.

    Raises:
        InputError: a rate that is negative or not finite, or an optimizer without groups.

    >>> a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    >>> optimizer = torch.optim.SGD([{"params": [a], "lr": 0.01}, {"params": [b], "lr": 0.1}])
    >>> GroupRates(optimizer).set(1.0)
    >>> [round(group["lr"], 9) for group in optimizer.param_groups]
    [0.1, 1.0]
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.groups = optimizer.param_groups
        require(bool(self.groups), "The optimizer has no parameter groups.")
        self.ratios = ratios_of(starting_rates(self.groups))

    def set(self, lr: float) -> None:
        """Give every group its share of ``lr``."""
        for group, ratio in zip(self.groups, self.ratios, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr * ratio)
            else:
                group["lr"] = lr * ratio


def set_lr(optimizer: Optimizer, lr: float | None) -> None:
    """Give ``optimizer`` the rate ``lr``, ratios between its groups kept.

    Raises:
        InputError: ``lr`` is not a positive finite number (None, when a finder abstained).

    >>> model = torch.nn.Linear(1, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> set_lr(optimizer, 0.02); optimizer.param_groups[0]["lr"]
    0.02
    """
    if not isinstance(lr, (int, float)) or not 0 < lr < float("inf"):
        raise InputError(f"A learning rate must be a positive finite number, got {lr!r}.")
    GroupRates(optimizer).set(lr)


def parameters_in_order(optimizer: Optimizer) -> list[torch.Tensor]:
    """The optimizer's parameters in the order they had before layer groups were made of them.

    The norm over all gradients depends on the order in its last bits.

    >>> layer = torch.nn.Linear(2, 1)
    >>> groups = [{"params": [layer.bias], PLACES: (1,)}, {"params": [layer.weight], PLACES: (0,)}]
    >>> parameters_in_order(torch.optim.SGD(groups))[0] is layer.weight
    True
    """
    placed: list[tuple[int, torch.Tensor]] = []
    for group in optimizer.param_groups:
        members, places = group["params"], group.get(PLACES, ())
        if len(places) != len(members):
            places = range(len(placed), len(placed) + len(members))
        placed.extend(zip(places, members, strict=True))
    return [parameter for _, parameter in sorted(placed, key=lambda pair: pair[0])]


def starting_rates(groups: Sequence[dict[str, Any]]) -> list[float]:
    """The rates that ratios are read from: the present ones, or those before a warm-up from 0."""
    rates = [_rate(group.get("lr")) for group in groups]
    if max(rates) == 0.0:
        rates = [_rate(group.get("initial_lr", 0.0)) for group in groups]
    return rates


def ratios_of(values: Sequence[float]) -> tuple[float, ...]:
    """Each value's ratio to the largest; 1 for all if all are zero.

    >>> ratios_of([0.01, 0.1]), ratios_of([0.0, 0.0])
    ((0.09999999999999999, 1.0), (1.0, 1.0))
    """
    peak = max(values)
    return tuple(value / peak if peak > 0 else 1.0 for value in values)


def _rate(value: Any) -> float:
    require(
        hasattr(value, "__float__"), f"A group's learning rate must be a number, got {value!r}."
    )
    rate = float(value)
    if not 0 <= rate < float("inf"):
        raise InputError(f"A group's learning rate must be finite and not negative, got {rate!r}.")
    return rate
