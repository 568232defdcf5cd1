"""Fresh weights for a model that was pretrained: the same network, trained from scratch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fine_tuning.layers.layer_names import unwrapped
from stepsize.adapters.torch.fine_tuning.layers.param_groups import not_held, some_names
from stepsize.errors import InputError
from stepsize.tasks import Task

#: By this transformers marks what came out of a checkpoint; its initialisations leave that alone.
_LOADED = "_is_hf_initialized"


def begin_from_scratch(task: Task, seed: int) -> None:
    """Give a task's model fresh weights, all of which are trained.

    Layers that the task froze because they were pretrained would stay random for ever: they are
    thawed, and the model is in training mode. What the fresh weights leave as it was, such as a
    fixed table of positions, stays frozen.

    Raises:
        InputError: weights that no module knows how to initialise, or thawed ones that the
            optimizer does not hold.

    >>> from stepsize.tasks import load, make_task
    >>> task = make_task(load("digits"), 0)
    >>> _ = task.model[0].requires_grad_(False)
    >>> begin_from_scratch(task, 0); task.model[0].weight.requires_grad
    True
    """
    known = _floats(unwrapped(task.model))
    frozen = {name: p.detach().clone() for name, p in known.items() if not p.requires_grad}
    with_fresh_weights(task.model, seed)
    thawed = {name: known[name] for name, was in frozen.items() if not known[name].equal(was)}
    missing = not_held(task.optimizer, thawed)
    if missing:
        raise InputError(
            "To train from scratch, all weights are initialised anew and trained, those too that "
            f"the task has frozen, and the optimizer does not hold {some_names(missing)}. Give it "
            "all of model.parameters() (what is frozen is not updated), or a task that makes the "
            "model untrained: scratch_task=make (--scratch-task), or leave the comparison out: "
            "scratch=False (--no-scratch)."
        )
    for parameter in thawed.values():
        parameter.requires_grad_(True)
    task.model.train()


def with_fresh_weights(model: nn.Module, seed: int) -> None:
    """Initialise every parameter of ``model`` anew, in place, as its modules do when they are made.

    Each module's ``reset_parameters`` is called; a model of transformers, also one inside of
    ``model``, is initialised by its own ``_init_weights``, whether or not it was loaded; one of
    timm by its ``init_weights``. What a script did after it had made the
    modules (``nn.init`` by hand) is not known here. The caller's random states are untouched.

    Args:
        model: its running statistics begin anew too; other buffers stay.
        seed: decides the weights.

    Raises:
        InputError: parameters that no module knows how to initialise. They are then as they were.

    >>> model = nn.Linear(2, 1); before = model.weight.detach().clone()
    >>> with_fresh_weights(model, 0); bool((model.weight == before).any())
    False
    """
    inner = unwrapped(model)
    before = {name: tensor.detach().clone() for name, tensor in _floats(inner).items()}
    with random_state.seeded(seed), torch.no_grad(), _as_if_not_loaded(inner):
        for tensor in _floats(inner).values():
            tensor.fill_(torch.nan)  # what is still there afterwards was forgotten
        for reset in _resets(inner):
            reset()
        forgotten = [name for name, p in inner.named_parameters() if bool(torch.isnan(p).any())]
        if forgotten:
            for name, tensor in _floats(inner).items():
                tensor.copy_(before[name])
            raise InputError(_unknown(forgotten))


def _floats(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.is_floating_point()}


def _resets(model: nn.Module) -> list[Callable[[], Any]]:
    """What initialises each module, the inner ones first."""
    found: list[Callable[[], Any]] = []
    transformers = _of_transformers(model)
    for module in reversed(list(model.modules())):
        for name in ("reset_parameters", "_reset_parameters"):
            reset = getattr(module, name, None)
            if callable(reset):
                found.append(reset)
                break
        if id(module) in transformers:
            found.append(functools.partial(transformers[id(module)], module))
    if id(model) not in transformers:
        found += _of_timm(model)
    return found


def _of_transformers(model: nn.Module) -> dict[int, Callable[[nn.Module], Any]]:
    """What initialises the modules of models of transformers, by their ids: the innermost's."""
    found: dict[int, Callable[[nn.Module], Any]] = {}
    for module in model.modules():  # the outer ones first
        own = getattr(module, "_init_weights", None)
        if callable(own) and hasattr(module, "config"):
            found.update((id(inner), own) for inner in module.modules())
    return found


@contextmanager
def _as_if_not_loaded(model: nn.Module) -> Iterator[None]:
    """Without the marks of transformers, which come back."""
    everything: list[Any] = [*model.modules(), *model.parameters(), *model.buffers()]
    marks = [(each, vars(each).pop(_LOADED)) for each in everything if _LOADED in vars(each)]
    try:
        yield
    finally:
        for each, mark in marks:
            setattr(each, _LOADED, mark)


def _of_timm(model: nn.Module) -> list[Callable[[], Any]]:
    """What a whole model of timm, or one that is made likewise, does at its end."""
    init = getattr(model, "init_weights", None)
    if not callable(init):
        return []
    needed = [
        p
        for p in inspect.signature(init).parameters.values()
        if p.default is p.empty and p.kind < 2
    ]
    return [] if needed else [init]


def _unknown(names: list[str]) -> InputError:
    return InputError(
        f"To train from scratch, all weights are initialised anew, and no module of the model says "
        f"how for {some_names(names)}: none has reset_parameters(). Add one, or give a task that "
        "makes the model untrained: scratch_task=make (--scratch-task), or leave the comparison "
        "out: scratch=False (--no-scratch)."
    )
