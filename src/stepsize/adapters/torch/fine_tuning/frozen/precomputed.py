"""``precompute``: a task whose frozen layers are computed once, to train the others fast."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from torch import nn

from stepsize.adapters.torch import distributed, random_state
from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.fine_tuning.frozen import activation_files as files
from stepsize.adapters.torch.fine_tuning.frozen.activation_bench import Bench
from stepsize.adapters.torch.fine_tuning.frozen.activation_passes import (
    Walk,
    collected,
    joined,
    outputs_of,
    walk,
)
from stepsize.adapters.torch.fine_tuning.frozen.activation_proof import proven
from stepsize.adapters.torch.fine_tuning.frozen.activation_script import Script
from stepsize.adapters.torch.fine_tuning.frozen.activations import (
    ActivationBatches,
    Activations,
    FromActivations,
)
from stepsize.adapters.torch.fine_tuning.frozen.frozen_parts import FrozenParts, Refused
from stepsize.adapters.torch.fine_tuning.layers.layer_names import grouped_parameters, unwrapped
from stepsize.adapters.torch.setting import other_device, peek
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.evaluation import evaluating
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import InputError, require
from stepsize.fine_tuning import LayerGroups
from stepsize.tasks import Task

__all__ = ["MOST_BYTES", "Precomputed", "Refused", "precompute"]

#: That are kept at most, of all passes.
MOST_BYTES = 4 * 2**30


@final
@dataclass(frozen=True, eq=False)
class Precomputed:
    """A task on activations.

    Attributes:
        task: the same model and optimizer; ``train`` gives remembered batches, ``loss`` and
            ``metrics`` go on from them, ``val`` does where that was proven. The test batches are
            the task's own.
        facts: JSON data: ``key`` (what the activations depend on, as a digest), ``seconds`` to
            compute and prove them, ``bytes``, ``examples`` and ``batches`` of a pass, ``passes``,
            ``reused`` (out of a file), ``augmented`` (a further look at the loader gave new
            examples), ``by_example`` (examples are shuffled; else whole batches are),
            ``validation`` (whether it is on activations too), ``note`` (in words).
    """

    task: Task
    facts: dict[str, Any]


def precompute(
    task: Task,
    groups: LayerGroups,
    trainable: int,
    *,
    folder: Path | None = None,
    passes: int = 1,
    seed: int = 0,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    most_bytes: int = MOST_BYTES,
) -> Precomputed:
    """Compute the frozen layers once for every training batch, to train the others from there.

    The outermost calls of modules that hold nothing trained are recorded in ``passes`` passes
    through the training loader; later their outputs are given instead of being computed. Only the
    outputs that reach what is trained are kept, and of these only the stretch that is read, such as
    a first token. Before anything is used it is proven on the task's
    own batches: loss and gradients from what is remembered equal those in full (to 1e-5 for
    float32), and each batch's loss is checked again while it is recorded.

    Where the loss of a batch is the mean of those of its parts (also tried) and no sampler of the
    user's own composes batches, examples are shuffled anew in every epoch; else whole batches are;
    a loader that gives the same order every time keeps it. The number and sizes of batches stay.
    The task's loader rests: its state and that of the global generators come back.

    An augmenting loader is recorded as it augments: ``passes`` views of every example, epoch ``e``
    sees view ``e % passes``.

    Args:
        task: frozen already (``Freezing(model, groups).train_last(trainable)``).
        groups: the layer groups of its model.
        trainable: how many of the last groups are trained.
        folder: where activations are kept as safetensors files, mapped into memory, by a key of
            frozen weights, statistics, modes, precision, all bytes of data, and the code of the
            model and the loss as far as it lies in the user's own modules. What has changed is
            computed anew; of what is found, some batches are, and compared. None: they are kept in
            memory and gone afterwards.
        passes: recorded views of the data.
        seed: of the passes and of the order in each epoch.
        recipe: its precision is used.
        most_bytes: that may be kept.

    Raises:
        Refused: it cannot be done; train through the frozen layers then.
        InputError: an argument that cannot be used, or groups that are not frozen.
        OutputError: the folder cannot be written.

    >>> from stepsize.adapters.torch.fine_tuning.frozen.freezing import Freezing
    >>> from stepsize.fine_tuning import LayerGroup
    >>> from stepsize.tasks import load, make_task
    >>> task = make_task(load("digits"), 0)
    >>> groups = LayerGroups(tuple(
    ...     LayerGroup(name, (name,), (f"{name}.weight", f"{name}.bias"), 1, 1) for name in "02"))
    >>> Freezing(task.model, groups).train_last(1)
    >>> done = precompute(task, groups, 1)
    >>> done.facts["examples"], done.facts["by_example"], len(done.task.train) == len(task.train)
    (1408, True, True)
    """
    model = unwrapped(task.model)
    trained = _check(task, groups, trainable, passes)
    began = time.perf_counter()
    wanted = _Wanted(task, trained, recipe, folder, most_bytes)
    with torch.inference_mode(mode=False), torch.enable_grad(), _training(model):
        bench = Bench(task, recipe, training=True)
        with bench.open():
            train = _of_loader(wanted, bench, task.train, passes, seed)
    held_out, why_not = _of_validation(wanted, bench.moving)
    val = task.val
    if held_out is not None and val is not None:
        val = ActivationBatches(held_out.activations, val, seed=0, shuffle=False, passes=1)
    batches = ActivationBatches(train.activations, task.train, seed, not train.walked.fixed, passes)
    told = replace(
        task,
        loss=FromActivations(task.loss),
        metrics={name: FromActivations(metric) for name, metric in task.metrics.items()},
        train=batches,
        val=val,
    )
    facts = _facts(train, held_out, passes, why_not)
    return Precomputed(told, {"seconds": time.perf_counter() - began, **facts})


class _Wanted(NamedTuple):
    task: Task
    trained: list[nn.Parameter]
    recipe: Recipe
    folder: Path | None
    most_bytes: int


class _Kept(NamedTuple):
    """The activations of a loader."""

    activations: Activations
    walked: Walk
    script: Script
    key: str
    reused: bool


def _of_loader(wanted: _Wanted, bench: Bench, loader: Any, passes: int, seed: int) -> _Kept:
    """The activations of a loader, whose state and that of the generators come back."""
    device = other_device(bench.task.model)
    batches = peek(loader, 2)
    require(bool(batches), "The task's loader gave no batch.")
    near = batches if device is None else [to_device(batch, device) for batch in batches]
    last = Refused("Nothing could be proven.")
    parts = FrozenParts(unwrapped(bench.task.model), wanted.trained)
    for script in proven(bench, parts, near):
        try:
            with Transaction(loader=loader):
                return _of_script(wanted, bench, script, loader, passes, seed)
        except Refused as refused:
            last = refused
    raise last


def _of_script(
    wanted: _Wanted, bench: Bench, script: Script, loader: Any, passes: int, seed: int
) -> _Kept:
    """Look into the folder, compute what is not there."""
    model = files.model_key(
        unwrapped(bench.task.model), bench.functions, script, wanted.recipe, passes
    )
    folder = wanted.folder
    if folder is not None and files.may_be_there(folder, model):
        with Transaction(loader=loader):
            random_state.seed(seed)
            walked = walk(bench, script, loader, passes, wanted.most_bytes, compute=False)
        name = files.file_name(model, walked.digest.text())
        found = _found(bench, script, walked, folder, name)
        if found is not None:
            return _Kept(found, walked, script, name.partition(".")[0], True)
    random_state.seed(seed)
    walked = walk(bench, script, loader, passes, wanted.most_bytes, compute=True)
    made = collected(script, walked)
    name = files.file_name(model, walked.digest.text())
    if folder is not None:
        files.save(folder, name, made, outputs_of(made))
        made = _found(bench, script, walked, folder, name) or made
    return _Kept(made, walked, script, name.partition(".")[0], False)


def _found(
    bench: Bench, script: Script, walked: Walk, folder: Path, name: str
) -> Activations | None:
    """The activations in a file, mapped into memory, where they are those of the walk."""
    content = files.read(folder, name)
    if content is None:
        return None
    try:
        return joined(script, walked, *content, near=bench.near())
    except (KeyError, StopIteration, ValueError):  # a file of this name with another content
        return None


def _of_validation(wanted: _Wanted, moving: Sequence[torch.Tensor]) -> tuple[_Kept | None, str]:
    """The activations of the validation batches, or why there are none."""
    task = wanted.task
    if task.val is None:
        return None, ""
    try:
        with torch.inference_mode(mode=False), evaluating(task, task.val, wanted.recipe):
            bench = Bench(task, wanted.recipe, training=False, moving=moving)
            with bench.open():
                kept = _of_loader(wanted, bench, task.val, 1, 0)
    except Refused as refused:
        return None, str(refused)
    return kept, ""


def _check(task: Task, groups: LayerGroups, trainable: int, passes: int) -> list[nn.Parameter]:
    """The parameters of the groups that are trained."""
    count: Any = passes
    require(
        isinstance(count, int) and not isinstance(count, bool) and count >= 1,
        f"passes is a number of views from 1 on, got {passes!r}.",
    )
    require(
        0 < trainable < len(groups),
        f"trainable is a number of layer groups from 1 to {len(groups) - 1}, the others being "
        f"frozen; got {trainable!r}.",
    )
    parameters = grouped_parameters(task.model, groups)
    frozen = [p for group in parameters[:-trainable] for p in group]
    if any(parameter.requires_grad for parameter in frozen):
        raise InputError(
            f"Only the last {trainable} of {len(groups)} layer groups are to be trained, and "
            "parameters before them have requires_grad=True. Freeze them first: "
            f"Freezing(model, groups).train_last({trainable})."
        )
    if unwrapped(task.model) is not task.model:
        raise Refused(
            f"The model is wrapped ({type(task.model).__name__}), and its layers cannot be taken "
            "over one by one. Give the task the model itself."
        )
    if isinstance(task.model, torch.jit.ScriptModule):
        raise Refused("The model is a TorchScript module, whose layers cannot be taken over.")
    if distributed.active():
        raise Refused("Several processes train the model together (torch.distributed).")
    return [p for group in parameters[-trainable:] for p in group]


@contextlib.contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """In the block the model is in training, as it will be; its modes come back."""
    modes = [(module, module.training) for module in model.modules()]
    if not model.training:
        model.train()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _facts(train: _Kept, val: _Kept | None, passes: int, why_not: str) -> dict[str, Any]:
    kept = [train] if val is None else [train, val]
    tensors = [tensor for one in kept for tensor in one.activations.tensors().values()]
    notes = []
    if train.walked.augmented:
        views = "1 recorded view is" if passes == 1 else f"{passes} recorded views are"
        notes.append(f"The loader augments (or draws anew): {views} all that the training sees.")
    elif passes > 1:
        notes.append("No augmentation was seen: one pass may have done.")
    if train.walked.left_out:
        notes.append(
            f"{train.walked.left_out} examples of the data are not in the recorded pass (the last, "
            "smaller batch is dropped): the training does not see them."
        )
    if why_not:
        notes.append(f"Validation goes through the frozen layers: {why_not}")
    return {
        "key": train.key,
        "bytes": sum(tensor.nbytes for tensor in tensors),
        "examples": sum(train.walked.sizes),
        "batches": len(train.activations),
        "passes": passes,
        "reused": train.reused,
        "augmented": train.walked.augmented,
        "shuffled": not train.walked.fixed,
        "by_example": type(train.activations).__name__ == "ByExample",
        "validation": val is not None,
        "note": " ".join(notes),
    }
