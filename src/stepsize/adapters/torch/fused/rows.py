"""The copies' weights, buffers and optimizer states: stacked tensors, one row to a copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn
from torch.optim import Adagrad, Optimizer

from stepsize.adapters.torch.fused.rules import BEGUN, FORMULAS, Options, Rule, Shared
from stepsize.adapters.torch.fused.stock import STOCK, Stock
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class Group:
    """A parameter group.

    Attributes:
        options: the living optimizer's, read at every update.
        names: of its parameters that are trained.
        ratio: of its rate to the largest group's.
    """

    options: Options
    names: tuple[str, ...]
    ratio: float


@final
@dataclass(eq=False)
class Rows:
    """The state of several copies; every tensor's first dimension counts them.

    Attributes:
        parameters: by the model's names, the frozen ones too; a tied one has one name.
        buffers: by the model's names.
        state: the optimizer's tensors by the parameter's name and torch's name.
        shared: of each copy, what its parameters have in common, such as the count of updates.
    """

    parameters: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]
    state: dict[str, dict[str, torch.Tensor]]
    shared: list[Shared]

    def __len__(self) -> int:
        return len(self.shared)

    def part(self, start: int, stop: int) -> Rows:
        """The rows from ``start`` to before ``stop``, as views: what is written there is here."""
        return self._each(lambda tensor: tensor[start:stop], self.shared[start:stop])

    def picked(self, rows: Sequence[int]) -> Rows:
        """Some rows, in this order, as copies."""
        return self._each(
            lambda tensor: tensor[list(rows)].contiguous(), [self.shared[row] for row in rows]
        )

    def _each(self, function: Callable[[torch.Tensor], torch.Tensor], shared: list[Shared]) -> Rows:
        return Rows(
            {name: function(tensor) for name, tensor in self.parameters.items()},
            {name: function(tensor) for name, tensor in self.buffers.items()},
            {
                name: {key: function(tensor) for key, tensor in state.items()}
                for name, state in self.state.items()
            },
            shared,
        )


@final
class Living:
    """A living task's tensors by name, for copies to be taken from and poured into.

    Attributes:
        rule: how its optimizer updates.
        groups: its parameter groups.

    Raises:
        InputError: an optimizer that has no rule.
    """

    groups: tuple[Group, ...]

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.parameters = dict(model.named_parameters())
        self.rule = rule_of(optimizer)
        self._ratios = GroupRates(optimizer).ratios
        self._groups: Any = None
        self.refresh()

    def refresh(self) -> None:
        """Look at the optimizer's groups again: loading a state gives it new ones."""
        groups = self.optimizer.param_groups
        if self._groups is groups:
            return
        self._groups = groups
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        self.groups = tuple(
            Group(group, tuple(names[id(p)] for p in group["params"] if p.requires_grad), ratio)
            for group, ratio in zip(groups, self._ratios, strict=True)
        )

    def rows(self, count: int) -> Rows:
        """So many rows, empty; :meth:`scoop` fills each."""

        def empty(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.detach().new_zeros((count, *tensor.shape))

        state = {
            name: {key: empty(self.parameters[name]) for key in self.rule.tensors(group.options)}
            for group in self.groups
            for name in group.names
        }
        return Rows(
            {name: empty(parameter) for name, parameter in self.parameters.items()},
            {name: empty(buffer) for name, buffer in self.model.named_buffers()},
            state,
            [dict(self.rule.start) for _ in range(count)],
        )

    @torch.no_grad()
    def scoop(self, rows: Rows, row: int) -> None:
        """Make ``row`` what the living task is.

        Raises:
            InputError: parameters that have been updated differently often.
        """
        for name, parameter in self.parameters.items():
            rows.parameters[name][row].copy_(parameter)
        for name, buffer in self.model.named_buffers():
            rows.buffers[name][row].copy_(buffer)
        for name, state in rows.state.items():
            kept = self.optimizer.state.get(self.parameters[name], {})
            for key, tensor in state.items():
                value = kept.get(key)
                tensor[row] = 0 if value is None else value
        rows.shared[row] = self._shared()

    @torch.no_grad()
    def pour(self, rows: Rows, row: int, idle: frozenset[str]) -> None:
        """Make the living task what ``row`` is, in place.

        Args:
            rows: of all copies.
            row: which.
            idle: parameters that the model does not use, whose optimizer state nothing changes.
        """
        for name, parameter in self.parameters.items():
            parameter.copy_(rows.parameters[name][row])
        for name, buffer in self.model.named_buffers():
            buffer.copy_(rows.buffers[name][row])
        shared = rows.shared[row]
        # Before its first update an optimizer has no state; Adagrad has one.
        none = shared == self.rule.start and not isinstance(self.optimizer, Adagrad)
        for group in self.groups:
            for name in group.names:
                parameter, state = self.parameters[name], rows.state[name]
                if name in idle or not state:
                    continue
                if none:
                    self.optimizer.state.pop(parameter, None)
                    continue
                tensors = {key: tensor[row] for key, tensor in state.items()}
                _fill(self.optimizer.state[parameter], parameter, tensors, shared, group)

    def idle(self) -> frozenset[str]:
        """Parameters that have not been updated, where others have: the model does not use them."""
        numbers, begun = self._numbers(), self.begun()
        return frozenset(numbers) - begun if begun else frozenset()

    def begun(self) -> frozenset[str]:
        """Parameters whose state says that they have been updated."""
        return frozenset(name for name, one in self._numbers().items() if one != self.rule.start)

    def _shared(self) -> Shared:
        idle = self.idle()
        found = [one for name, one in self._numbers().items() if name not in idle]
        if any(one != found[0] for one in found):
            raise InputError(
                "The optimizer has updated some parameters more often than others, so their copies "
                "cannot be updated together."
            )
        return found[0] if found else dict(self.rule.start)

    def _numbers(self) -> dict[str, Shared]:
        """What parameters have in common, as the state of each says it."""
        names = [name for group in self.groups for name in group.names]
        states = {name: self.optimizer.state.get(self.parameters[name]) or {} for name in names}
        if BEGUN in self.rule.start:
            return {
                name: {BEGUN: float(state.get("momentum_buffer") is not None)}
                for name, state in states.items()
            }
        start = self.rule.start
        return {
            name: {key: float(state.get(key, start[key])) for key in start}
            for name, state in states.items()
        }


def rule_of(optimizer: Optimizer) -> Rule | Stock:
    """How an optimizer is stepped for many copies.

    Raises:
        InputError: no way is known.

    >>> weight = torch.zeros(1, requires_grad=True)
    >>> rule_of(torch.optim.NAdam([weight])).names
    ('exp_avg', 'exp_avg_sq')
    """
    rule = FORMULAS.get(type(optimizer)) or STOCK.get(type(optimizer))
    if rule is None:
        raise InputError(
            f"{type(optimizer).__module__}.{type(optimizer).__qualname__} is none of the "
            "optimizers whose update is known to be elementwise and linear in its rate: "
            f"{', '.join(sorted(kind.__name__ for kind in (*FORMULAS, *STOCK)))}."
        )
    return rule


def _fill(
    state: dict[str, Any],
    parameter: torch.Tensor,
    tensors: Mapping[str, torch.Tensor],
    shared: Shared,
    group: Group,
) -> None:
    """Write one parameter's state; what is not there yet is made as torch makes it."""
    for key, value in shared.items():
        if key == BEGUN:
            continue
        if not isinstance(state.get(key), torch.Tensor):
            on_device = group.options.get("capturable") or group.options.get("fused")
            double = torch.get_default_dtype() == torch.float64
            state[key] = torch.zeros(
                (),
                dtype=torch.float64 if double else torch.float32,
                device=parameter.device if on_device else None,
            )
        state[key].fill_(value)
    for key, tensor in tensors.items():
        if state.get(key) is None:
            state[key] = torch.empty_like(parameter)
        state[key].copy_(tensor)
