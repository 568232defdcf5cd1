"""``most_copies``: how many copies of a training the memory holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.fused.detect import batches_of
from stepsize.adapters.torch.fused.gradients import Measured, kernels_of
from stepsize.adapters.torch.fused.rows import Living
from stepsize.adapters.torch.fused.stock import Stock
from stepsize.adapters.torch.fused.streams import Stream, going_back
from stepsize.adapters.torch.update import Recipe, Update, device_of

#: The part of the available memory that copies may fill.
FILLED = 0.8

_CGROUP = Path("/sys/fs/cgroup")


class Bytes(NamedTuple):
    """What a training needs, in bytes.

    K copies need K x (2 x (``weights`` + ``state`` + ``buffers`` + ``activations``) +
    ``gradients`` + ``step``) + ``batch``: what an update writes to is there twice, until it is
    known which copies are still alive, and so are activations, with their gradients. With several
    streams, each copy needs a ``batch`` of its own besides, and each stream two (as drawn, and
    beside the others') and its living task: ``weights`` + ``gradients`` + ``state`` + ``buffers``.

    The outputs of held-out batches are not counted: made without gradients, they are smaller than
    the activations, unless their batches are much larger.

    Attributes:
        weights: of all parameters.
        gradients: of those that are trained.
        state: of the optimizer.
        buffers: of the model.
        activations: what the backward pass needs of the forward pass, on one batch.
        batch: one batch.
        step: the trained weights from before, where the optimizer's step is torch's own, rescaled.
    """

    weights: int
    gradients: int
    state: int
    buffers: int
    activations: int
    batch: int
    step: int = 0

    @property
    def copy(self) -> int:
        """What each copy needs.

        >>> Bytes(100, 100, 100, 10, 1000, 50).copy
        2520
        """
        twice = self.weights + self.state + self.buffers + self.activations
        return 2 * twice + self.gradients + self.step

    @property
    def stream(self) -> int:
        """What each of several streams needs beside its copies."""
        return self.weights + self.gradients + self.state + self.buffers + 2 * self.batch

    def copies_in(self, room: float, streams: int) -> int:
        """How many copies fit into ``room`` bytes: at least 1; at first each has another stream.

        >>> need = Bytes(100, 100, 100, 10, 1000, 50)
        >>> need.copies_in(10_130, 1), need.copies_in(10_130, 2), need.copies_in(10_130, 9)
        (4, 3, 3)
        """
        if streams == 1:
            return max(1, int((room - self.batch) // max(1, self.copy)))
        copy = self.copy + self.batch
        each = int(room // max(1, copy + self.stream))
        more = int((room - streams * self.stream) // max(1, copy))
        return max(1, each if each <= streams else more)


def most_copies(stream: Stream, recipe: Recipe, streams: int = 1) -> int:
    """How many copies of the stream's task fit into :data:`FILLED` of the memory there is now.

    At least 1: a single one needs no more than a serial run. Nothing is left behind, as after
    :func:`~stepsize.adapters.torch.fused.why_not`.

    Args:
        stream: a living task.
        recipe: how an update is made.
        streams: that the copies are of; as many as there are copies where each has its own.
    """
    need = bytes_of(stream, recipe)
    return need.copies_in(FILLED * available(device_of(stream.model)), streams)


def bytes_of(stream: Stream, recipe: Recipe) -> Bytes:
    """What the stream's task needs; a batch is run forward for it, and nothing is left behind.

    >>> model = torch.nn.Linear(3, 1, bias=False)
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> batches = [torch.ones(4, 3)]
    >>> bytes_of(Stream(model, optimizer, lambda m, x: m(x).mean(), list, batches), Recipe())
    Bytes(weights=12, gradients=12, state=24, buffers=0, activations=0, batch=48, step=12)
    """
    living = Living(stream.model, stream.optimizer)
    row = living.rows(1)
    names = [name for group in living.groups for name in group.names]
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        going_back(stream),
    ):
        batch = batches_of(stream, 1)[0]
        random_state.seed(0)
        with kernels_of(Measured(stream.model, stream.loss)):
            activations = _activations(stream, recipe, batch)
    trained = _total(row.parameters[name] for name in names)
    rescaled = isinstance(living.rule, Stock) or living.rule.at_once is not None
    return Bytes(
        weights=_total(row.parameters.values()),
        gradients=trained,
        state=_total(tensor for state in row.state.values() for tensor in state.values()),
        buffers=_total(row.buffers.values()),
        activations=activations,
        batch=_total(_tensors(batch)),
        step=trained if rescaled else 0,
    )


def available(device: torch.device) -> float:
    """The bytes of memory that can still be had; infinite where nothing tells."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(free + held)
    if device.type == "mps":
        held = torch.mps.driver_allocated_memory()
        return float(torch.mps.recommended_max_memory() - held)
    return min(_of_machine(), _of_control_group())


def _activations(stream: Stream, recipe: Recipe, batch: Any) -> int:
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    shared = (*stream.model.parameters(), *stream.model.buffers(), *_tensors(batch))
    update = Update(stream.model, stream.optimizer, stream.loss, Batches([batch]), recipe)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = update.loss(batch)
        del loss
    others = {tensor.untyped_storage().data_ptr() for tensor in shared}
    return sum(size for place, size in kept.items() if place not in others)


def _tensors(batch: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, torch.Tensor)]


def _total(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _of_machine() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) / 2
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _of_control_group() -> float:
    """What a container may still take."""
    pairs = (
        (_CGROUP / "memory.max", _CGROUP / "memory.current"),
        (_CGROUP / "memory/memory.limit_in_bytes", _CGROUP / "memory/memory.usage_in_bytes"),
    )
    for limit, usage in pairs:
        try:
            return float(limit.read_text()) - float(usage.read_text())
        except (OSError, ValueError):
            continue  # another version, or no limit ("max")
    return float("inf")
