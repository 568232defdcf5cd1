"""Optimizers that train at one point and are judged at another: schedule-free ones."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.setting import other_device, peek
from stepsize.adapters.torch.update import Recipe, Update
from stepsize.tasks import Task

#: Batches that renew the statistics of batch normalisation, as schedule-free's authors advise.
STATISTICS_BATCHES = 50


def has_modes(optimizer: Optimizer) -> bool:
    """Whether the optimizer has to be told when it is trained and when it is judged.

    >>> has_modes(torch.optim.SGD([torch.zeros(1)]))
    False
    """
    return callable(getattr(optimizer, "eval", None)) and callable(
        getattr(optimizer, "train", None)
    )


def move_to_mean(task: Task, recipe: Recipe) -> int:
    """Bring the weights to where the optimizer is judged; returns how many batches that took.

    The statistics of batch normalisation belong to the weights that are trained: they are renewed
    by forward passes over the first training batches. Nothing is given back.
    """
    optimizer: Any = task.optimizer
    optimizer.eval()
    layers = [module for module in task.model.modules() if isinstance(module, _BatchNorm)]
    if not any(layer.training and layer.track_running_stats for layer in layers):
        return 0
    device = other_device(task.model)
    batches = peek(task.train, STATISTICS_BATCHES)
    source: Any = None  # no batch is drawn from it
    forward = Update(task.model, optimizer, task.loss, source, recipe).loss
    with torch.no_grad():
        for batch in batches:
            forward(batch if device is None else to_device(batch, device))
    return len(batches)
