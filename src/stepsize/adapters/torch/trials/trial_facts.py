"""What a run tells of itself, so that a reader can check that runs were paired."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.update import device_of
from stepsize.tasks import Task

#: Numbers of a group that matter to a reader, where the optimizer has them.
_NUMBERS = ("momentum", "dampening", "nesterov", "weight_decay", "betas", "alpha", "eps", "amsgrad")


def facts(task: Task, updates_per_epoch: int) -> dict[str, Any]:
    """Facts of a freshly made task, as JSON data.

    >>> from stepsize.tasks import load, make_task
    >>> known = facts(make_task(load("digits"), 0), 44)
    >>> known["parameters"], known["optimizer"]["name"], known["optimizer"]["momentum"]
    (4810, 'SGD', 0.9)
    """
    return {
        "initial_weights": weights_digest(task.model),
        "parameters": sum(parameter.numel() for parameter in task.model.parameters()),
        "updates_per_epoch": updates_per_epoch,
        "optimizer": _optimizer(task.optimizer),
        "group_ratios": list(GroupRates(task.optimizer).ratios),
        "device": str(device_of(task.model)),
        "threads": torch.get_num_threads(),
    }


def weights_digest(model: nn.Module) -> str:
    """A digest of all parameters and buffers: names, types and bytes, in the model's order."""
    sha = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor_bytes(tensor))
    return sha.hexdigest()


def tensor_bytes(tensor: torch.Tensor) -> bytes:
    """The values of a tensor of any device, type and layout."""
    dense = tensor.detach().to_dense().cpu().resolve_conj().resolve_neg()
    values: bytes = dense.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return values


def _optimizer(optimizer: Any) -> dict[str, Any]:
    group = optimizer.param_groups[0]
    numbers = {name: _plain(group[name]) for name in _NUMBERS if name in group}
    return {"name": type(optimizer).__name__, **numbers}


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, torch.Tensor) else value
