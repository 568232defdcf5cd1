"""What surrounds a torch training: its device, its held-out batches, its description."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.errors import InputError

#: Held-out batches measured at most: enough for a steady loss, cheap beside the updates.
HELD_OUT_BATCHES = 4


def other_device(model: nn.Module) -> torch.device | None:
    """The device batches must be moved to; None on the CPU, where they already are."""
    device = device_of(model)
    return None if device.type == "cpu" else device


def first_batches(held_out: Iterable[Any] | None, model: nn.Module) -> Sequence[Any]:
    """The fixed batches of a held-out objective, on the model's device."""
    if held_out is None:
        return ()
    device = other_device(model)
    kept = list(itertools.islice(iter(held_out), HELD_OUT_BATCHES))
    if not kept:
        raise InputError("held_out is empty: it gave no batch to measure.")
    return kept if device is None else [to_device(batch, device) for batch in kept]


def describe(model: nn.Module, optimizer: Optimizer, recipe: Recipe) -> dict[str, Any]:
    """What was trained and how, for the record."""
    return {
        "optimizer": type(optimizer).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "accumulate": recipe.accumulate,
        "autocast": None if recipe.autocast is None else str(recipe.autocast),
        "clip_norm": recipe.clip_norm,
        "clip_value": recipe.clip_value,
        "device": str(device_of(model)),
        "torch": torch.__version__,
    }
