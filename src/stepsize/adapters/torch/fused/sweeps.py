"""The range tests of several repeats as one: each climbs by itself, all are updated together."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import NamedTuple, final

import torch

from stepsize.adapters.torch.fused.alike import why_not_alike
from stepsize.adapters.torch.fused.gradients import UnevenGradientsError
from stepsize.adapters.torch.fused.memory import most_copies
from stepsize.adapters.torch.fused.stack import Stack
from stepsize.adapters.torch.fused.streams import RandomStates, Stream
from stepsize.adapters.torch.probe import TorchProbe
from stepsize.adapters.torch.update import Recipe
from stepsize.finder import FindOptions, swept
from stepsize.rangetest import climb
from stepsize.records import Curve

#: Losses of repeats that differ in nothing are as near to each other as this part of their size.
SAME = 1e-4


@final
class FusedSweeps:
    """Makes range tests together; a :class:`stepsize.finder.Sweeps`.

    Args:
        make_probe: makes the probe of each repeat, with a task of its own.
        recipe: accumulation, precision and clipping; that of the probes.
        compiled: compile the updates.
    """

    def __init__(
        self, make_probe: Callable[[int], TorchProbe], recipe: Recipe, *, compiled: bool = False
    ) -> None:
        self.make_probe, self.recipe, self.compiled = make_probe, recipe, compiled
        self._first: Curve | None = None  # of repeat 0

    @cached_property
    def together(self) -> int:
        """As many as the memory holds, each with a living task beside its copy."""
        with self.make_probe(0) as probe:
            return most_copies(_stream(probe), self.recipe, streams=sys.maxsize)

    def sweep(self, repeats: Sequence[int], options: FindOptions) -> list[Curve]:
        """The curves of ``repeats``, in their order.

        A repeat whose task differs in more than can be stacked is made by itself; all are, where it
        shows on the way that other parameters get gradients than in the updates before.
        """
        curves: list[Curve] = []
        for begin in range(0, len(repeats), self.together):
            some = repeats[begin : begin + self.together]
            try:
                curves += self._swept([self.make_probe(each) for each in some], options)
            except UnevenGradientsError:
                curves += [swept(self.make_probe(each), options) for each in some]
        if self._first is None or repeats[0] == 0:
            self._first = curves[0]
        return _rounded(curves, self._first)

    def _swept(self, probes: Sequence[TorchProbe], options: FindOptions) -> list[Curve]:
        streams = [_stream(probe) for probe in probes]
        alike = [
            place
            for place, stream in enumerate(streams)
            if place == 0 or not why_not_alike(streams[0], stream, self.recipe)
        ]
        found: dict[int, Curve] = {}
        if len(alike) > 1:
            together = [probes[place] for place in alike]
            curves = _swept_together(together, options, self.recipe, compiled=self.compiled)
            found = dict(zip(alike, curves, strict=True))
        return [
            found[place] if place in found else swept(probe, options)
            for place, probe in enumerate(probes)
        ]


def _rounded(curves: list[Curve], first: Curve) -> list[Curve]:
    """The first curve for each, if they differ from it in nothing but rounding.

    Serial repeats that are identical are so to the last digit, and copies of one stack may not be.
    """
    lowest = min(range(len(first)), key=first.loss.__getitem__, default=0)
    shortest = min(len(first), *map(len, curves))
    steady = min(shortest, max(lowest + 1, shortest * 3 // 4))  # later on rounding grows
    same = steady > 0 and all(
        math.isclose(*pair, rel_tol=SAME)
        for curve in curves
        for pair in zip(curve.loss[:steady], first.loss[:steady], strict=True)
    )
    return [first] * len(curves) if same else curves


def _swept_together(
    probes: Sequence[TorchProbe], options: FindOptions, recipe: Recipe, *, compiled: bool
) -> list[Curve]:
    """The range tests of ``probes``, update by update; one that ends leaves the others alone."""
    with ExitStack() as entered:
        # The generators as each probe seeds them are those that its stream goes on from.
        streams = [_stream(entered.enter_context(probe)) for probe in probes]
        stack = Stack(streams, range(len(streams)), recipe, compiled=compiled)
        lanes = [
            _Lane(*pair, stack, place, options)
            for place, pair in enumerate(zip(probes, streams, strict=True))
        ]
        going = lanes
        for lane in going:
            lane.go_on(None)
        while True:
            left = [lane for lane in going if lane.curve is None]
            if not left:
                return [lane.curve for lane in lanes if lane.curve is not None]
            if len(left) < len(going):
                stack.keep([lane.place for lane in left])
                for place, lane in enumerate(left):
                    lane.place = place
            row = _Row(stack.update([lane.lr for lane in left]))
            for lane in left:
                lane.go_on(_Loss(row, lane.place))
            going = left


def _stream(probe: TorchProbe) -> Stream:
    """What a probe trains, and the generators as they are now."""
    batches = probe.batches
    return Stream(probe.model, probe.optimizer, probe.update.loss_fn, batches.next, batches.loader)


class _Row:
    """The losses of all copies before one update."""

    def __init__(self, losses: torch.Tensor) -> None:
        self._losses = losses

    @cached_property
    def values(self) -> list[float]:
        """Their values, waited for once."""
        return self._losses.tolist()


class _Loss(NamedTuple):
    """One copy's loss, unread."""

    row: _Row
    place: int


@final
class _Lane:
    """One repeat among several: its climb, and what it offers to it.

    Attributes:
        place: of its copy in the stack.
        lr: the rate of its next update.
        curve: once it has ended.
    """

    def __init__(
        self, probe: TorchProbe, stream: Stream, stack: Stack, place: int, options: FindOptions
    ) -> None:
        self.probe, self.stream, self.stack = probe, stream, stack
        self.place, self.block = place, probe.block
        self.lr = 0.0
        self.curve: Curve | None = None
        self._climb = climb(self, options.ladder, **options.climbing())

    def go_on(self, loss: _Loss | None) -> None:
        """Hand over the loss of the update that was made, and learn the next rate."""
        try:
            self.lr = self._climb.send(loss)
        except StopIteration as end:
            self.curve = end.value

    def read(self, losses: Sequence[_Loss]) -> list[float]:
        """The values of ``losses``."""
        return [loss.row.values[loss.place] for loss in losses]

    def restart(self) -> None:
        """Back to the start: weights, optimizer, random states and batches."""
        self.probe.restart()
        self.stream.random = RandomStates()
        self.stack.scoop(self.place)

    def held_out_loss(self) -> _Loss:
        """The mean loss of the held-out batches, in eval mode, unread."""
        self.stack.pour(self.place)
        with self.stream.own_random_numbers():
            return _Loss(_Row(self.probe.held_out_loss().reshape(1)), 0)
