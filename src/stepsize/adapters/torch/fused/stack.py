"""``Stack``: many copies of one training, updated together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch

from stepsize.adapters.torch.fused.compiled import CompiledStep, shapes_of
from stepsize.adapters.torch.fused.gradients import (
    UnevenGradientsError,
    kernels_of,
)
from stepsize.adapters.torch.fused.passes import Passes
from stepsize.adapters.torch.fused.rows import Living, Rows
from stepsize.adapters.torch.fused.rules import Rule, Shared
from stepsize.adapters.torch.fused.step import commit, factors_of
from stepsize.adapters.torch.fused.streams import Stream, in_turn
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.errors import require


@final
class Stack:
    """Copies of trainings that differ in their rates alone, or in rates and seeds.

    Every copy has its own weights, buffers and optimizer state, and begins as its stream's living
    task stands. Its losses are those of its own serial run: to about 1e-4 of their size over tens
    of updates in float32, 1e-9 over hundreds in float64. A copy whose loss is not finite is frozen
    at once: its weights stay, and its losses are not finite from then on. Nothing that happens to
    one copy changes another.

    With one stream, the global random generators are the training's, as in a serial run. With
    several, each goes on from ``stream.random``, and the caller's own states are left alone; a
    model that draws random numbers, or whose forward pass or loss keeps a state of its own, is then
    run stream by stream.

    Args:
        streams: living tasks that are alike but for their seeds; they are written to by
            :meth:`pour` alone.
        copies: the place of each copy's stream.
        recipe: how an update is made; without a scaler.
        compiled: make updates by one compiled function from the second one on, where that can be;
            ``why_not_compiled`` says why it was not.

    Raises:
        InputError: no copy, a stream that is not there, or an optimizer that cannot be stepped for
            many copies.

    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> stream = Stream(model, optimizer, lambda model, x: model(x).square().mean(), lambda: x)
    >>> x = torch.ones(4, 3)
    >>> stack = Stack([stream], [0, 0], Recipe())
    >>> first, second = stack.update([0.01, 0.1]), stack.update([0.01, 0.1])
    >>> bool(first[0] == first[1]), bool(second[1] < second[0])
    (True, True)
    """

    _row_of: list[int]

    def __init__(
        self,
        streams: Sequence[Stream],
        copies: Sequence[int],
        recipe: Recipe,
        *,
        compiled: bool = False,
    ) -> None:
        require(
            bool(copies) and all(0 <= stream < len(streams) for stream in copies),
            f"copies are places of the {len(streams)} streams, got {list(copies)}.",
        )
        self.streams, self.recipe = list(streams), recipe
        self._living = [Living(stream.model, stream.optimizer) for stream in streams]
        self._trained = [name for group in self._living[0].groups for name in group.names]
        require(bool(self._trained), "The optimizer has no parameter that is trained.")
        self._device = device_of(streams[0].model)
        self._passes = Passes(self.streams, recipe, self._trained, compiled=compiled)
        self._updated = self._living[0].begun()  # the parameters that get gradients
        order = sorted(range(len(copies)), key=lambda copy: copies[copy])
        self._owners = [copies[copy] for copy in order]  # the place of each row's stream
        self._seat([order.index(copy) for copy in range(len(copies))])
        self._rows = self._living[0].rows(len(copies))
        self._idle = self._living[0].idle()
        self._alive = torch.ones(len(copies), dtype=torch.bool, device=self._device)
        self._all_alive = self._device.type == "cpu"  # elsewhere nobody looks, so as not to wait
        self._wants_compiled = compiled
        self._size = 0  # the rows that the compiled function is for
        self._shapes: tuple[Any, ...] | None = None  # of the batches that are compiled for
        self.gradients: dict[str, torch.Tensor] = {}
        self.why_not_compiled = ""
        for copy in range(len(copies)):
            self.scoop(copy)

    def __len__(self) -> int:
        return len(self._row_of)

    # -- updates ------------------------------------------------------------------------------

    def update(self, rates: Sequence[float]) -> torch.Tensor:
        """Update every copy once.

        Args:
            rates: the rate of each copy's largest group; the others keep their ratio to it.

        Returns:
            The copies' losses before the update, detached, on their device; NaN for copies that
            were frozen before.

        Raises:
            InputError: not one rate to a copy, or copies that have made other numbers of updates.
            RangeTestError: a loss that is no scalar, or has no gradient.
            UnevenGradientsError: other parameters get gradients than before. No copy is changed.
                A compiled update and recurrent layers are looked at now and then only (see
                :class:`~stepsize.adapters.torch.fused.passes.Passes`).
        """
        require(len(rates) == len(self), f"{len(self)} copies need as many rates: {len(rates)}.")
        shared = self._rows.shared
        require(
            all(one is shared[0] or one == shared[0] for one in shared),
            "The copies have not made equally many updates, so they cannot be updated together.",
        )
        for living in self._living:
            living.refresh()
        self.gradients = {}
        drawn = self._draw()
        self._passes.begin()
        losses = self._by_compiler(drawn, rates) if self._wants_compiled else None
        if losses is None:
            losses = self._by_torch(drawn, rates)
        return losses if self._in_order else losses[self._seats]

    def _by_torch(self, drawn: Mapping[int, list[Any]], rates: Sequence[float]) -> torch.Tensor:
        found = self._passes.found(self._rows, self._owners, drawn)
        self._look_at_updated(frozenset(found.gradients))
        living, shared = self._living[0], self._rows.shared[0]
        losses = found.losses.where(self._alive, torch.nan)
        with torch.no_grad():
            self._alive &= found.losses.isfinite()
            if self._all_alive:
                self._all_alive = bool(self._alive.all())
            alive = None if self._all_alive else self._alive
            of_groups = self._rates(rates)
            factors = factors_of(living, shared)
            after = commit(living, self.recipe, self._rows, found, of_groups, factors, alive)
        self._count(after)
        self._idle = frozenset(self._trained) - found.gradients.keys()
        self.gradients = found.gradients
        return losses

    def _by_compiler(
        self, drawn: Mapping[int, list[Any]], rates: Sequence[float]
    ) -> torch.Tensor | None:
        """The losses of an update by the compiled function; None if it is not for this one."""
        if self._passes.looking:
            return None  # what the others need
        living = self._living[0]
        if self._passes.keeps:
            self._leave_compiler("its model or its loss keeps a state of its own")
        elif self._passes.draws:
            self._leave_compiler(
                "its forward pass draws random numbers; a compiled one draws others"
            )
        elif not isinstance(living.rule, Rule):
            self._leave_compiler(f"{type(living.optimizer).__name__} is stepped by torch itself")
        if not self._wants_compiled:
            return None
        several = len(self.streams) > 1
        batches = self._passes.stacked(self._owners, drawn) if several else drawn[0]
        if batches is None:
            return None
        shapes = shapes_of(batches)
        if not self._size:
            self._size, self._shapes = len(self._rows), shapes
        if shapes != self._shapes:
            return None  # the last batch of an epoch: compiling for it would take longer
        try:
            return self._compiled_update(batches, rates)
        except Exception as error:  # noqa: BLE001  (a compiler, over the user's code)
            lines = str(error).strip().splitlines()
            self._leave_compiler(f"{type(error).__name__}: {lines[0] if lines else ''}")
            return None

    def _compiled_update(self, batches: list[Any], rates: Sequence[float]) -> torch.Tensor:
        living = self._living[0]
        used = tuple(name for name in self._trained if name not in self._idle)
        step = self.streams[0].compiled(
            (self.recipe, used, len(self.streams) > 1, self._size, self._shapes),
            lambda: CompiledStep(living, self._passes.measured[0], self.recipe, used),
        )
        of_groups = self._rates(rates)
        factors = torch.tensor(factors_of(living, self._rows.shared[0]), dtype=of_groups.dtype)
        factors = factors.to(self._device, non_blocking=True)
        with kernels_of(self._passes.measured[0]):
            losses = step(self._rows, self._alive, of_groups, factors, batches)
        self._count(None)
        self._all_alive = False  # nobody has looked
        return losses

    def _leave_compiler(self, reason: str) -> None:
        self.why_not_compiled, self._wants_compiled = reason, False
        if self._size:
            self._size = 0
            self._pick(sorted(self._row_of))

    def _count(self, after: Shared | None) -> None:
        """One more update of all copies."""
        if not any(self._rows.state.values()):
            return  # an optimizer without a state counts nothing
        if after is None:
            rule = self._living[0].rule
            assert isinstance(rule, Rule)
            after = rule.after(self._rows.shared[0])
        self._rows.shared = [after] * len(self._rows)

    def _rates(self, rates: Sequence[float]) -> torch.Tensor:
        """``rates[group, row]``, on the device."""
        dtype = self._rows.parameters[self._trained[0]].dtype
        by_row = [0.0] * len(self._rows)
        for row, rate in zip(self._row_of, rates, strict=True):
            by_row[row] = rate
        values = [[rate * group.ratio for rate in by_row] for group in self._living[0].groups]
        return torch.tensor(values, dtype=dtype).to(self._device, non_blocking=True)

    def _draw(self) -> dict[int, list[Any]]:
        """Each stream's batches of an update."""
        if len(self.streams) == 1:
            return {0: self._drawn(0)}
        used = {place: self.streams[place] for place in dict.fromkeys(self._owners)}
        return in_turn(used, self._drawn)

    def _drawn(self, place: int) -> list[Any]:
        return [self.streams[place].draw() for _ in range(self.recipe.accumulate)]

    def _look_at_updated(self, names: frozenset[str]) -> None:
        """An optimizer counts the updates of each parameter; copies have one count for all.

        An optimizer that keeps nothing counts nothing, but a compiled update is made for the
        gradients that there were.
        """
        counts = self._wants_compiled or any(self._rows.state.values())
        if self._updated and counts and names != self._updated:
            raise UnevenGradientsError
        self._updated = names

    # -- copies -------------------------------------------------------------------------------

    def freeze(self, copy: int) -> None:
        """Let a copy be as it is from now on: no update changes it, and its losses are NaN."""
        self._alive[self._row_of[copy]] = False
        self._all_alive = False

    def keep(self, copies: Sequence[int]) -> None:
        """Forget all copies but these, which take the places 0, 1, ... in this order.

        Raises:
            InputError: none, or one that is not there, or one twice.
        """
        require(
            0 < len(copies) == len(set(copies)) and set(copies) <= set(range(len(self))),
            f"Copies to keep are some of the {len(self)} there are, got {list(copies)}.",
        )
        kept = sorted(self._row_of[copy] for copy in copies)
        self._row_of = [kept.index(self._row_of[copy]) for copy in copies]
        if len(kept) <= self._size / 2:
            self._size, self._shapes = 0, None  # from here on, compiling again costs less
        self._pick(kept)

    def _pick(self, rows: list[int]) -> None:
        """Have these rows alone, and frozen ones behind them if a function is for more rows."""
        picked = rows + rows[-1:] * max(0, self._size - len(rows))
        self._rows = self._rows.picked(picked)
        self._owners = [self._owners[row] for row in picked]
        self._alive = self._alive[picked]
        self._alive[len(rows) :] = False
        self._all_alive = self._device.type == "cpu" and bool(self._alive.all())
        self._seat(self._row_of)

    def scoop(self, copy: int) -> None:
        """Make a copy what its stream's living task is: weights, buffers, optimizer state.

        Raises:
            InputError: parameters that the optimizer has updated differently often.
        """
        row = self._row_of[copy]
        self._living[self._owners[row]].scoop(self._rows, row)
        self._alive[row] = True

    def pour(self, copy: int) -> None:
        """Make its stream's living task what a copy is, in place."""
        row = self._row_of[copy]
        self._living[self._owners[row]].pour(self._rows, row, self._idle)

    def rows_of(self, copies: Sequence[int]) -> Rows:
        """The weights, buffers and states of some copies, apart from the stack's own."""
        return self._rows.picked([self._row_of[copy] for copy in copies])

    def _seat(self, row_of: list[int]) -> None:
        """Remember the row of each copy."""
        self._row_of = row_of
        self._in_order = row_of == list(range(len(self._owners)))
        self._seats = torch.tensor(row_of, device=self._device)
