"""Five trainings as stepsize tasks: ``stepsize find benchmarks/engines/workloads.py:mlp_17k``.

Made of noise around patterns, which all of them learn; nothing is downloaded. The batches are a
list of tensors, the same for every seed, so that reading data is not what is measured; a seed
decides the initial weights. The validation is one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from stepsize.tasks import Task

Batch = tuple[Tensor, Tensor]
#: Of an epoch.
BATCHES = 50
SYMBOLS = 32


def cross_entropy(model: Any, batch: Any) -> Tensor:
    """The mean cross-entropy over examples, or over all places of sequences."""
    out = model(batch[0])
    return functional.cross_entropy(out.flatten(0, -2), batch[1].flatten())


# -- data -------------------------------------------------------------------------------------


@cache
def classes(shape: tuple[int, ...], count: int, batch: int) -> tuple[list[Batch], Batch]:
    """Batches of patterns under noise that blurs them, and a validation batch; one to a class."""
    generator = torch.Generator().manual_seed(len(shape) + count)
    strength = 2.5 / math.prod(shape) ** 0.5
    patterns = torch.randn(count, *shape, generator=generator)
    examples = (BATCHES + 4) * batch
    labels = torch.randint(count, (examples,), generator=generator)
    inputs = strength * patterns[labels] + torch.randn(examples, *shape, generator=generator)
    train = BATCHES * batch
    batches = list(zip(inputs[:train].split(batch), labels[:train].split(batch), strict=True))
    return batches, (inputs[train:], labels[train:])


@cache
def sequences(length: int, batch: int) -> tuple[list[Batch], Batch]:
    """Batches of a random language in which four symbols may follow each symbol."""
    generator = torch.Generator().manual_seed(0)
    followers = torch.randint(SYMBOLS, (SYMBOLS, 4), generator=generator)
    count = (BATCHES + 4) * batch
    text = torch.randint(SYMBOLS, (count, 1), generator=generator)
    for _ in range(length):
        chosen = torch.randint(4, (count,), generator=generator)
        text = torch.cat([text, followers[text[:, -1], chosen].unsqueeze(1)], dim=1)
    inputs, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()
    train = BATCHES * batch
    batches = list(zip(inputs[:train].split(batch), targets[:train].split(batch), strict=True))
    return batches, (inputs[train:], targets[train:])


# -- networks ---------------------------------------------------------------------------------


def mlp(*sizes: int) -> nn.Sequential:
    layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
    return nn.Sequential(*[module for pair in layers for module in pair][:-1])


def cnn() -> nn.Sequential:
    """Two convolutions with BatchNorm, for pictures of 16 x 16."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


class Block(nn.Module):
    """Causal attention and an MLP, each behind a LayerNorm and around which there is a way."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = self.project(self.before(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in parts)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.join(seen.transpose(-3, -2).flatten(-2))
        return x + self.mlp(self.between(x))


class Transformer(nn.Module):
    """Predicts the next symbol of a sequence."""

    def __init__(self, width: int, layers: int, length: int) -> None:
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.Sequential(*[Block(width, 4) for _ in range(layers)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, SYMBOLS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.symbols(x) + self.places))


# -- workloads --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """A training problem; calling it with a seed makes the task.

    Attributes:
        title: for tables.
        model: makes the network.
        optimizer: makes the optimizer over parameters.
        data: gives the training batches and the validation batch.
        rates: the smallest and the largest constant rate that is tried; none diverges.
    """

    title: str
    model: Callable[[], nn.Module]
    optimizer: Callable[..., torch.optim.Optimizer]
    data: Callable[[], tuple[list[Batch], Batch]]
    rates: tuple[float, float]

    def __call__(self, seed: int) -> Task:
        batches, val = self.data()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.model()
        optimizer = self.optimizer(model.parameters(), lr=self.rates[0])
        return Task(model, optimizer, cross_entropy, batches, val=[val])

    def spread(self, count: int) -> list[float]:
        """So many different rates, from the smallest to the largest, evenly on a log scale."""
        low, high = self.rates
        return [low * (high / low) ** (n / max(1, count - 1)) for n in range(count)]


_momentum = partial(torch.optim.SGD, momentum=0.9)
WORKLOADS = {
    "mlp_506k": Workload(
        "MLP 784-512-200-10, batch 64 (506k parameters)",
        partial(mlp, 784, 512, 200, 10),
        _momentum,
        partial(classes, (784,), 10, 64),
        (1e-4, 1e-2),
    ),
    "mlp_17k": Workload(
        "MLP 64-128-64-10, batch 64 (17k)",
        partial(mlp, 64, 128, 64, 10),
        _momentum,
        partial(classes, (64,), 10, 64),
        (1e-4, 1e-2),
    ),
    "mlp_2k": Workload(
        "MLP 16-32-32-2, batch 32 (1.6k)",
        partial(mlp, 16, 32, 32, 2),
        _momentum,
        partial(classes, (16,), 2, 32),
        (1e-4, 1e-2),
    ),
    "cnn": Workload(
        "CNN 8/16 with BatchNorm, 16 x 16, batch 32 (3.9k)",
        cnn,
        _momentum,
        partial(classes, (1, 16, 16), 10, 32),
        (1e-4, 1e-2),
    ),
    "transformer": Workload(
        "transformer d 32, 2 layers, batch 16 x 32, AdamW (29k)",
        partial(Transformer, 32, 2, 32),
        torch.optim.AdamW,
        partial(sequences, 32, 16),
        (1e-5, 1e-3),
    ),
}
globals().update(WORKLOADS)  # each by its name, for the command line
