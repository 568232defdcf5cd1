"""Activations on disk: safetensors files, named by what they depend on, never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch.fine_tuning.frozen.activation_room import make_room, used
from stepsize.adapters.torch.fine_tuning.frozen.activation_script import Script
from stepsize.adapters.torch.fine_tuning.frozen.activations import Activations, Leaf
from stepsize.adapters.torch.fine_tuning.frozen.code_text import attributes_text, code_text
from stepsize.adapters.torch.fine_tuning.frozen.nested import taken_apart
from stepsize.adapters.torch.trials.epoch_batches import digest
from stepsize.adapters.torch.trials.trial_facts import tensor_bytes
from stepsize.adapters.torch.update import Recipe, device_of
from stepsize.errors import MissingDependencyError, OutputError
from stepsize.store.whole_file import replacing

#: Changes when what the files hold changes its meaning.
FORMAT = "stepsize activations 1"
#: Letters of a digest in a file's name.
_LETTERS = 20
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def model_key(
    model: nn.Module,
    functions: Iterable[Any],
    script: Script,
    recipe: Recipe,
    passes: int,
) -> str:
    """A digest of everything but the data that activations depend on.

    The frozen parameters and all statistics, the modules as text, their modes, their attributes
    and the code of their forward passes, of the loss and of what these call in the user's own
    modules; which calls are kept; precision, device and version of torch. Weights that are trained
    do not count.
    """
    sha = hashlib.sha256()
    for part in _model_parts(model, functions, script):
        sha.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass"))
        sha.update(b"\0")
    sha.update(f"{recipe.autocast} {device_of(model).type} {passes}".encode())
    return sha.hexdigest()[:_LETTERS]


def _model_parts(
    model: nn.Module, functions: Iterable[Any], script: Script
) -> Iterator[str | bytes]:
    yield f"{FORMAT} torch {torch.__version__}"
    yield _ADDRESS.sub("", repr(model))
    frozen = script.replay.parts.modules
    for name, module in model.named_modules():
        yield name
        yield from attributes_text(module)
        if name in frozen or not any(p.requires_grad for p in module.parameters(recurse=False)):
            yield from _tensors(module.named_parameters(recurse=False))
            yield from _tensors(module.named_buffers(recurse=False))
    for kind in sorted({type(module) for module in model.modules()}, key=_full_name):
        yield _full_name(kind)
        yield from code_text(kind.forward)
    for function in functions:
        yield from code_text(function)
    for call in script.replay.calls:
        yield f"{call.name} {call.frozen} {call.needed} {call.windows} {call.form}"
    yield f"{script.batch} {script.full} {script.by_example}"


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _tensors(named: Iterable[tuple[str, torch.Tensor]]) -> Iterator[str | bytes]:
    for name, tensor in named:
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad}"
        yield tensor_bytes(tensor)


class DataDigest:
    """A digest of all bytes of all batches, in order.

    Attributes:
        batches: of each batch.
        examples: of each example that was added with ``each``.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.batches: list[bytes] = []
        self.examples: set[bytes] = set()

    def add(self, batch: Any, count: int | None, each: bool) -> None:
        """Add a batch; with ``each``, also its ``count`` examples."""
        self.batches.append(batch_digest(batch))
        self._sha.update(self.batches[-1])
        if each:
            self.examples.update(example_digests(batch, count))

    def text(self) -> str:
        """The digest."""
        return self._sha.hexdigest()[:_LETTERS]


def batch_digest(batch: Any) -> bytes:
    """A digest of all bytes of a batch."""
    sha = hashlib.sha256()
    leaves, form = taken_apart(batch)
    sha.update(repr(form).encode())
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor):
            sha.update(f"{leaf.dtype} {tuple(leaf.shape)}".encode())
            sha.update(tensor_bytes(leaf))
        else:
            sha.update(digest(leaf).encode())
    return sha.digest()


def example_digests(batch: Any, count: int | None) -> list[bytes]:
    """A digest of each example; of the whole batch where examples cannot be told apart.

    >>> one, two, again = example_digests(torch.tensor([1, 2, 1]), 3)
    >>> one == again, one == two
    (True, False)
    """
    leaves = [leaf for leaf in taken_apart(batch)[0] if isinstance(leaf, torch.Tensor)]
    rows = [leaf for leaf in leaves if leaf.dim() and len(leaf) == count]
    if not rows or not count:
        return [batch_digest(batch)]
    return [
        hashlib.blake2b(b"".join(texts), digest_size=16).digest()
        for texts in zip(*(_rows(leaf, count) for leaf in rows), strict=True)
    ]


def _rows(tensor: torch.Tensor, count: int) -> list[bytes]:
    whole = tensor_bytes(tensor)
    size = len(whole) // count
    return [whole[i * size : (i + 1) * size] for i in range(count)]


def file_name(model: str, data: str) -> str:
    """The name of a file.

    >>> file_name("ab", "cd")
    'ab-cd.safetensors'
    """
    return f"{model}-{data}.safetensors"


def may_be_there(folder: Path | None, model: str) -> bool:
    """Whether a folder has activations of a model, of whatever data."""
    return folder is not None and any(folder.glob(file_name(model, "*")))


def save(
    folder: Path, name: str, activations: Activations, outputs: list[tuple[tuple[Leaf, ...], ...]]
) -> None:
    """Write activations whole, or not at all; older ones may have to go (:func:`make_room`).

    Args:
        folder: made if it is missing.
        name: of the file.
        activations: what is kept.
        outputs: the leaves of the frozen calls' outputs, of every batch of every pass; of one batch
            if all have the same.

    Raises:
        OutputError: it cannot be written.
    """
    safetensors = _need_safetensors()
    told = [[[_told(leaf) for leaf in call] for call in batch] for batch in outputs]
    about = {"format": FORMAT, "outputs": json.dumps(told)}
    tensors = {key: tensor.contiguous() for key, tensor in activations.tensors().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / name) as file:
            mode = os.fstat(file.fileno()).st_mode
            safetensors.save_file(tensors, file.name, metadata=about)
            os.chmod(file.name, mode)  # it has put another file there, for its owner alone
            with open(file.name, "rb+") as written:
                os.fsync(written.fileno())
        make_room(folder, name)
    except Exception as error:  # safetensors has errors of its own for a full disk
        raise OutputError(
            f"The activations cannot be written to {folder}: {error}. Give another folder, or None "
            "to keep them in memory."
        ) from error


def read(
    folder: Path, name: str
) -> tuple[dict[str, torch.Tensor], list[tuple[tuple[Leaf, ...], ...]]] | None:
    """The tensors of a file, mapped into memory, and its ``outputs``; None if there is none.

    A file that cannot be read counts as none.
    """
    path = folder / name
    if not path.is_file():
        return None
    safetensors = _need_safetensors()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        told = json.loads(about["outputs"])
        outputs = [tuple(tuple(_leaf(*leaf) for leaf in call) for call in batch) for batch in told]
    except Exception:  # noqa: BLE001  (whatever a damaged file makes of itself)
        return None
    used(path)
    return tensors, outputs


def _told(leaf: Leaf) -> list[Any]:
    dtype = None if leaf.dtype is None else str(leaf.dtype).removeprefix("torch.")
    return [leaf.kind, leaf.shape, dtype, leaf.value, leaf.window]


def _leaf(
    kind: str, shape: list[int], dtype: str | None, value: Any, window: list[int] | None
) -> Leaf:
    known = None if dtype is None else getattr(torch, dtype)
    stretch = None if window is None else (window[0], window[1], window[2])
    return Leaf(kind, tuple(shape), known, value, stretch)


def _need_safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingDependencyError(
            "Activations are kept in safetensors files, and safetensors is not installed: "
            "pip install 'stepsize[torch]'. Or keep them in memory: folder=None."
        ) from error
    return safetensors.torch
