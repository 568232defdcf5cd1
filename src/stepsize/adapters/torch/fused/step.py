"""The second half of an update: from gradients to weights, for all copies at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.optim import Optimizer

from stepsize.adapters.torch.fused.gradients import Gradients, clipped, spread
from stepsize.adapters.torch.fused.rows import Group, Living, Rows
from stepsize.adapters.torch.fused.rules import Factors, Rule, Shared, Slot
from stepsize.adapters.torch.fused.stock import step_rescaled
from stepsize.adapters.torch.update import Recipe


def factors_of(living: Living, shared: Shared) -> list[tuple[float, ...]]:
    """The factors of the coming update, group by group; none for a rule without."""
    rule = living.rule
    if not isinstance(rule, Rule):
        return [() for _ in living.groups]
    return [rule.factors(group.options, shared) for group in living.groups]


def commit(
    living: Living,
    recipe: Recipe,
    rows: Rows,
    found: Gradients,
    rates: torch.Tensor,
    factors: Sequence[Factors],
    alive: torch.Tensor | None,
) -> Shared | None:
    """Make an update of ``rows``, in place.

    Returns what their parameters have in common then, if torch's own step has said it.

    Args:
        living: whose optimizer it is.
        recipe: its limits of the gradients.
        rows: the copies.
        found: their gradients and new buffers.
        rates: ``rates[group, copy]``.
        factors: of each group.
        alive: which copies are updated; None for all.
    """
    gradients = clipped(found.gradients, recipe)
    touched = written(rows, gradients) if alive is not None else []
    before = [tensor.clone() for tensor in touched]
    shared = _updated(living, rows, gradients, rates, factors)
    for tensor, old in zip(touched, before, strict=True):
        assert alive is not None
        tensor.copy_(torch.where(spread(alive, tensor), tensor, old))
    for name, buffer in found.buffers.items():
        old = rows.buffers[name]
        old.copy_(buffer if alive is None else torch.where(spread(alive, old), buffer, old))
    return shared


def written(rows: Rows, gradients: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The weights and states that an update with these gradients writes to."""
    return [
        tensor
        for name in gradients
        for tensor in (rows.parameters[name], *rows.state[name].values())
    ]


def _updated(
    living: Living,
    rows: Rows,
    gradients: Mapping[str, torch.Tensor],
    rates: torch.Tensor,
    factors: Sequence[Factors],
) -> Shared | None:
    pairs = [
        (group, _slots(group, rows, gradients, rate))
        for group, rate in zip(living.groups, rates.unbind(), strict=True)
    ]
    rule = living.rule
    if isinstance(rule, Rule):
        plain = rule.at_once is None or torch.compiler.is_compiling()
        for (group, slots), of_group in zip(pairs, factors, strict=True):
            if not plain and _have_kernels(slots):
                assert rule.at_once is not None
                rule.at_once(group.options, slots, rows.shared[0])
                continue
            for slot in slots:
                rule.update(group.options, slot, of_group)
        return None
    kind: type[Optimizer] = type(living.optimizer)
    filled = [(group.options, slots) for group, slots in pairs if slots]
    return step_rescaled(kind, filled, rows.shared[0])


def _have_kernels(slots: Sequence[Slot]) -> bool:
    return bool(slots) and slots[0].parameter.device.type in ("cpu", "cuda")


def _slots(
    group: Group, rows: Rows, gradients: Mapping[str, torch.Tensor], rates: torch.Tensor
) -> list[Slot]:
    """The parameters of a group that have a gradient."""
    return [
        Slot(
            rows.parameters[name],
            gradients[name],
            rows.state[name],
            spread(rates, gradients[name]).to(gradients[name].dtype),
        )
        for name in group.names
        if name in gradients
    ]
