"""Everything that a training changes, beside where it stands in its batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch.object_state import ObjectState
from stepsize.adapters.torch.scheduled_lr import ScheduledLR
from stepsize.tasks import Task


class TrainingState:
    """Weights, buffers, the optimizer, its scheduler, a scaler, and what the user's code keeps.

    Args:
        task: freshly made.
        scheduler: the optimizer's.
        scaler: a ``GradScaler``, or None.
    """

    def __init__(self, task: Task, scheduler: ScheduledLR, scaler: Any) -> None:
        self._model: nn.Module = task.model
        self._optimizer: Optimizer = task.optimizer
        self._scheduler, self._scaler = scheduler, scaler
        self._objects = ObjectState(task.model, task.loss)

    def take(self) -> dict[str, Any]:
        """The state; its tensors are the living ones."""
        return {
            "parameters": {n: p.detach() for n, p in self._model.named_parameters()},
            "buffers": [dict(module._buffers) for module in self._model.modules()],
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": None if self._scaler is None else self._scaler.state_dict(),
            "objects": self._objects.take(),
        }

    @torch.no_grad()
    def put(self, state: dict[str, Any]) -> None:
        """Go on from ``state``.

        Raises:
            Exception: it does not fit the task.
        """
        parameters = dict(self._model.named_parameters())
        _check_names(parameters, state["parameters"])
        for name, values in state["parameters"].items():
            if parameters[name].shape != values.shape:
                raise ValueError(f"{name} has another shape")
            parameters[name].copy_(values)
        for module, buffers in zip(self._model.modules(), state["buffers"], strict=True):
            _check_names(module._buffers, buffers)
            for name, values in buffers.items():
                module._buffers[name] = _buffer(module._buffers[name], values)
        self._optimizer.load_state_dict(state["optimizer"])
        _uncast(self._optimizer, state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"], on_change="raise")
        if self._scaler is not None:
            self._scaler.load_state_dict(state["scaler"])
        self.put_objects(state)

    def put_objects(self, state: dict[str, Any]) -> None:
        """Bring what the user's code keeps into ``state``."""
        self._objects.put(state["objects"])


def _check_names(present: Any, saved: Any) -> None:
    if list(present) != list(saved):
        raise ValueError(f"it has {', '.join(saved)}, and the task {', '.join(present)}")


def _buffer(present: torch.Tensor | None, values: torch.Tensor | None) -> torch.Tensor | None:
    """``values`` in the tensor that is there, where they fit."""
    if present is None or values is None:
        return values
    if present.shape != values.shape or present.dtype != values.dtype:
        return values.to(present.device)
    return present.copy_(values)


def _uncast(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Give back the exact types: torch casts an optimizer's state to those of the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = [n for group in saved["param_groups"] for n in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=True):
        state = optimizer.state.get(parameter, {})
        for name, value in saved["state"].get(number, {}).items():
            if isinstance(value, torch.Tensor) and state[name].dtype != value.dtype:
                state[name] = value.to(state[name].device)
