"""The state of a training, put aside in the CPU's memory and taken back to where it was."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from typing import Any, final

import torch


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A tensor of some device."""

    values: torch.Tensor
    device: torch.device


def put_aside(state: Any) -> Any:
    """A copy of nested containers, which nothing that happens to ``state`` later can reach."""
    if isinstance(state, torch.Tensor):
        return _Kept(state.detach().to("cpu", copy=True), state.device)
    return _each(state, put_aside)


def taken_back(state: Any) -> Any:
    """What :func:`put_aside` was given, as a copy again: ``state`` can be taken back many times.

    >>> state = {"weights": [torch.ones(1)], "updates": 3}
    >>> aside = put_aside(state)
    >>> taken_back(aside)["weights"][0].add_(1), taken_back(aside)
    (tensor([2.]), {'weights': [tensor([1.])], 'updates': 3})
    """
    if isinstance(state, _Kept):
        return state.values.to(state.device, copy=True)
    return _each(state, taken_back)


def to_bytes(aside: Any) -> bytes:
    """What :func:`put_aside` gave, to be sent to another process."""
    buffer = io.BytesIO()
    torch.save(aside, buffer)
    return buffer.getvalue()


def from_bytes(content: bytes) -> Any:
    """What :func:`to_bytes` was given; only for what one's own workers have sent.

    >>> taken_back(from_bytes(to_bytes(put_aside({"weights": torch.ones(2)}))))
    {'weights': tensor([1., 1.])}
    """
    return torch.load(io.BytesIO(content), weights_only=False)


def _each(state: Any, function: Any) -> Any:
    if isinstance(state, dict):
        return {name: _each_or(value, function) for name, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(_each_or(value, function) for value in state)
    return copy.deepcopy(state)


def _each_or(value: Any, function: Any) -> Any:
    """Numbers and texts, of which there are many, without a further call."""
    return value if type(value) in (int, float, str, bool) else function(value)
