"""Fresh weights for a model that was pretrained: the same network, trained from scratch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fine_tuning.layer_names import unwrapped
from stepsize.errors import InputError

#: Names of parameters in a message.
_MOST_NAMES = 6


def with_fresh_weights(model: nn.Module, seed: int) -> None:
    """Initialise every parameter of ``model`` anew, in place, as its modules do when they are made.

    Each module's ``reset_parameters`` is called; a model of transformers is initialised by its own
    ``_init_weights``, one of timm by its ``init_weights``. What a script did after it had made the
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
    with random_state.seeded(seed), torch.no_grad():
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
    own = _of_transformers(model)
    for module in reversed(list(model.modules())):
        for name in ("reset_parameters", "_reset_parameters"):
            reset = getattr(module, name, None)
            if callable(reset):
                found.append(reset)
                break
        if own is not None:
            found.append(functools.partial(own, module))
    if own is None:
        found += _of_timm(model)
    return found


def _of_transformers(model: nn.Module) -> Callable[[nn.Module], Any] | None:
    """The initialisation of a model of transformers; None of any other."""
    own = getattr(model, "_init_weights", None)
    return own if callable(own) and hasattr(model, "config") else None


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
    shown = ", ".join(names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return InputError(
        f"To train from scratch, all weights are initialised anew, and no module of the model says "
        f"how for {shown}{more}: none has reset_parameters(). Add one, or give a task that makes "
        "the model untrained: scratch_task=make, or leave the comparison out: scratch=False."
    )
