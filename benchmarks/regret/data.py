"""The data sets of the workloads: what scikit-learn brings along, what is generated, real files.

Files are read from ``$STEPSIZE_DATA/data``: Fashion-MNIST (through stepsize's own task), Adult as
``adult/{train,test}.csv``, Tiny Shakespeare as ``tinyshakespeare/input.txt``, photos of clothes as
``clothing-small-64/{train,validation,test}/<class>/*.jpg``.
"""

from __future__ import annotations

import csv
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

from stepsize.tasks.fashion_mnist import SHA256, find_file
from stepsize.tasks.idx import read_idx
from stepsize.tasks.places import data_dir


class Part(NamedTuple):
    """Inputs and targets."""

    x: Tensor
    y: Tensor


class Data(NamedTuple):
    """Three parts that share no example."""

    train: Part
    val: Part
    test: Part


def split(x: Tensor, y: Tensor, n_val: int, n_test: int) -> Data:
    """A fixed random split."""
    order = torch.from_numpy(np.random.default_rng(12345).permutation(len(x)))
    x, y = x[order], y[order]
    a, b = len(x) - n_val - n_test, len(x) - n_test
    return Data(Part(x[:a], y[:a]), Part(x[a:b], y[a:b]), Part(x[b:], y[b:]))


def standardised(data: Data, *, targets: bool = False) -> Data:
    """Mean 0 and deviation 1 on the training rows."""

    def scale(parts: list[Tensor]) -> list[Tensor]:
        mean, deviation = parts[0].mean(0), parts[0].std(0).clamp_min(1e-8)
        return [(part - mean) / deviation for part in parts]

    xs = scale([part.x for part in data])
    ys = scale([part.y for part in data]) if targets else [part.y for part in data]
    return Data(*(Part(x, y) for x, y in zip(xs, ys, strict=True)))


def reconstruction(data: Data) -> Data:
    """The inputs are the targets."""
    return Data(*(Part(part.x, part.x) for part in data))


@cache
def digits() -> Data:
    found = datasets.load_digits()
    images = torch.tensor(found.data / 16.0, dtype=torch.float32)
    return split(images, torch.tensor(found.target), 360, 360)


@cache
def diabetes() -> Data:
    found = datasets.load_diabetes()
    x = torch.tensor(found.data, dtype=torch.float32)
    y = torch.tensor(found.target, dtype=torch.float32)[:, None]
    return standardised(split(x, y, 90, 90), targets=True)


@cache
def cancer() -> Data:
    found = datasets.load_breast_cancer()
    x = torch.tensor(found.data, dtype=torch.float32)
    return standardised(split(x, torch.tensor(found.target), 114, 114))


@cache
def friedman() -> Data:
    """Friedman's first function of ten inputs, with noise."""
    x, y = datasets.make_friedman1(6000, noise=1.0, random_state=3)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    return standardised(
        split(torch.tensor(x, dtype=torch.float32), targets, 1000, 1000), targets=True
    )


@cache
def spirals() -> Data:
    """Two spirals of one and a half turns, with noise."""
    random = np.random.default_rng(5)
    label = random.integers(0, 2, 4000)
    t = 3 * np.pi * np.sqrt(random.random(4000)) + 0.3
    angle = t + np.pi * label
    points = np.stack([t * np.cos(angle), t * np.sin(angle)], 1) / 5.0
    points += 0.04 * random.standard_normal(points.shape)
    x = torch.tensor(points, dtype=torch.float32)
    return split(x, torch.from_numpy(label), 800, 800)


@cache
def fashion() -> Data:
    """10,000 training, 2,000 validation and 2,000 test images, standardised as is usual."""

    def part(name: str, first: int, last: int) -> Part:
        images, labels = f"{name}-images-idx3-ubyte.gz", f"{name}-labels-idx1-ubyte.gz"
        pixels = read_idx(find_file(images), SHA256[images]).torch()[first:last]
        classes = read_idx(find_file(labels), SHA256[labels]).torch()[first:last]
        scaled = (pixels.reshape(-1, 784).to(torch.float32) / 255 - 0.286) / 0.353
        return Part(scaled, classes.to(torch.int64))

    return Data(part("train", 0, 10_000), part("t10k", 0, 2000), part("t10k", 2000, 4000))


@cache
def fashion_small() -> Data:
    """6,400 training, 1,000 validation and 1,000 test images of Fashion-MNIST."""
    full = fashion()
    return Data(*(Part(p.x[:n], p.y[:n]) for p, n in zip(full, (6400, 1000, 1000), strict=True)))


@cache
def fashion_14() -> Data:
    """The smaller Fashion-MNIST at half the resolution: 14 x 14."""

    def half(part: Part) -> Part:
        images = part.x.reshape(-1, 1, 28, 28)
        return Part(torch.nn.functional.avg_pool2d(images, 2).flatten(1), part.y)

    return Data(*map(half, fashion_small()))


@cache
def adult() -> Data:
    """8,192, 2,000 and 2,000 rows; numbers standardised, categories one-hot."""

    def rows(name: str, first: int, last: int) -> list[list[str]]:
        with (data_dir("adult") / f"{name}.csv").open(newline="") as file:
            whole = [row for row in csv.reader(file, skipinitialspace=True) if len(row) == 15]
        return whole[first:last]

    parts = rows("train", 0, 8192), rows("test", 0, 2000), rows("test", 2000, 4000)
    columns: tuple[list[Tensor], ...] = ([], [], [])
    for j in range(14):
        if j in {0, 2, 4, 10, 11, 12}:  # age, weight, education years, gain, loss, hours
            numbers = [torch.tensor([[float(row[j])] for row in part]) for part in parts]
            mean, deviation = numbers[0].mean(0), numbers[0].std(0).clamp_min(1e-8)
            for column, values in zip(columns, numbers, strict=True):
                column.append((values - mean) / deviation)
        else:
            for value in sorted({row[j] for row in parts[0]}):
                for part, column in zip(parts, columns, strict=True):
                    column.append(torch.tensor([[float(row[j] == value)] for row in part]))
    labels = [torch.tensor([int(row[14].startswith(">50K")) for row in part]) for part in parts]
    return Data(*(Part(torch.cat(c, 1), y) for c, y in zip(columns, labels, strict=True)))


@cache
def shakespeare(context: int = 32) -> Data:
    """3,200 windows of characters to train on; 256 and 256 of the last tenth of the text."""
    text = (data_dir("tinyshakespeare") / "input.txt").read_text(encoding="utf-8")
    ids = {character: i for i, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([ids[character] for character in text])
    cut = len(tokens) * 9 // 10
    train = tokens[:cut].unfold(0, context + 1, context)
    held = tokens[cut:].unfold(0, context + 1, context)
    held = held[torch.linspace(0, len(held) - 1, 512).long()]
    train = train[torch.from_numpy(np.random.default_rng(1).permutation(len(train))[:3200])]
    parts = (train, held[0::2], held[1::2])
    return Data(*(Part(part[:, :-1].contiguous(), part[:, 1:].contiguous()) for part in parts))


@cache
def clothing(size: int = 32) -> Data:
    """Photos of clothes of ten classes at ``size`` pixels, as colours in the network's order."""
    from PIL import Image

    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    parts = []
    for name in ("train", "validation", "test"):
        files = sorted((data_dir("clothing-small-64") / name).glob("*/*.jpg"))
        classes = {label: i for i, label in enumerate(sorted({f.parent.name for f in files}))}
        images = []
        for file in files:
            with Image.open(file) as image:
                small = image.convert("RGB").resize((size, size), Image.Resampling.BOX)
            images.append(torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1))
        x = (torch.stack(images).to(torch.float32) / 255 - mean) / deviation
        parts.append(Part(x, torch.tensor([classes[file.parent.name] for file in files])))
    return Data(*parts)


@cache
def nothing() -> Data:
    """Zero inputs, random labels: nothing to learn beyond the class frequencies."""
    labels = torch.from_numpy(np.random.default_rng(7).integers(0, 10, 3000))
    return split(torch.zeros(3000, 64), labels, 500, 500)


@cache
def noise_stream() -> Data:
    """Random inputs with random labels, each seen once: nothing to learn, nothing to memorise."""
    random = np.random.default_rng(11)
    x = torch.tensor(random.standard_normal((40_000, 16)), dtype=torch.float32)
    return split(x, torch.from_numpy(random.integers(0, 10, 40_000)), 1000, 1000)
