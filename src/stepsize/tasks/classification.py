"""What the built-in classification tasks share: the network, its loss and its metric."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch

#: The optimizers of the built-in tasks start at this rate; it stands in for the one to be found.
PLACEHOLDER_LR = 0.01


def mlp(sizes: Sequence[int], seed: int) -> torch.nn.Module:
    """Linear layers of ``sizes`` with ReLU between them, in torch's default initialisation.

    The weights depend on ``seed`` alone: neither on the caller's random state, which is left as
    it was, nor on the default type and device.
    """
    torch = need_torch()
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed the GPUs, which fork_rng does not give back here.
        torch.default_generator.manual_seed(seed)
        layers: list[Any] = []
        for width_in, width_out in pairwise(sizes):
            layers += [
                torch.nn.Linear(width_in, width_out, device="cpu", dtype=torch.float32),
                torch.nn.ReLU(),
            ]
    return torch.nn.Sequential(*layers[:-1])  # type: ignore[no-any-return]


def cross_entropy(model: Any, batch: Any) -> torch.Tensor:
    """The mean cross-entropy of ``model(inputs)`` against the classes of ``batch``."""
    inputs, classes = batch
    return need_torch().nn.functional.cross_entropy(model(inputs), classes)  # type: ignore[no-any-return]


def accuracy(model: Any, batch: Any) -> float:
    """The fraction of ``batch`` whose class gets the largest output."""
    inputs, classes = batch
    with need_torch().no_grad():
        hits = model(inputs).argmax(dim=1) == classes
    return float(hits.float().mean())
