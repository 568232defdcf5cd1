"""A whole update of many copies as one compiled function: gradients and optimizer in one graph."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch.utils import _pytree as pytree

from stepsize.adapters.torch.fused.gradients import Each, Measured, gradients_of
from stepsize.adapters.torch.fused.rows import Living, Rows
from stepsize.adapters.torch.fused.step import commit
from stepsize.adapters.torch.update import Recipe


@final
class CompiledStep:
    """Updates copies by one compiled function.

    Args:
        living: whose optimizer it is; its update is a formula.
        measured: the model and its loss, which draws no random numbers.
        recipe: how an update is made.
        used: the trained parameters that the loss depends on.
    """

    def __init__(
        self,
        living: Living,
        measured: Measured,
        recipe: Recipe,
        used: Sequence[str],
    ) -> None:
        self._living = living
        self._new = True

        def step(
            parameters: Any,
            buffers: Any,
            state: Any,
            alive: torch.Tensor,
            rates: torch.Tensor,
            factors: Any,
            batches: Any,
        ) -> torch.Tensor:
            found = gradients_of(measured, recipe, batches, parameters, buffers, used, inside=True)
            with torch.no_grad():
                losses = found.losses.where(alive, torch.nan)
                finite = alive & losses.isfinite()
                rows = Rows(parameters, buffers, state, [])
                commit(living, recipe, rows, found, rates, factors.unbind(), finite)
                alive.copy_(finite)
            return losses

        # A compiler counts how often a piece of code was compiled: each of these is its own.
        code = step.__code__.replace(co_name=f"step_{id(self)}")
        own = types.FunctionType(code, step.__globals__, code.co_name, None, step.__closure__)
        self._step: Callable[..., torch.Tensor] = torch.compile(own, fullgraph=True, dynamic=False)

    def __call__(
        self,
        rows: Rows,
        alive: torch.Tensor,
        rates: torch.Tensor,
        factors: torch.Tensor,
        batches: Sequence[Any],
    ) -> torch.Tensor:
        """Update copies in place, ``alive`` included; returns the losses before.

        Raises:
            Exception: it cannot be compiled; nothing has been changed.
        """
        self._living.refresh()
        given = (rows.parameters, rows.buffers, rows.state, alive, rates, factors, list(batches))
        if not self._new:
            return self._step(*given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler's own making
            losses = self._step(*given)
        self._new = False
        return losses


def shapes_of(batches: Sequence[Any]) -> tuple[Any, ...]:
    """What a compiled function is made for: the shapes of the batches of an update.

    >>> shapes_of([(torch.zeros(4, 3), "name")])
    (torch.Size([4, 3]),)
    """
    plain = [batch.tensors if isinstance(batch, Each) else batch for batch in batches]
    leaves = pytree.tree_leaves(plain)
    return tuple(leaf.shape for leaf in leaves if isinstance(leaf, torch.Tensor))
