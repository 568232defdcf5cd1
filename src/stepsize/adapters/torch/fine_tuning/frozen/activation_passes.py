"""Passes through a loader: every batch is named by its bytes and remembered, and checked again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, final

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.fine_tuning.frozen.activation_bench import Bench
from stepsize.adapters.torch.fine_tuning.frozen.activation_files import (
    DataDigest,
    batch_digest,
    example_digests,
)
from stepsize.adapters.torch.fine_tuning.frozen.activation_proof import agrees, close
from stepsize.adapters.torch.fine_tuning.frozen.activation_script import Script
from stepsize.adapters.torch.fine_tuning.frozen.activations import (
    Activations,
    ByBatch,
    ByExample,
    Layout,
    Leaf,
    Remembered,
    examples_of,
)
from stepsize.adapters.torch.fine_tuning.frozen.frozen_parts import Refused
from stepsize.adapters.torch.fine_tuning.frozen.loader_kind import composed, left_out
from stepsize.adapters.torch.setting import other_device
from stepsize.adapters.torch.trials.evaluation import examples_in

#: Batches of a further pass that are looked at, to see whether they are the same or augmented.
LOOKED_AT = 4


@final
@dataclass
class Walk:
    """What passes through a loader have shown.

    Attributes:
        digest: of all batches.
        batches: of each pass; without outputs if nothing was computed.
        fixed: whether a further pass begins with the same batches.
        augmented: whether a further pass has examples that are new.
        free: whether nobody but chance has put the batches together.
        left_out: examples of the data that are not in a pass; None: not known.
    """

    digest: DataDigest = field(default_factory=DataDigest)
    batches: list[list[Remembered]] = field(default_factory=list)
    fixed: bool = True
    augmented: bool = False
    free: bool = True
    left_out: int | None = None

    @property
    def sizes(self) -> list[int]:
        """Examples in each batch of the first pass."""
        return [len(batch.examples) for batch in self.batches[0]]


def walk(
    bench: Bench, script: Script, loader: Iterable[Any], passes: int, most_bytes: int, compute: bool
) -> Walk:
    """Go through a loader.

    Args:
        bench: opened; the model is in the mode of the training or of the evaluation.
        script: how batches are remembered.
        loader: its state changes, and that of the global generators.
        passes: how often; a further one is begun if ``bench`` trains.
        most_bytes: that may be kept.
        compute: whether outputs are computed; else only those of some batches.

    Raises:
        Refused: too much would be kept, the passes are of different lengths, or a batch does not
            give the same from what is remembered of it.
    """
    walked = Walk()
    device = other_device(bench.task.model)
    size = 0
    with random_state.kept():  # each batch is checked at other weights than the first
        bench.begin()
        bench.draw()
    for view in range(passes):
        walked.batches.append([])
        for given in loader:
            walked.digest.add(given, examples_in(given), each=bench.training and view == 0)
            number = len(walked.batches[-1])
            if compute or _is_checked(loader, number, walked.digest):
                batch = given if device is None else to_device(given, device)
                kept = _computed(bench, script, batch, number)
                size += sum(tensor.nbytes for tensor in kept.kept)
                expected = size if number or view else size * passes * _length(loader)
                _check_size(max(size, expected), most_bytes)
            else:
                form, leaves, _ = script.batch_leaves(given)
                kept = Remembered(
                    examples_of(examples_in(given)),
                    (),
                    Layout(form, leaves, (), script.full),
                    script.replay,
                )
            walked.batches[-1].append(kept)
        if len(walked.batches[-1]) != len(walked.batches[0]) or not walked.batches[0]:
            raise Refused(
                f"The loader gave {len(walked.batches[0])} batches in one pass and "
                f"{len(walked.batches[-1])} in another."
            )
    if bench.training:
        walked.free = not composed(loader)
        _look_again(walked, loader)
    return walked


def _computed(bench: Bench, script: Script, batch: Any, number: int) -> Remembered:
    with random_state.kept():
        random_state.seed(number)
        loss, outputs = bench.recorded(script.replay, batch)
        remembered = script.remember(batch, outputs)
        if not agrees(bench, batch, loss, remembered, number):
            raise Refused(
                f"Batch {number + 1} gives another loss from the outputs of the frozen layers than "
                "in full, other than the batches before it."
            )
    return remembered


def _is_checked(loader: Any, number: int, digest: DataDigest) -> bool:
    """Whether a batch is computed again, to compare it with a file: the first, middle and last.

    And every 32nd of the others, by its content.
    """
    length = _length(loader)
    return number in (0, length // 2, length - 1) or digest.batches[-1][0] < 8


def _length(loader: Any) -> int:
    try:
        return len(loader)
    except Exception:  # noqa: BLE001 - a loader over a stream raises whatever it likes here
        return 1


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise Refused(
            f"The activations take {size / 2**20:,.0f} MiB or more, and {most / 2**20:,.0f} MiB "
            "may be kept (most_bytes)."
        )


def _look_again(walked: Walk, loader: Iterable[Any]) -> None:
    """Begin a further pass."""
    batches = list(itertools.islice(loader, LOOKED_AT))
    walked.fixed = [*map(batch_digest, batches)] == walked.digest.batches[: len(batches)]
    seen = [one for batch in batches for one in example_digests(batch, examples_in(batch))]
    new = sum(one not in walked.digest.examples for one in seen)
    walked.left_out = left_out(loader, sum(walked.sizes))
    walked.augmented = new > _explained(walked, len(seen))


def _explained(walked: Walk, seen: int) -> float:
    """New examples among those seen that need no augmentation: the first pass has left them out."""
    if walked.left_out is not None:
        return walked.left_out
    most = max(walked.sizes) - 1  # of a last, smaller batch that was dropped
    expected = most * seen / (sum(walked.sizes) + most)
    return expected + 3 * math.sqrt(expected) + 1


def collected(script: Script, walked: Walk) -> Activations:
    """The activations of passes that were computed, put together."""
    layout = walked.batches[0][0].layout
    alike = all(batch.layout == layout for view in walked.batches for batch in view)
    sizes = [[len(batch.examples) for batch in view] for view in walked.batches]
    if not (script.by_example and alike and walked.free) or any(size != sizes[0] for size in sizes):
        return ByBatch(walked.batches)
    views = []
    for view in walked.batches:
        columns = zip(*(batch.kept for batch in view), strict=True)
        views.append(tuple(torch.cat(column) for column in columns))
    return ByExample(script.replay, layout, sizes[0], views)


def outputs_of(activations: Activations) -> list[tuple[tuple[Leaf, ...], ...]]:
    """The leaves of the frozen calls' outputs, of every batch or of the one kind that there is."""
    if isinstance(activations, ByExample):
        return [activations.layout.outputs]
    assert isinstance(activations, ByBatch)
    return [batch.layout.outputs for view in activations.views for batch in view]


def joined(
    script: Script,
    walked: Walk,
    tensors: dict[str, torch.Tensor],
    outputs: list[tuple[tuple[Leaf, ...], ...]],
    near: float,
) -> Activations | None:
    """The activations that a file holds, for passes of which only some batches were computed.

    None where they do not belong together.
    """
    first = walked.batches[0][0]
    if len(outputs) == 1 and "pass0.0" in tensors:
        count = len(first.kept)
        views = [
            tuple(tensors[f"pass{view}.{number}"] for number in range(count))
            for view in range(len(walked.batches))
        ]
        found: Activations = ByExample(script.replay, first.layout, walked.sizes, views)
    else:
        left = iter(outputs)
        found = ByBatch(
            [
                [
                    _with(batch, next(left), tensors, f"pass{view}.batch{place}")
                    for place, batch in e
                ]
                for view, e in enumerate(map(enumerate, walked.batches))
            ]
        )
    return found if all(_same_views(walked, found, near)) else None


def _same_views(walked: Walk, found: Activations, near: float) -> Iterator[bool]:
    """For each batch that was computed, whether the file has the same of it."""
    for view, batches in enumerate(walked.batches):
        for batch, told in zip(batches, found.epoch(view, None), strict=True):
            if batch.layout.outputs:
                yield batch.layout == told.layout and all(
                    close([one], [other], near)
                    for one, other in zip(batch.kept, told.kept, strict=True)
                )


def _with(
    batch: Remembered,
    outputs: tuple[tuple[Leaf, ...], ...],
    tensors: dict[str, torch.Tensor],
    name: str,
) -> Remembered:
    layout = Layout(batch.layout.form, batch.layout.batch, outputs, batch.layout.full)
    count = sum(leaf.kind == "kept" for leaf in layout.leaves)
    kept = tuple(tensors[f"{name}.{number}"] for number in range(count))
    return batch._replace(kept=kept, layout=layout)
