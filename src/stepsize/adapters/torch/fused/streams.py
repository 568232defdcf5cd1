"""Where copies that are trained together get their batches and their random numbers from."""

from __future__ import annotations

import contextlib
import functools
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, final

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils import _pytree as pytree

from stepsize.adapters.torch.update import LossFn

T = TypeVar("T")


@final
class RandomStates:
    """The states of all global random generators at one moment.

    >>> before = RandomStates(); first = torch.rand(1)
    >>> after = RandomStates(); before.put(); bool(torch.rand(1) == first), after == RandomStates()
    (True, True)
    """

    def __init__(self) -> None:
        numpy: Any = sys.modules.get("numpy")
        self.python = random.getstate()
        self.cpu = torch.get_rng_state()
        self.numpy = None if numpy is None else numpy.random.get_state()
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self.cuda = torch.cuda.get_rng_state_all() if used else []
        self.mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def put(self) -> None:
        """Let the generators go on from here."""
        random.setstate(self.python)
        torch.set_rng_state(self.cpu)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        if self.mps is not None:
            torch.mps.set_rng_state(self.mps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RandomStates):
            return NotImplemented
        return self._numbers() == other._numbers() and all(
            torch.equal(mine, theirs)
            for mine, theirs in zip(self._tensors(), other._tensors(), strict=False)
        )

    __hash__ = None  # type: ignore[assignment]  # compared by what they hold

    def _tensors(self) -> list[torch.Tensor]:
        return [self.cpu, *self.cuda, *([] if self.mps is None else [self.mps])]

    def _numbers(self) -> tuple[Any, ...]:
        if self.numpy is None:
            return (self.python,)
        name, keys, *rest = self.numpy
        return (self.python, name, keys.tobytes(), *rest)


@final
@dataclass(eq=False)
class Stream:
    """One living task, of one seed, whose copies share its batches and its random numbers.

    Attributes:
        model: what is trained; every copy begins as it stands.
        optimizer: over the model's parameters.
        loss: ``loss(model, batch)``.
        draw: the next batch, on the model's device.
        loader: what ``draw`` takes its batches from; a trial looks into its first batches and gives
            them back. None where there is none: a trial then uses up batches of ``draw``.
        random: with several streams, the states of the global generators that this one goes on
            from: those of the moment it was made. A single one uses the generators as they are.
    """

    model: nn.Module
    optimizer: Optimizer
    loss: LossFn
    draw: Callable[[], Any]
    loader: Iterable[Any] | None = None
    random: RandomStates = field(default_factory=RandomStates)
    _compiled: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def compiled(self, key: Any, make: Callable[[], T]) -> T:
        """What was made for ``key`` before, for this stream: compiling takes seconds."""
        if key not in self._compiled:
            self._compiled[key] = make()
        made: T = self._compiled[key]
        return made

    @contextlib.contextmanager
    def own_random_numbers(self) -> Iterator[None]:
        """In the block the generators are the stream's; the ones from before come back after it."""
        before = RandomStates()
        self.random.put()
        try:
            yield
            self.random = RandomStates()
        finally:
            before.put()


def in_turn(streams: Mapping[int, Stream], action: Callable[[int], T]) -> dict[int, T]:
    """``action(place)`` for each stream, under the random numbers of its own.

    The generators' states from before come back, also after an error.
    """
    before = RandomStates()
    results: dict[int, T] = {}
    try:
        for place, stream in streams.items():
            stream.random.put()
            results[place] = action(place)
            stream.random = RandomStates()
    finally:
        before.put()
    return results


def stacked(batches: list[Any]) -> tuple[list[torch.Tensor], Callable[[Any], Any]] | None:
    """The tensors of batches that are alike, stacked, and what makes a batch of such tensors.

    None where the batches are not alike: other shapes, types, or contents that are no tensors.

    >>> tensors, batch_of = stacked([(torch.zeros(2), "a"), (torch.ones(2), "a")])
    >>> tensors[0].shape, batch_of([torch.ones(3)])
    (torch.Size([2, 2]), (tensor([1., 1., 1.]), 'a'))
    """
    flat = [pytree.tree_flatten(batch) for batch in batches]
    leaves, structure = flat[0]
    tensors = [[leaf for leaf in one if isinstance(leaf, torch.Tensor)] for one, _ in flat]
    others = [[leaf for leaf in one if not isinstance(leaf, torch.Tensor)] for one, _ in flat]
    plain = (int, float, str, bool, type(None))
    if not all(type(other) in plain for other in others[0]):
        return None
    if any(other != others[0] for other in others) or any(form != structure for _, form in flat):
        return None
    kinds = [[(tensor.shape, tensor.dtype, tensor.device) for tensor in one] for one in tensors]
    if any(kind != kinds[0] for kind in kinds):
        return None

    template = tuple(None if isinstance(leaf, torch.Tensor) else (leaf,) for leaf in leaves)
    return [torch.stack(one) for one in zip(*tensors, strict=True)], _builder(template, structure)


@functools.lru_cache(maxsize=64)
def _builder(template: tuple[Any, ...], structure: Any) -> Callable[[Any], Any]:
    """Makes batches of their tensors; the same function each time, for a compiler to know it."""

    def batch_of(tensors: Any) -> Any:
        left = iter(tensors)
        filled = [next(left) if leaf is None else leaf[0] for leaf in template]
        return pytree.tree_unflatten(filled, structure)

    return batch_of
