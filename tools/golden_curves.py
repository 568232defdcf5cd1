"""The curves of the golden vectors: four measured trainings and nine formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from stepsize.tasks.fashion_mnist import SHA256, TRAIN_IMAGES, TRAIN_LABELS, find_file
from stepsize.tasks.idx import read_idx

#: Rates and losses.
Points = tuple[list[float], list[float]]


def rounded(value: float, significant: int) -> float:
    """``value`` to so many significant digits."""
    return float(f"{value:.{significant}g}")


def ladder(n: int, low: float = 1e-6, high: float = 10.0) -> list[float]:
    """``n`` rates with a constant ratio."""
    return [low * (high / low) ** (k / (n - 1)) for k in range(n)]


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """scikit-learn's digits."""
    found = load_digits()
    return torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)


def fashion() -> tuple[torch.Tensor, torch.Tensor]:
    """The first 20,000 training images of Fashion-MNIST."""
    images = read_idx(find_file(TRAIN_IMAGES), SHA256[TRAIN_IMAGES]).torch()[:20_000]
    labels = read_idx(find_file(TRAIN_LABELS), SHA256[TRAIN_LABELS]).torch()[:20_000]
    return images.reshape(-1, 784).float() / 255, labels.to(torch.int64)


def real(
    data: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    n: int,
    make_optimizer: Callable[[Any], torch.optim.Optimizer],
    sizes: Sequence[int],
    seed: int,
) -> Points:
    """A range test of an MLP, in batches of 64."""
    torch.manual_seed(seed)
    x, y = data()
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    optimizer = make_optimizer(model.parameters())
    generator = torch.Generator().manual_seed(seed)
    lrs, losses = [], []
    for lr in ladder(n):
        chosen = torch.randint(0, len(x), (64,), generator=generator)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        if not math.isfinite(loss.item()):
            break
        lrs.append(lr)
        losses.append(rounded(loss.item(), 8))
        loss.backward()
        optimizer.step()
    return lrs, losses


def synthetic(
    truth: Callable[[int, float], float], n: int = 100, seed: int = 0, noise: float = 0.0
) -> Points:
    """A formula of the index and the rate, with Gaussian noise."""
    draw = np.random.default_rng(seed)
    lrs = ladder(n)
    losses = []
    for k, lr in enumerate(lrs):
        value = truth(k, lr)
        if noise and not math.isnan(value):  # nothing is drawn where there is no loss
            value += noise * draw.normal()
        losses.append(rounded(value, 8))
    return lrs, losses


def fall(lr: float) -> float:
    """A sigmoid from 2.3 to 0.5."""
    return 2.3 - 1.8 / (1 + math.exp(-3 * (math.log10(lr) + 2.5)))


def valley(lr: float) -> float:
    """The fall, then a blow-up."""
    return fall(lr) + 8 * max(0.0, math.log10(lr) + 0.2) ** 2


def valley_with_nan(*, when: Callable[[int], bool]) -> Callable[[int, float], float]:
    """The valley, NaN at some indices."""
    return lambda k, lr: math.nan if when(k) else valley(lr)


def recorded() -> list[tuple[str, str, int, Points]]:
    """Every curve: name, kind, updates asked for, points."""
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    measured = {
        "digits_sgd_100": (100, digits, lambda p: sgd(p, lr=1e-6), (64, 64, 32, 10), 1),
        "fashion_sgd_momentum_100": (
            *(100, fashion, lambda p: sgd(p, lr=1e-6, momentum=0.9)),
            *((784, 128, 10), 2),
        ),
        "fashion_sgd_60": (60, fashion, lambda p: sgd(p, lr=1e-6), (784, 128, 64, 10), 3),
        "digits_adam_200": (200, digits, lambda p: adam(p, lr=1e-6), (64, 64, 10), 4),
    }
    made: dict[str, tuple[Callable[[int, float], float], int, int, float]] = {
        "sigmoid_diverge": (lambda k, lr: valley(lr), 100, 10, 0.03),
        "monotone_fall": (lambda k, lr: fall(lr) - 0.001 * k, 100, 0, 0.0),
        "flat_noisy": (lambda k, lr: 2.3, 100, 11, 0.02),
        "negative_loss": (lambda k, lr: valley(lr) - 3, 100, 12, 0.02),
        "short_25": (lambda k, lr: valley(lr), 25, 13, 0.02),
        # Quirks that the above do not reach.
        "too_short_12": (lambda k, lr: valley(lr), 12, 14, 0.02),
        "rise_after_one_drop": (
            *(lambda k, lr: 1 + 0.01 * k + 0.0005 * k * k if k else 2.0, 40),
            *(0, 0.0),
        ),
        "nan_tail": (valley_with_nan(when=lambda k: k >= 88), 100, 15, 0.02),
        "nan_inside": (valley_with_nan(when=lambda k: k in (30, 31, 57)), 100, 16, 0.02),
    }
    real_ones = [
        (name, "real", n, real(data, n, make, sizes, seed))
        for name, (n, data, make, sizes, seed) in measured.items()
    ]
    return real_ones + [
        (name, "synthetic", n, synthetic(truth, n, seed, noise))
        for name, (truth, n, seed, noise) in made.items()
    ]
