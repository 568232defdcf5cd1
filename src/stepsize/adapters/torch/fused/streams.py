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

from stepsize.adapters.torch.fused.numpy_bits import Bits
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import LossFn

T = TypeVar("T")


@final
class RandomStates:
    """The states of all global random generators at one moment.

    Args:
        since: that were put last. NumPy's state takes longer than all others together; it is read
            only if its generator has moved since then.

    >>> before = RandomStates(); first = torch.rand(1)
    >>> after = RandomStates(); before.put(); bool(torch.rand(1) == first), after == RandomStates()
    (True, True)
    """

    def __init__(self, since: RandomStates | None = None) -> None:
        self.python = random.getstate()
        self.cpu = torch.get_rng_state()
        self.numpy: Any = None if since is None else since.numpy
        self._bits: Bits | None = None if since is None else since._bits
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None and not (self._bits and self._bits.stand()):
            self.numpy = numpy.random.get_state()
            self._bits = Bits.of(self.numpy)
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self.cuda = torch.cuda.get_rng_state_all() if used else []
        self.mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def put(self) -> None:
        """Let the generators go on from here."""
        random.setstate(self.python)
        torch.set_rng_state(self.cpu)
        if self.numpy is not None and not (self._bits and self._bits.put()):
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
            self.random = RandomStates(self.random)
        finally:
            before.put()


@contextlib.contextmanager
def going_back(stream: Stream) -> Iterator[Callable[[], None]]:
    """Gives what brings the stream's task back to where it is now, which happens at the end, too.

    A transaction does not know what functions have enclosed.
    """
    objects = ObjectState(stream.model, stream.loss)
    before = objects.take()
    with Transaction(stream.model, stream.optimizer, stream.loss) as transaction:

        def go_back() -> None:
            objects.put(before)
            transaction.restore()

        try:
            yield go_back
        finally:
            objects.put(before)


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
            stream.random = RandomStates(stream.random)
    finally:
        before.put()
    return results


def same(first: Any, second: Any) -> bool:
    """Whether two nested values hold the same: the very objects, equal tensors, equal numbers.

    >>> same([{"a": torch.ones(2)}, 1], [{"a": torch.ones(2)}, 1]), same([1], [1.0])
    (True, False)
    """
    ones, form = pytree.tree_flatten(first)
    others, other_form = pytree.tree_flatten(second)
    if form != other_form:
        return False
    for one, other in zip(ones, others, strict=True):
        if one is other:
            continue
        if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
            if one.dtype != other.dtype or not torch.equal(one, other):
                return False
        elif type(one) is not type(other) or one != other:
            return False
    return True


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
