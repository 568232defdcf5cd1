"""What built-in tasks learn before they begin, always alike on one machine."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.errors import MissingDependencyError
from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.filelock import locked
from stepsize.tasks.places import cache_dir
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch


def pretrained(
    model: Any,
    optimizer: Any,
    loss: Callable[[Any, Any], Any],
    batches: TensorBatches,
    *,
    epochs: int,
    peak: float,
) -> Mapping[str, torch.Tensor]:
    """Train ``model`` and return its weights and statistics.

    The rate rises to ``peak`` over the first tenth of the updates and falls to 0 as a cosine. One
    thread computes, whatever the caller has set: with another number, the last digits differ.
    The model must draw no random numbers.

    Raises:
        MissingDependencyError: PyTorch is not installed.
    """
    torch = need_torch()
    total = epochs * len(batches)
    warmup = max(1, total // 10)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for update, batch in enumerate(b for _ in range(epochs) for b in batches):
            shape = 0.5 * (1 + math.cos(math.pi * max(0, update - warmup) / (total - warmup)))
            for group in optimizer.param_groups:
                group["lr"] = peak * min(1.0, (update + 1) / warmup) * shape
            optimizer.zero_grad()
            loss(model, batch).backward()
            optimizer.step()
    finally:
        torch.set_num_threads(threads)
    return {name: value.detach() for name, value in model.state_dict().items()}


def made_once(
    name: str, recipe: str, make: Callable[[], Mapping[str, torch.Tensor]]
) -> Mapping[str, torch.Tensor]:
    """What ``make`` returns, kept in the cache folder and made by one process only.

    Args:
        name: of the file.
        recipe: everything that decides what is made; another recipe is another file.
        make: trains; called when the file is not there or cannot be read.

    Raises:
        MissingDependencyError: safetensors is not installed.
    """
    folder = cache_dir() / "weights"
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    path = folder / f"{name}-{key}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock"):
            kept = _read(path)
            if kept is None:
                _warn("Training the weights that %s begins with, once: %s", name, path)
                kept = make()
                _write(path, kept)
            return kept
    except OSError as error:
        _warn("%s cannot be kept (%s): it is made anew each time", path, error)
        return make()


def _read(path: Path) -> Mapping[str, torch.Tensor] | None:
    safetensors = _need_safetensors()
    if not path.is_file():
        return None
    try:
        return safetensors.load(path.read_bytes())  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001 - a damaged file raises errors of the library's own
        _warn("%s is damaged (%s): it is made anew", path, error)
        return None


def _write(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write the whole file under another name first: others find all of it or nothing."""
    data = _need_safetensors().save({name: value.contiguous() for name, value in weights.items()})
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(written, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(written)
        raise


def _need_safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingDependencyError(
            "Pretrained weights are kept with safetensors, which is not installed: "
            "pip install 'stepsize[torch]'."
        ) from error
    return safetensors.torch


def _warn(text: str, *values: object) -> None:
    import logging  # only what is told needs it

    logging.getLogger("stepsize.tasks").warning(text, *values)
