"""An optimizer's parameter groups, one or more for each layer group."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch.fine_tuning.layers.layer_names import (
    grouped_parameters,
    is_bias,
    is_norm,
    owners,
    parameters_by_name,
)
from stepsize.adapters.torch.group_rates import PLACES, parameters_in_order, starting_rates
from stepsize.adapters.torch.optimizer_hooks import innermost
from stepsize.errors import InputError, require
from stepsize.fine_tuning import LayerGroups, LayerRates

Group = dict[str, Any]

#: Names of parameters in a message.
_MOST_NAMES = 6

#: In a parameter group: the index of its layer group.
LAYER_GROUP = "layer_group"
#: In a parameter group: its rate as a share of the largest in its layer group.
LAYER_SHARE = "layer_share"
_KINDS = ("norm", "bias")


def param_groups(
    model: nn.Module,
    groups: LayerGroups,
    rates: LayerRates | Sequence[float] | float,
    *,
    weight_decay: float | None = None,
    no_decay: Iterable[str] = _KINDS,
) -> list[Group]:
    """Parameter groups for an optimizer: a rate per layer group, no decay for norms and biases.

    Args:
        model: the model that ``groups`` are of.
        groups: what :func:`stepsize.transfer.groups` gave.
        rates: one per group, in their order; or one for all.
        weight_decay: given, it is written into the groups, and 0 for those in ``no_decay``, which
            then come as groups of their own. Without it the optimizer's default holds for all.
        no_decay: which parameters get no decay: ``"norm"`` for those of norm layers, ``"bias"`` for
            all biases, both, or ``()``.

    Returns:
        Dictionaries with ``params``, ``lr``, ``layer_group`` and what else was asked for. Frozen
        parameters are in them too, so that they can be thawed later.

    Raises:
        InputError: groups of another model, another number of rates, a negative decay.

    >>> from stepsize.adapters.torch.fine_tuning import groups
    >>> from stepsize.fine_tuning import discriminative
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    >>> found = groups(model)
    >>> made = param_groups(model, found, discriminative(0.1, found, 10), weight_decay=0.01)
    >>> optimizer = torch.optim.AdamW(made)
    >>> [(g["lr"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups]
    [(0.01, 0.01, 1), (0.01, 0.0, 3), (0.1, 0.01, 1), (0.1, 0.0, 1)]
    """
    numbers = _rates(groups, rates)
    spared = _spared(model, weight_decay, no_decay)
    made: list[Group] = []
    for index, parameters in enumerate(grouped_parameters(model, groups)):
        decayed = [p for p in parameters if id(p) not in spared]
        plain = [p for p in parameters if id(p) in spared]
        for members, decay in ((decayed, weight_decay), (plain, 0.0)):
            if members:
                group: Group = {"params": members, "lr": numbers[index], LAYER_GROUP: index}
                if weight_decay is not None:
                    group["weight_decay"] = decay
                made.append(group)
    return made


def regroup(optimizer: Optimizer, model: nn.Module, groups: LayerGroups) -> None:
    """Rewrite an optimizer's parameter groups in place, one for each (layer group, group it had).

    The training stays the same bit for bit: every parameter keeps its state and all the
    hyper-parameters of the group it was in. (In the last bits it may differ under an optimizer that
    itself sums over all parameters, as D-Adaptation does: the order of a sum.)

    A new group holds ``group["layer_group"]``, the index of its layer group, and
    ``group["layer_share"]``, its rate as a share of the largest rate in that layer group, by which
    :func:`set_ratios` keeps the user's own differences. Parameters that the model does not have,
    such as those of a loss, go with the head. Make a scheduler after this, not before.

    Raises:
        InputError: groups of another model, no optimizer, or LBFGS, which takes a single group.
            Nothing is changed then.

    >>> from stepsize.adapters.torch.fine_tuning import groups
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> regroup(optimizer, model, groups(model))
    >>> [(g["lr"], g["layer_group"], len(g["params"])) for g in optimizer.param_groups]
    [(0.1, 0, 2), (0.1, 1, 2)]
    """
    require(
        isinstance(optimizer, Optimizer),
        f"The optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}.",
    )
    inner = innermost(optimizer)
    _check_can_be_regrouped(inner)
    layers = {
        id(parameter): index
        for index, members in enumerate(grouped_parameters(model, groups))
        for parameter in members
    }
    places = {id(p): place for place, p in enumerate(parameters_in_order(inner))}
    pieces = [
        _piece(group, layer, members, places)
        for layer in range(len(groups))
        for group in inner.param_groups
        if (members := _members(group, layer, layers, len(groups) - 1))
    ]
    _share(pieces)
    inner.param_groups[:] = pieces


def set_ratios(optimizer: Optimizer, ratios: Iterable[float], peak: float | None = None) -> None:
    """Write the rates of a regrouped optimizer: ``peak * ratios[layer group] * own share``.

    Tensor rates are filled in place; ``initial_lr`` is written where a group has one.

    Args:
        optimizer: what :func:`regroup` has rewritten.
        ratios: one per layer group; the largest need not be 1.
        peak: the rate that a ratio of 1 stands for; by default the largest rate that it has now.

    Raises:
        InputError: an optimizer that was not regrouped, another number of ratios, a negative one,
            no peak although all rates are 0. Nothing is changed then.

    >>> from stepsize.adapters.torch.fine_tuning import groups
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> regroup(optimizer, model, groups(model)); set_ratios(optimizer, (0.5, 1.0))
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.05, 0.1]
    """
    own = _regrouped(optimizer)
    wanted = tuple(ratios)
    count = 1 + max(group[LAYER_GROUP] for group in own)
    if len(wanted) < count or not all(0 <= ratio < float("inf") for ratio in wanted):
        raise InputError(
            f"There must be one finite ratio from 0 on for each of the {count} layer groups, got "
            f"{wanted!r}."
        )
    top = max(starting_rates(own)) if peak is None else peak
    if not 0 < top < float("inf"):
        raise InputError(
            f"The rates of the layer groups need a positive finite peak, got {top!r}: say peak=..."
        )
    write_rates(own, [top * wanted[group[LAYER_GROUP]] * group[LAYER_SHARE] for group in own])


def write_rates(groups: Iterable[Group], rates: Iterable[float]) -> None:
    """Give each parameter group its rate, also as the ``initial_lr`` where it has one.

    >>> optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> write_rates(optimizer.param_groups, [0.3]); optimizer.param_groups[0]["lr"]
    0.3
    """
    for group, rate in zip(groups, rates, strict=True):
        _write(group, "lr", rate)
        if "initial_lr" in group:
            _write(group, "initial_lr", rate)


def not_held(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> list[str]:
    """The names of those parameters that an optimizer does not hold.

    >>> model = nn.Linear(2, 1)
    >>> not_held(torch.optim.SGD([model.bias]), dict(model.named_parameters()))
    ['weight']
    """
    groups = innermost(optimizer).param_groups
    held = {id(parameter) for group in groups for parameter in group["params"]}
    return [name for name, parameter in parameters.items() if id(parameter) not in held]


def some_names(names: Sequence[str]) -> str:
    """The names of parameters in a message; not all where there are many.

    >>> some_names(["weight", "bias"])
    'weight, bias'
    """
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown


def need_all_held(optimizer: Optimizer, model: nn.Module) -> None:
    """Raise unless the optimizer holds everything in the model that requires gradients.

    Raises:
        InputError: there are parameters that a plan would thaw and that would not move.

    >>> model = nn.Linear(2, 1)
    >>> need_all_held(torch.optim.SGD(model.parameters()), model)
    """
    known = parameters_by_name(model)
    missing = not_held(optimizer, {name: p for name, p in known.items() if p.requires_grad})
    if missing:
        raise InputError(
            f"The optimizer does not hold {some_names(missing)} of the model, which require "
            "gradients: a plan would thaw them, and they would not move. Give the optimizer all "
            "of model.parameters() (what a plan freezes is not updated), or freeze them for good: "
            "requires_grad_(False)."
        )


def ratios_in(optimizer: Optimizer, count: int) -> tuple[float, ...]:
    """The ratios that a regrouped optimizer's rates have now, for ``count`` layer groups.

    The largest is 1. A layer group whose parameters the optimizer does not hold gets 1 too.

    Raises:
        InputError: an optimizer that was not regrouped.
    """
    own = _regrouped(optimizer)
    rates = dict(zip(map(id, own), starting_rates(own), strict=True))
    peak = max(rates.values())
    found = [1.0] * count
    for layer in {group[LAYER_GROUP] for group in own}:
        largest = max(rates[id(group)] for group in own if group[LAYER_GROUP] == layer)
        found[layer] = largest / peak if peak > 0 else 1.0
    return tuple(found)


def _members(group: Group, layer: int, layers: Mapping[int, int], head: int) -> list[int]:
    """The places, within ``group``, of the parameters that lie in ``layer``."""
    return [i for i, p in enumerate(group["params"]) if layers.get(id(p), head) == layer]


def _piece(group: Group, layer: int, members: list[int], places: Mapping[int, int]) -> Group:
    """The part of ``group`` with these members, every hyper-parameter a copy of its own."""
    lists = ("params", "param_names")  # param_names: of an optimizer that was given named ones
    piece = {
        name: [value[i] for i in members] if name in lists else _copied(value)
        for name, value in group.items()
    }
    piece[LAYER_GROUP] = layer
    piece[PLACES] = tuple(places[id(parameter)] for parameter in piece["params"])
    return piece


def _copied(value: Any) -> Any:
    """Tensors and lists are filled in place by schedulers and optimizers: one for each group."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return copy.copy(value) if isinstance(value, (list, dict, set)) else value


def _share(pieces: Sequence[Group]) -> None:
    """Write into every group its rate as a share of the largest in its layer group."""
    rates = starting_rates(pieces)
    for piece, rate in zip(pieces, rates, strict=True):
        layer = piece[LAYER_GROUP]
        others = [r for p, r in zip(pieces, rates, strict=True) if p[LAYER_GROUP] == layer]
        piece[LAYER_SHARE] = rate / max(others) if max(others) > 0 else 1.0


def _regrouped(optimizer: Optimizer) -> list[Group]:
    found: list[Group] = innermost(optimizer).param_groups
    if not found or not all(LAYER_GROUP in group and LAYER_SHARE in group for group in found):
        raise InputError(
            "The optimizer's parameter groups are not those of layer groups: "
            "stepsize.transfer.regroup(optimizer, model, groups) first."
        )
    return found


def _check_can_be_regrouped(optimizer: Optimizer) -> None:
    """Refuse an optimizer that would not train the same with its groups rewritten."""
    require(bool(optimizer.param_groups), "The optimizer has no parameter groups.")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise InputError(
            "LBFGS has a single parameter group by design, so layer groups cannot have their own "
            "rates under it. Take another optimizer."
        )


def _write(group: Group, key: str, value: float) -> None:
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


def _rates(groups: LayerGroups, rates: Any) -> tuple[float, ...]:
    if isinstance(rates, (int, float)):
        rates = (rates,) * len(groups)
    return LayerRates(groups.names, tuple(rates)).rates


def _spared(model: nn.Module, weight_decay: Any, no_decay: Iterable[str]) -> set[int]:
    """Which parameters get no weight decay, by id."""
    kinds = (no_decay,) if isinstance(no_decay, str) else tuple(no_decay)
    unknown = [kind for kind in kinds if kind not in _KINDS]
    require(not unknown, f"no_decay names {', '.join(_KINDS)}, got {unknown!r}.")
    if weight_decay is None:
        return set()
    require(
        isinstance(weight_decay, (int, float)) and 0 <= weight_decay < float("inf"),
        f"weight_decay must be a finite number from 0 on, got {weight_decay!r}.",
    )
    known = parameters_by_name(model)
    return {
        id(known[name])
        for name, owner, own in owners(model)
        if ("norm" in kinds and is_norm(owner)) or ("bias" in kinds and is_bias(own))
    }
