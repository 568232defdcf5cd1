"""In which order a forward pass calls a model's modules, again and again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch.fine_tuning.layers.example_input import example_inputs
from stepsize.adapters.torch.fine_tuning.layers.forward_order import call, refusal
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.object_state import ObjectState


def call_order(model: nn.Module, example: Any = None) -> list[nn.Module]:
    """The modules of one forward pass in the order of their calls, as often as they are called.

    The pass is made in eval mode without gradients, and whatever it changes comes back.

    Args:
        model: unwrapped.
        example: as for :func:`groups`. Without it one is guessed; where none can be run, nothing
            is known, and the list is empty.

    Raises:
        InputError: the model cannot be run on the example.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> [type(module).__name__ for module in call_order(model, torch.zeros(1, 2))]
    ['Sequential', 'Linear', 'ReLU']
    """
    if example is None:
        return _first_that_runs(model, example_inputs(model))
    try:
        return _called(model, example)
    except Exception as error:
        raise refusal(example, error) from error


def _first_that_runs(model: nn.Module, guesses: Iterable[Any]) -> list[nn.Module]:
    for guess in guesses:
        try:
            return _called(model, guess)
        except Exception:  # noqa: BLE001 - a model may raise anything; the next may do
            continue
    return []


def _called(model: nn.Module, example: Any) -> list[nn.Module]:
    called: list[nn.Module] = []

    def note(module: nn.Module) -> Callable[[nn.Module, Any], None]:
        return lambda _module, _given: called.append(module)

    objects = ObjectState(example)  # what a loss of the user's has enclosed
    before = objects.take()
    try:
        with Transaction(model), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # a guess may be an odd input
            for module in model.modules():
                module.register_forward_pre_hook(note(module))
            model.eval()
            call(model, example)
    finally:
        objects.put(before)
    return called
