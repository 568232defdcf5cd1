"""Everything that a training changes, beside where it stands in its batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.optim import Optimizer

from stepsize.adapters.torch.scheduled_lr import ScheduledLR
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.tasks import Task


class OwnStates(NamedTuple):
    """What a task's own objects keep.

    Attributes:
        objects: of the model and the loss.
        loader: of the training batches.
    """

    objects: ObjectState
    loader: ObjectState

    @classmethod
    def of(cls, task: Task) -> OwnStates:
        """Those of a freshly made task: what is taken later is told apart from what was there."""
        return cls(ObjectState(task.model, task.loss), ObjectState(task.train))


class TrainingState:
    """Weights, buffers and what the user's code keeps, the optimizer, its scheduler, a scaler.

    Args:
        optimizer: the task's.
        scheduler: the optimizer's.
        scaler: a ``GradScaler``, or None.
        objects: of the task's model and loss.
    """

    def __init__(
        self, optimizer: Optimizer, scheduler: ScheduledLR, scaler: Any, objects: ObjectState
    ) -> None:
        self._optimizer = optimizer
        self._scheduler, self._scaler, self._objects = scheduler, scaler, objects

    def take(self) -> dict[str, Any]:
        """The state; its tensors are the living ones."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": None if self._scaler is None else self._scaler.state_dict(),
            "objects": self._objects.take(copy=False),
        }

    @property
    def can_go_back(self) -> bool:
        """Whether any state can be put, although the task has been trained."""
        return self._objects.can_go_back

    def put(self, state: dict[str, Any], on_change: str = "raise") -> None:
        """Go on from ``state``.

        Args:
            state: what :meth:`take` gave.
            on_change: what to do if its schedule is another one: ``"raise"`` or ``"ignore"``.

        Raises:
            Exception: it does not fit the task.
        """
        self.put_objects(state)
        self._optimizer.load_state_dict(state["optimizer"])
        _uncast(self._optimizer, state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"], on_change)
        self.put_scaler(state["scaler"])

    def put_objects(self, state: dict[str, Any]) -> None:
        """Bring the weights, the buffers and what the user's code keeps into ``state``."""
        self._objects.put(state["objects"])

    def put_scaler(self, state: Any) -> None:
        """Bring the scaler, if there is one, into ``state``."""
        if self._scaler is not None:
            self._scaler.load_state_dict(state)


def _uncast(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Give back the exact types: torch casts an optimizer's state to those of the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = [n for group in saved["param_groups"] for n in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=True):
        state = optimizer.state.get(parameter, {})
        for name, value in saved["state"].get(number, {}).items():
            if isinstance(value, torch.Tensor) and state[name].dtype != value.dtype:
                state[name] = value.to(state[name].device)
