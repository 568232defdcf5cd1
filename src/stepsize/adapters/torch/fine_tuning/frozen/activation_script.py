"""How batches are remembered: which of their tensors, which outputs of their frozen calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch.utils import _pytree as pytree

from stepsize.adapters.torch.fine_tuning.frozen.activations import (
    Layout,
    Leaf,
    Remembered,
    Replay,
    examples_of,
    leaf_of,
)
from stepsize.adapters.torch.fine_tuning.frozen.frozen_parts import Refused
from stepsize.adapters.torch.fine_tuning.frozen.nested import taken_apart
from stepsize.adapters.torch.trials.evaluation import examples_in

#: What a batch may hold beside tensors and arrays.
_NAMED = (bool, int, float, complex, str, bytes, type(None))


@final
@dataclass(frozen=True)
class Script:
    """How a batch is remembered.

    Attributes:
        replay: the calls of its forward pass.
        batch: for each leaf of a batch, whether its values matter.
        full: see :class:`Layout`.
        by_example: whether examples of several batches can be put together to others.
    """

    replay: Replay
    batch: tuple[bool, ...]
    full: bool = False
    by_example: bool = False

    def batch_leaves(self, batch: Any) -> tuple[Any, tuple[Leaf, ...], list[torch.Tensor]]:
        """The structure of a batch, its leaves, and the tensors of it that are kept."""
        values, form = taken_apart(batch)
        needed = self.batch if len(self.batch) == len(values) else (True,) * len(values)
        odd = [v for v in values if not (isinstance(v, (torch.Tensor, *_NAMED)) or _is_array(v))]
        if odd:
            raise Refused(
                f"A batch holds a {type(odd[0]).__name__}, of which a change would not be noticed: "
                "tensors, numbers and texts in lists, tuples and mappings can be told."
            )
        count = examples_in(batch)
        leaves = tuple(leaf_of(v, n, count) for v, n in zip(values, needed, strict=True))
        return form, leaves, _kept(values, leaves)

    def remember(self, batch: Any, outputs: list[list[Any]]) -> Remembered:
        """What is kept of a batch and of the outputs of its frozen calls."""
        count = examples_in(batch)
        form, leaves, kept = self.batch_leaves(batch)
        frozen = [call for call in self.replay.calls if call.frozen]
        told = []
        for call, values in zip(frozen, outputs, strict=True):
            triples = zip(values, call.needed, call.windows, strict=True)
            told.append(tuple(leaf_of(v, needed, count, window) for v, needed, window in triples))
            kept += _kept(values, told[-1])
        layout = Layout(form, leaves, tuple(told), self.full)
        return Remembered(examples_of(count), tuple(kept), layout, self.replay)


def _kept(values: list[Any], leaves: tuple[Leaf, ...]) -> list[torch.Tensor]:
    pairs = zip(values, leaves, strict=True)
    return [_stretch(value.detach(), leaf) for value, leaf in pairs if leaf.kind == "kept"]


def _stretch(tensor: torch.Tensor, leaf: Leaf) -> torch.Tensor:
    """A copy of what a leaf keeps of a tensor."""
    if leaf.window is not None:
        dim, start, stop = leaf.window
        if stop > tensor.shape[dim]:
            raise Refused("The outputs of a frozen layer are shorter for some batches.")
        tensor = tensor.narrow(dim, start, stop - start)
    return tensor.cpu().clone(memory_format=torch.contiguous_format)


def recorded(replay: Replay, compute: Callable[[], Any]) -> tuple[Any, list[list[Any]]]:
    """What ``compute`` gives, and the leaves of the outputs of the frozen calls that it makes.

    Raises:
        Refused: it makes other calls than ``replay`` knows.
    """
    outputs: list[list[Any]] = []
    made = 0

    def take(name: str, call: Callable[[], Any]) -> Any:
        nonlocal made
        known = replay.calls[made] if made < len(replay.calls) else None
        if known is None or known.name != name:
            raise Refused(f"The frozen layer {name!r} is called for some batches only.")
        made += 1
        output = call()
        if known.frozen:
            leaves, form = pytree.tree_flatten(output)
            if form != known.form:
                raise Refused(f"The outputs of the frozen layer {name!r} change their structure.")
            pairs = zip(leaves, known.needed, strict=True)
            outputs.append([_copied(leaf) if needed else leaf for leaf, needed in pairs])
        return output

    with replay.parts.taken_over(take):
        value = compute()
    if made != len(replay.calls):
        raise Refused("Some frozen layers are called for some batches only.")
    return value, outputs


def _copied(value: Any) -> Any:
    """What comes after may write to a tensor."""
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and hasattr(value, "tobytes")
