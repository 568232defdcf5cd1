"""The sweeps of ``find_rates``: every layer group alone, all together, over the same batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.fine_tuning.layers.layer_names import parameters_by_name
from stepsize.adapters.torch.fine_tuning.layers.param_groups import regroup
from stepsize.adapters.torch.fine_tuning.measuring.group_probe import GroupProbe, KeptBatches
from stepsize.adapters.torch.group_rates import starting_rates
from stepsize.adapters.torch.update import LossFn, Recipe, device_of
from stepsize.errors import InputError
from stepsize.finder import FindOptions, swept
from stepsize.fine_tuning.layer_groups import LayerGroup, LayerGroups
from stepsize.records import Curve

Losses = list[torch.Tensor]


@final
class GroupSweeps:
    """Makes the curves; to be used inside a transaction, for it rewrites the optimizer's groups.

    Args:
        model: as for :func:`find_rates`; so are the others.
        optimizer: is regrouped, and its groups' indices are those of ``groups`` afterwards.
        loss_fn: ``loss_fn(model, batch)``.
        loader: of batches.
        groups: all of the model's layer groups, or some.
        options: the ladder, repeats, stop rules and the seed.
        recipe: accumulation, precision, clipping.
        also: further things that ``loss_fn`` changes.

    Attributes:
        spent: updates so far; three forward passes alone count as one.
        present_rate: the largest of the rates that the optimizer had.

    Raises:
        InputError: groups of another model.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFn,
        loader: Iterable[Any],
        groups: LayerGroups,
        options: FindOptions,
        *,
        recipe: Recipe,
        also: Iterable[object],
    ) -> None:
        self.parts = (model, optimizer, loss_fn)
        self.groups, self.options, self.recipe, self.also = groups, options, recipe, tuple(also)
        known = parameters_by_name(model)
        _check_names(known, groups)
        regroup(optimizer, model, _with_rest(model, groups))
        self.present_rate = max(starting_rates(optimizer.param_groups))
        self.parameters = [[known[name] for name in group.parameters] for group in groups]
        self.rest = [p for p in model.parameters() if id(p) not in _ids(self.parameters)]
        self.updates = sum(rung.updates for rung in options.ladder.rungs())
        self.spent = 0
        self.stream = Batches(loader)
        where = device_of(model)
        self.batches = [KeptBatches(self.stream, where) for _ in range(options.repeats)]
        self.idle: list[Losses] = []
        self.reached: set[int] = set()
        self._measure_idle()

    def close(self) -> None:
        """Let go of the loader's iterators and of the kept batches."""
        for batches in (self.stream, *self.batches):
            batches.close()

    def together(self, ratios: Sequence[float]) -> list[Curve]:
        """All groups climb, each at its ratio to the largest: one curve per repeat."""
        return [
            self._swept(repeat, idle, self.rest, ratios) for repeat, idle in enumerate(self.idle)
        ]

    def alone(self, index: int, rate: float | None = None) -> list[Curve]:
        """One group climbs; the others rest, or train at ``rate``: one curve per repeat.

        None are made for a group in which nothing is trained or that the loss does not depend on.
        """
        if not any(p.requires_grad and id(p) in self.reached for p in self.parameters[index]):
            return []
        count = len(self.groups)
        ratios = [float(i == index) for i in range(count)]
        if rate is None:
            others = [p for i, group in enumerate(self.parameters) if i != index for p in group]
            resting = [*self.rest, *others]
            return [self._swept(r, idle, resting, ratios) for r, idle in enumerate(self.idle)]
        fixed = {i: rate for i in range(count) if i != index}
        curves = []
        for repeat in range(self.options.repeats):
            idle = self._trained_without(index, repeat, fixed)
            curves.append(self._swept(repeat, idle, self.rest, ratios, fixed))
        return curves

    def _swept(
        self,
        repeat: int,
        idle: Losses,
        frozen: Sequence[nn.Parameter],
        ratios: Sequence[float],
        fixed: dict[int, float] | None = None,
    ) -> Curve:
        curve = swept(self._probe(repeat, frozen, ratios, fixed, idle), self.options)
        self.spent += curve.spent
        return curve

    def _trained_without(self, index: int, repeat: int, fixed: dict[int, float]) -> Losses:
        """The losses while the others train at their rates and group ``index`` does not."""
        ratios = [0.0] * len(self.groups)
        frozen = [*self.rest, *self.parameters[index]]
        probe = self._probe(repeat, frozen, ratios, fixed, [])
        losses: Losses = []
        with probe:
            while len(losses) < self.updates:
                losses.append(probe.step(0.0))
                self.spent += 1
                if not math.isfinite(losses[-1].item()):
                    losses.extend(losses[-1:] * (self.updates - len(losses)))
        return losses

    def _measure_idle(self) -> None:
        """The losses of every repeat's batches at the start, and what they depend on."""
        count = len(self.groups)
        for repeat, batches in enumerate(self.batches):
            if repeat:
                self.stream.reorder(self.options.seed + repeat)
            probe = self._probe(repeat, self.rest, (1.0,) * count, None, [])
            with probe:
                self.idle.append(probe.idle_losses(self.updates))
                self.spent += math.ceil(self.updates / 3)
                if not repeat:
                    batches.rewind()
                    self.reached = probe.reached()

    def _probe(
        self,
        repeat: int,
        frozen: Sequence[nn.Parameter],
        ratios: Sequence[float],
        fixed: dict[int, float] | None,
        idle: Losses,
    ) -> GroupProbe:
        first = int(bool(self.rest))  # the group of what rests comes first
        return GroupProbe(
            *self.parts,
            self.batches[repeat],
            frozen=frozen,
            ratios=(0.0,) * first + tuple(ratios),
            fixed={index + first: rate for index, rate in (fixed or {}).items()},
            idle=idle,
            recipe=self.recipe,
            also=self.also,
            seed=self.options.seed + repeat,
        )


def _with_rest(model: nn.Module, groups: LayerGroups) -> LayerGroups:
    """The groups with one more, in front, of the parameters that are in none."""
    held = {name for group in groups for name in group.parameters} | set(groups.tied)
    known = parameters_by_name(model)
    seen = {id(known[name]) for name in held if name in known}
    rest: dict[int, str] = {}
    for name, parameter in known.items():
        if id(parameter) not in seen:
            rest.setdefault(id(parameter), name)
    if not rest:
        return groups
    numel = sum(known[name].numel() for name in rest.values())
    label = "the rest" if "the rest" not in groups.names else "the rest of the model"
    first = LayerGroup(label, (), tuple(rest.values()), numel, 0)
    return LayerGroups((first, *groups), groups.order, groups.tied, groups.notes)


def _check_names(known: dict[str, nn.Parameter], groups: LayerGroups) -> None:
    missing = [name for group in groups for name in group.parameters if name not in known]
    if missing:
        raise InputError(
            f"These layer groups are those of another model: it has no parameter {missing[0]}. "
            "Make them anew: stepsize.transfer.groups(model)."
        )


def _ids(parameters: Sequence[Sequence[nn.Parameter]]) -> set[int]:
    return {id(parameter) for group in parameters for parameter in group}
