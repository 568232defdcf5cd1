"""Batches whose frozen part is computed already, and functions that go on from them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, final

import torch
from torch.utils import _pytree as pytree

from stepsize.adapters.torch.fine_tuning.frozen.frozen_parts import Call, FrozenParts, Window
from stepsize.adapters.torch.fine_tuning.frozen.nested import Form, put_together
from stepsize.errors import TaskError

#: Stands in a shape for the number of examples in the batch.
EXAMPLES = -1


@final
class Held:
    """Holds an array, which cannot be asked whether it equals another."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


@final
@dataclass(frozen=True)
class Leaf:
    """One value inside a batch or an output.

    Attributes:
        kind: ``"kept"``; ``"shape"``: only its shape and type matter; ``"plain"``: no tensor.
        shape: of a tensor; :data:`EXAMPLES` where it is the number of examples.
        dtype: of a tensor.
        value: what is no tensor.
        window: the stretch that is kept of a tensor; None: all of it.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: torch.dtype | None = None
    value: Any = None
    window: Window | None = None


@final
@dataclass(frozen=True)
class Layout:
    """What a batch and the outputs of its frozen calls consist of.

    Attributes:
        form: the structure of the batch.
        batch: its leaves.
        outputs: the leaves of each frozen call, in the order of the calls.
        full: whether tensors of which only the shape matters are given as such, for code that
            writes to them, and not as one number seen many times.
    """

    form: Form
    batch: tuple[Leaf, ...]
    outputs: tuple[tuple[Leaf, ...], ...]
    full: bool = False

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """All leaves in order."""
        return self.batch + tuple(leaf for call in self.outputs for leaf in call)


class Remembered(NamedTuple):
    """A batch, as a loader hands it over: what is kept of it, and what it is made up of.

    Attributes:
        examples: a tensor without content whose length is the number of examples.
        kept: the tensors whose values matter.
        layout: how batch and outputs are built from them.
        replay: what makes use of it.
    """

    examples: torch.Tensor
    kept: tuple[torch.Tensor, ...]
    layout: Layout
    replay: Replay


def examples_of(count: int | None) -> torch.Tensor:
    """A tensor that has ``count`` examples, and nothing in them; 1 where there is no count."""
    return torch.empty(1 if count is None else count, 0)


def leaf_of(value: Any, kept: bool, count: int | None, window: Window | None = None) -> Leaf:
    """What is to be known of a value in a batch of ``count`` examples.

    >>> leaf_of(torch.zeros(4, 3), True, 4).shape, leaf_of("text", True, 4).kind
    ((-1, 3), 'plain')
    """
    if not isinstance(value, torch.Tensor):
        return Leaf("plain", value=Held(value) if hasattr(value, "tobytes") else value)
    shape = tuple(value.shape)
    if shape and shape[0] == count:
        shape = (EXAMPLES, *shape[1:])
    if not kept:
        return Leaf("shape", shape, value.dtype)
    return Leaf("kept", shape, value.dtype, window=window)


def rebuilt(remembered: Remembered) -> tuple[Any, list[list[Any]]]:
    """The batch, and for each frozen call the leaves of its outputs."""
    layout, count = remembered.layout, len(remembered.examples)
    kept = iter(remembered.kept)
    device = remembered.examples.device

    def value_of(leaf: Leaf) -> Any:
        if leaf.kind == "kept" and leaf.window is None:
            return next(kept).clone()  # the user's code may write to it
        if leaf.kind == "plain":
            return leaf.value.value if isinstance(leaf.value, Held) else leaf.value
        shape = tuple(count if size == EXAMPLES else size for size in leaf.shape)
        if leaf.window is not None:
            dim, start, stop = leaf.window
            whole = torch.zeros(shape, dtype=leaf.dtype, device=device)
            whole.narrow(dim, start, stop - start).copy_(next(kept))
            return whole
        if layout.full:
            return torch.zeros(shape, dtype=leaf.dtype, device=device)
        return torch.zeros((), dtype=leaf.dtype, device=device).expand(shape)

    batch = put_together(layout.form, [value_of(leaf) for leaf in layout.batch])
    return batch, [[value_of(leaf) for leaf in call] for call in layout.outputs]


@final
class Replay:
    """The forward pass from the frozen calls on.

    It has no ``__dict__``: whoever looks for state that a training changes finds none here.
    """

    __slots__ = ("_names", "calls", "parts")

    def __init__(self, parts: FrozenParts, calls: tuple[Call, ...]) -> None:
        self.parts, self.calls = parts, calls
        frozen = tuple(f"{call.name}." for call in calls if call.frozen)
        self._names = frozenset(name for name in parts.modules if not name.startswith(frozen))

    @contextlib.contextmanager
    def of(self, remembered: Remembered) -> Iterator[Any]:
        """In the block, frozen calls give what is remembered; gives the batch.

        Raises:
            TaskError: other calls are made than when the activations were computed.
        """
        batch, outputs = rebuilt(remembered)
        left = iter(outputs)
        made = 0

        def take(name: str, call: Callable[[], Any]) -> Any:
            nonlocal made
            if made == len(self.calls) or self.calls[made].name != name:
                raise self._changed(name)
            known = self.calls[made]
            made += 1
            return pytree.tree_unflatten(next(left), known.form) if known.frozen else call()

        with self.parts.taken_over(take, self._names):
            yield batch
        if 0 < made < len(self.calls):
            raise self._changed("nothing more")

    def _changed(self, name: str) -> TaskError:
        known = ", ".join(call.name for call in self.calls)
        return TaskError(
            f"The model calls its frozen layers in another way than when their activations were "
            f"computed: {name}, where the calls were {known}. Train without precomputed "
            "activations (precompute=False)."
        )


@final
class FromActivations:
    """A task's loss or metric, which goes on from remembered batches; others it gets as they are.

    Args:
        function: ``function(model, batch)``, the user's.
    """

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function

    def __call__(self, model: Any, batch: Any) -> Any:
        """What the function says of the batch."""
        if not isinstance(batch, Remembered):
            return self.function(model, batch)
        with batch.replay.of(batch) as whole:
            return self.function(model, whole)


class Activations(Protocol):
    """The activations of some passes ("views") through a loader."""

    def __len__(self) -> int:
        """How many batches a pass has."""
        ...

    def epoch(self, view: int, generator: torch.Generator | None) -> Iterator[Remembered]:
        """The batches of a pass, in an order that ``generator`` decides, or in that of the pass."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that is kept, by a name of its own."""
        ...


@final
class ByExample:
    """Activations whose examples can be put together to other batches.

    Args:
        replay: what the batches are for.
        layout: of every batch.
        sizes: examples in each batch of a pass.
        views: the kept tensors of each pass, over all its examples.
    """

    __slots__ = ("layout", "replay", "sizes", "views")

    def __init__(
        self,
        replay: Replay,
        layout: Layout,
        sizes: list[int],
        views: list[tuple[torch.Tensor, ...]],
    ) -> None:
        self.replay, self.layout, self.sizes, self.views = replay, layout, sizes, views

    def __len__(self) -> int:
        return len(self.sizes)

    def epoch(self, view: int, generator: torch.Generator | None) -> Iterator[Remembered]:
        """Batches of the same sizes as in the pass; see :class:`Activations`."""
        total = sum(self.sizes)
        order = torch.arange(total, device="cpu")
        if generator is not None:
            order = torch.randperm(total, generator=generator, device="cpu")
        for rows in torch.split(order, self.sizes):
            kept = tuple(tensor[rows] for tensor in self.views[view])
            yield Remembered(examples_of(len(rows)), kept, self.layout, self.replay)

    def tensors(self) -> dict[str, torch.Tensor]:
        """See :class:`Activations`."""
        return {
            f"pass{view}.{number}": tensor
            for view, kept in enumerate(self.views)
            for number, tensor in enumerate(kept)
        }


@final
class ByBatch:
    """Activations whose batches stay together.

    Args:
        views: the batches of each pass.
    """

    __slots__ = ("views",)

    def __init__(self, views: list[list[Remembered]]) -> None:
        self.views = views

    def __len__(self) -> int:
        return len(self.views[0])

    def epoch(self, view: int, generator: torch.Generator | None) -> Iterator[Remembered]:
        """The batches of the pass; see :class:`Activations`."""
        order = torch.arange(len(self), device="cpu")
        if generator is not None:
            order = torch.randperm(len(self), generator=generator, device="cpu")
        for place in order.tolist():
            yield self.views[view][place]

    def tensors(self) -> dict[str, torch.Tensor]:
        """See :class:`Activations`."""
        return {
            f"pass{view}.batch{place}.{number}": tensor
            for view, batches in enumerate(self.views)
            for place, batch in enumerate(batches)
            for number, tensor in enumerate(batch.kept)
        }


@final
class ActivationBatches:
    """A loader of remembered batches, in the place of a task's own.

    Epoch ``e`` (from 0) sees pass ``e % passes``, in an order that ``seed`` and ``e`` decide and
    nothing else.

    Args:
        activations: the batches.
        loader: the task's own, which rests; held so that a checkpoint keeps its state.
        seed: of the orders.
        shuffle: whether there are any.
        passes: how many there are.
    """

    def __init__(
        self, activations: Activations, loader: Iterable[Any], seed: int, shuffle: bool, passes: int
    ) -> None:
        self.loader = loader
        self.epoch = 0
        self._activations, self._seed = activations, seed
        self._shuffle, self._passes = shuffle, passes

    def __len__(self) -> int:
        return len(self._activations)

    def __iter__(self) -> Iterator[Remembered]:
        epoch, self.epoch = self.epoch, self.epoch + 1  # counted now and not at the first batch
        generator = _generator(self._seed, epoch) if self._shuffle else None
        return self._activations.epoch(epoch % self._passes, generator)

    def __repr__(self) -> str:
        kind = "shuffled" if self._shuffle else "in order"
        return f"ActivationBatches({len(self)}, {kind})"


def _generator(seed: int, epoch: int) -> torch.Generator:
    """Near seeds give unlike orders."""
    number = hashlib.sha256(f"{seed} {epoch}".encode()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(number, "big") >> 1)
