"""What surrounds a torch training: its device, its held-out batches, its description."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed, random_state
from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.errors import InputError, require

#: Held-out batches measured at most: enough for a steady loss, cheap beside the updates.
HELD_OUT_BATCHES = 4


def other_device(model: nn.Module) -> torch.device | None:
    """The device batches must be moved to; None on the CPU, where they already are."""
    device = device_of(model)
    return None if device.type == "cpu" else device


def first_batches(held_out: Iterable[Any] | None, model: nn.Module) -> Sequence[Any]:
    """The fixed batches of a held-out objective, on the model's device.

    Drawing them leaves no trace: neither in the loader nor in the global random states.

    Raises:
        InputError: not iterable, or empty.
    """
    if held_out is None:
        return ()
    kept = distributed.together(functools.partial(_first, held_out))
    device = other_device(model)
    return kept if device is None else [to_device(batch, device) for batch in kept]


def _first(held_out: Iterable[Any]) -> list[Any]:
    require(
        isinstance(held_out, Iterable),
        f"held_out must be an iterable of batches, got {type(held_out).__name__}.",
    )
    kept = peek(held_out, HELD_OUT_BATCHES)
    if not kept:
        raise InputError("held_out is empty: it gave no batch to measure.")
    return kept


def peek(loader: Iterable[Any], count: int) -> list[Any]:
    """The first batches of a loader, the same each time.

    Drawing them leaves no trace: neither in the loader nor in the global random states.
    """
    with Transaction(loader=loader):
        random_state.seed(0)
        return list(itertools.islice(loader, count))


def describe(model: nn.Module, optimizer: Optimizer, recipe: Recipe) -> dict[str, Any]:
    """What was trained and how, for the record."""
    return {
        "optimizer": type(optimizer).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **describe_recipe(recipe),
        "device": str(device_of(model)),
        "torch": torch.__version__,
    }


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """How an update is made, as JSON data."""
    return {
        "accumulate": recipe.accumulate,
        "autocast": None if recipe.autocast is None else str(recipe.autocast),
        "clip_norm": recipe.clip_norm,
        "clip_value": recipe.clip_value,
        **({} if recipe.scaler is None else {"scaler": recipe.scaler.state_dict()}),
    }


def several(also: Iterable[object]) -> tuple[object, ...]:
    """The further things to give back.

    Raises:
        InputError: a single thing instead of a list.
    """
    bare: object = also
    require(
        isinstance(bare, Iterable) and not isinstance(bare, nn.Module),
        f"also is a list of further things to give back, got {type(also).__name__}: also=[...].",
    )
    return tuple(also)
