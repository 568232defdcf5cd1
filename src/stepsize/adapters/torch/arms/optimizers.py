"""Optimizers that an arm may be trained with instead of the task's own, by name."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch.optim import Optimizer

from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.errors import InputError, MissingDependencyError, did_you_mean
from stepsize.tasks import Task

Groups = list[dict[str, Any]]

#: A schedule sets the rates before the first update; only their ratios count.
_PLACEHOLDER_LR = 1e-3


def with_optimizer(task: Task, name: str) -> Task:
    """The task with another optimizer over the same parameter groups; itself without a name.

    The ratios of the groups' rates are kept, and the groups' weight decay if any has one: without,
    the other optimizer's own default holds. What else the groups say is dropped, but for
    ``maximize``.

    Args:
        task: freshly made.
        name: one of :data:`OPTIMIZERS`.

    Raises:
        InputError: an unknown name.
        MissingDependencyError: the optimizer's package is not installed.

    >>> from stepsize.tasks import load, make_task
    >>> optimizer = with_optimizer(make_task(load("digits"), 0), "adamw").optimizer
    >>> type(optimizer).__name__, optimizer.param_groups[0]["weight_decay"]
    ('AdamW', 0.01)
    """
    if not name:
        return task
    if name not in OPTIMIZERS:
        raise InputError(
            f"There is no optimizer {name!r:.80} for an arm.{did_you_mean(name, OPTIMIZERS)} "
            f"There are {', '.join(OPTIMIZERS)}."
        )
    return replace(task, optimizer=OPTIMIZERS[name](_groups(task.optimizer)))


def _groups(optimizer: Optimizer) -> Groups:
    """The parameter groups with what another optimizer takes over."""
    groups = optimizer.param_groups
    kept = ["maximize"] if any(group.get("maximize") for group in groups) else []
    kept += ["weight_decay"] if any(group.get("weight_decay") for group in groups) else []
    return [
        {
            "params": list(group["params"]),
            "lr": ratio * _PLACEHOLDER_LR,
            **{name: group[name] for name in kept if name in group},
        }
        for group, ratio in zip(groups, GroupRates(optimizer).ratios, strict=True)
    ]


def _adamw(groups: Groups) -> Optimizer:
    return torch.optim.AdamW(groups)


def _schedule_free(groups: Groups) -> Optimizer:
    """AdamW whose weights are averaged on the way; it is judged at the mean."""
    module = _imported("schedulefree", "schedulefree")
    optimizer: Any = module.AdamWScheduleFree(groups)
    optimizer.train()
    return optimizer  # type: ignore[no-any-return]


def _momo(groups: Groups) -> Optimizer:
    """Adam whose step is also bounded by what the loss, taken to be above 0, can still fall."""
    base: Any = _imported("momo", "momo-opt").MomoAdam

    original = inspect.unwrap(base.step)  # torch may have wrapped it, which counts updates

    class MomoAdam(base):  # type: ignore[misc]
        """Takes its loss from a closure; keeps all its numbers in its state."""

        def step(self, closure: Callable[[], Any]) -> Any:
            """Make one update."""
            with warnings.catch_warnings():  # its bound is over all groups together, as it should
                warnings.filterwarnings("ignore", "More than one param group")
                return original(self, closure=closure)

        def state_dict(self) -> dict[str, Any]:
            """The state, with what the original leaves out."""
            numbers = {name: getattr(self, name) for name in _MOMO_NUMBERS}
            return {**super().state_dict(), "numbers": numbers}

        def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
            """Go on from what :meth:`state_dict` gave."""
            rest = dict(state_dict)
            for name, number in rest.pop("numbers").items():
                setattr(self, name, number)
            super().load_state_dict(rest)

    optimizer: Optimizer = MomoAdam(groups)
    return optimizer


_MOMO_NUMBERS = ("_number_steps", "loss_avg", "lb")

#: Makes an optimizer over parameter groups, by the name that an arm gives.
OPTIMIZERS: Mapping[str, Callable[[Groups], Optimizer]] = MappingProxyType(
    {"adamw": _adamw, "schedule_free": _schedule_free, "momo": _momo}
)


def _imported(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"An arm with this optimizer needs the package {package}, which cannot be imported "
            f"({error}): pip install {package}."
        ) from error
