"""Twelve small trainings, and two that cannot learn, made from a name and a seed.

Data sets: scikit-learn's digits, diabetes and breast cancer; Fashion-MNIST (through stepsize's own
task); Adult as ``adult/{train,test}.csv`` and Tiny Shakespeare as ``tinyshakespeare/input.txt`` in
``$STEPSIZE_DATA/data``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional

from stepsize.tasks.fashion_mnist import SHA256, find_file
from stepsize.tasks.idx import read_idx
from stepsize.tasks.places import data_dir

#: Inputs and targets to train on, inputs and targets to validate on.
Data = tuple[Tensor, Tensor, Tensor, Tensor]


def split(x: Tensor, y: Tensor, n_val: int) -> Data:
    """A fixed random split; the last ``n_val`` rows of the permutation validate."""
    order = torch.from_numpy(np.random.default_rng(12345).permutation(len(x)))
    x, y = x[order], y[order]
    return x[:-n_val], y[:-n_val], x[-n_val:], y[-n_val:]


def standardise(train: Tensor, val: Tensor) -> tuple[Tensor, Tensor]:
    """Mean 0 and deviation 1 on the training rows."""
    mean, deviation = train.mean(0), train.std(0).clamp_min(1e-8)
    return (train - mean) / deviation, (val - mean) / deviation


@cache
def digits() -> Data:
    found = datasets.load_digits()
    images = torch.tensor(found.data / 16.0, dtype=torch.float32)
    return split(images, torch.tensor(found.target), 360)


@cache
def digits_auto() -> Data:
    train, _, val, _ = digits()
    return train, train, val, val


@cache
def diabetes() -> Data:
    found = datasets.load_diabetes()
    x = torch.tensor(found.data, dtype=torch.float32)
    y = torch.tensor(found.target, dtype=torch.float32)[:, None]
    x_train, y_train, x_val, y_val = split(x, y, 100)
    (x_train, x_val), (y_train, y_val) = standardise(x_train, x_val), standardise(y_train, y_val)
    return x_train, y_train, x_val, y_val


@cache
def cancer() -> Data:
    found = datasets.load_breast_cancer()
    x = torch.tensor(found.data, dtype=torch.float32)
    x_train, y_train, x_val, y_val = split(x, torch.tensor(found.target), 114)
    x_train, x_val = standardise(x_train, x_val)
    return x_train, y_train, x_val, y_val


@cache
def fashion() -> Data:
    """10,000 training and 2,000 validation images, standardised by the usual constants."""

    def part(name: str, n: int) -> tuple[Tensor, Tensor]:
        images, labels = f"{name}-images-idx3-ubyte.gz", f"{name}-labels-idx1-ubyte.gz"
        pixels = read_idx(find_file(images), SHA256[images]).torch()[:n].reshape(n, 784)
        classes = read_idx(find_file(labels), SHA256[labels]).torch()[:n]
        return (pixels.to(torch.float32) / 255 - 0.286) / 0.353, classes.to(torch.int64)

    return (*part("train", 10_000), *part("t10k", 2_000))


@cache
def fashion_small() -> Data:
    x_train, y_train, x_val, y_val = fashion()
    return x_train[:6400], y_train[:6400], x_val[:1000], y_val[:1000]


@cache
def adult() -> Data:
    """8,192 training and 2,000 validation rows; numbers standardised, categories one-hot."""

    def rows(name: str, n: int) -> list[list[str]]:
        with (data_dir("adult") / f"{name}.csv").open(newline="") as file:
            return [row for row in csv.reader(file, skipinitialspace=True) if len(row) == 15][:n]

    parts = rows("train", 8192), rows("test", 2000)
    columns: tuple[list[Tensor], list[Tensor]] = ([], [])
    for j in range(14):
        if j in {0, 2, 4, 10, 11, 12}:  # age, weight, education years, gain, loss, hours
            numbers = [torch.tensor([[float(row[j])] for row in part]) for part in parts]
            for found, column in zip(standardise(*numbers), columns, strict=True):
                column.append(found)
        else:
            for value in sorted({row[j] for row in parts[0]}):
                for part, column in zip(parts, columns, strict=True):
                    column.append(torch.tensor([[float(row[j] == value)] for row in part]))
    y = [torch.tensor([int(row[14].startswith(">50K")) for row in part]) for part in parts]
    return torch.cat(columns[0], 1), y[0], torch.cat(columns[1], 1), y[1]


@cache
def shakespeare(context: int = 32) -> Data:
    """Windows of characters; the first 90 % train, 256 spread windows of the rest validate."""
    text = (data_dir("tinyshakespeare") / "input.txt").read_text(encoding="utf-8")
    ids = {character: i for i, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([ids[character] for character in text])
    cut = len(tokens) * 9 // 10
    train = tokens[:cut].unfold(0, context + 1, context)
    val = tokens[cut:].unfold(0, context + 1, context)
    val = val[torch.linspace(0, len(val) - 1, 256).long()]
    return train[:, :-1], train[:, 1:], val[:, :-1], val[:, 1:]


@cache
def nothing() -> Data:
    """Zero inputs, random labels: nothing to learn beyond the class frequencies."""
    y = torch.from_numpy(np.random.default_rng(7).integers(0, 10, 2500))
    return torch.zeros(2000, 64), y[:2000], torch.zeros(500, 64), y[2000:]


def mlp(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers[:-1])


def cnn(batch_norm: bool) -> nn.Sequential:
    def block(i: int, o: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(o)] if batch_norm else []
        return [nn.Conv2d(i, o, 3, 2, 1), *norm, nn.ReLU()]

    image = nn.Unflatten(1, (1, 28, 28))
    return nn.Sequential(image, *block(1, 8), *block(8, 16), nn.Flatten(), nn.Linear(784, 10))


class CharTransformer(nn.Module):
    """One pre-norm block, width 32, 4 heads, learned positions."""

    def __init__(self, vocab: int = 65, width: int = 32, context: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.emb, self.pos = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.n1, self.n2, self.n3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = mlp(width, 4 * width, width, activation=nn.GELU)
        self.out = nn.Linear(width, vocab)

    def forward(self, x: Tensor) -> Tensor:
        batch, length = x.shape
        h = self.emb(x) + self.pos.weight[:length]
        shape = (batch, length, 3, self.heads, -1)
        q, k, v = self.qkv(self.n1(h)).view(*shape).permute(2, 0, 3, 1, 4)
        a = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.proj(a.transpose(1, 2).reshape(batch, length, -1))
        return self.out(self.n3(h + self.mlp(self.n2(h))))


class CharLSTM(nn.Module):
    """One LSTM layer of 64."""

    def __init__(self, vocab: int = 65, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.emb, self.rnn = nn.Embedding(vocab, width), nn.LSTM(width, hidden, batch_first=True)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(self.emb(x))[0])


def flat_model() -> nn.Sequential:
    """Logits start at the log class frequencies whatever the input."""
    model = mlp(64, 32, 10)
    frequencies = torch.bincount(nothing()[1], minlength=10).float() / 2000
    with torch.no_grad():
        model[-1].weight.zero_()
        model[-1].bias.copy_(frequencies.log())
    return model


def cross_entropy(out: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(out.flatten(0, -2), y.flatten())


OPTIMIZERS: dict[str, Any] = {
    "sgd": torch.optim.SGD,
    "sgdm": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,  # torch's weight decay of 0.01
}


@dataclass(frozen=True)
class Workload:
    """A training problem; ``updates`` is the length of a full training, None for curves only."""

    data: Callable[[], Data]
    model: Callable[[], nn.Module]
    optimizer: str
    batch: int
    updates: int | None
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    clip: float | None = None


MSE = functional.mse_loss
WORKLOADS = {
    "digits_mlp_sgd": Workload(digits, lambda: mlp(64, 64, 10), "sgd", 32, 400),
    "digits_mlp_adam": Workload(digits, lambda: mlp(64, 64, 10), "adam", 32, 400),
    "fmnist_mlp_sgd": Workload(fashion, lambda: mlp(784, 512, 200, 10), "sgd", 64, 400),
    "fmnist_cnnbn_sgdm": Workload(fashion_small, lambda: cnn(True), "sgdm", 64, 500),
    "fmnist_cnn_adamw": Workload(fashion_small, lambda: cnn(False), "adamw", 64, 500),
    "adult_mlp_adam": Workload(
        adult, lambda: mlp(adult()[0].shape[1], 64, 32, 2), "adam", 128, 500
    ),
    "diabetes_mlp_sgdm": Workload(diabetes, lambda: mlp(10, 32, 32, 1), "sgdm", 16, 300, MSE),
    "digits_ae_adamw": Workload(digits_auto, lambda: mlp(64, 32, 8, 32, 64), "adamw", 32, 500, MSE),
    "char_transformer_adamw": Workload(shakespeare, CharTransformer, "adamw", 32, 600),
    "char_lstm_sgdm_clip": Workload(shakespeare, CharLSTM, "sgdm", 32, 500, clip=1.0),
    "digits_linear_sgd": Workload(digits, lambda: nn.Sequential(nn.Linear(64, 10)), "sgd", 32, 400),
    "cancer_tanh4_sgdm": Workload(
        cancer, lambda: mlp(30, 32, 32, 32, 32, 2, activation=nn.Tanh), "sgdm", 16, 300
    ),
    "nolearn_sgd": Workload(nothing, flat_model, "sgd", 32, None),
    "nolearn_adam": Workload(nothing, flat_model, "adam", 32, None),
}


def batches(x: Tensor, y: Tensor, size: int, order: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled epochs; the incomplete last batch of an epoch is dropped."""
    generator = torch.Generator().manual_seed(1_000_003 + order)
    while True:
        shuffled = torch.randperm(len(x), generator=generator)
        for i in range(0, len(x) - size + 1, size):
            chosen = shuffled[i : i + size]
            yield x[chosen], y[chosen]


class Training:
    """One workload, made from ``seed`` (the weights) and ``order`` (the order of its batches)."""

    def __init__(self, name: str, seed: int, order: int) -> None:
        self.workload = workload = WORKLOADS[name]
        x, y, x_val, y_val = workload.data()
        torch.manual_seed(seed)
        self.model = workload.model()
        self.optimizer = OPTIMIZERS[workload.optimizer](self.model.parameters(), lr=1e-6)
        self.batches = batches(x, y, workload.batch, order)
        self.val = x_val, y_val

    def step(self, lr: float) -> float:
        """One update at ``lr``; the loss before it (no update when that is not finite)."""
        x, y = next(self.batches)
        loss = self.workload.loss(self.model(x), y)
        value = loss.item()
        if np.isfinite(value):
            self.optimizer.zero_grad()
            loss.backward()
            if self.workload.clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.workload.clip)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.step()
        return value

    @torch.no_grad()
    def validate(self) -> float:
        """The mean loss of the fixed validation set."""
        self.model.eval()
        x, y = self.val
        value = self.workload.loss(self.model(x), y).item()
        self.model.train()
        return value
