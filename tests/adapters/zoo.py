"""Small models and optimizers of every kind whose state is easily forgotten."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

WIDTH = 6


def _mlp(*middle):
    return nn.Sequential(nn.Linear(WIDTH, 5), *middle, nn.Tanh(), nn.Linear(5, 1))


class Recurrent(nn.Module):
    """Keeps its hidden state as a plain attribute, None at first."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4, batch_first=True)
        self.head = nn.Linear(4, 1)
        self.hidden = None

    def forward(self, x):
        out, hidden = self.lstm(x.reshape(len(x), 3, 2), self.hidden)
        self.hidden = tuple(h.detach() for h in hidden)
        return self.head(out[:, -1])


class Bookkeeper(nn.Module):
    """Counts and collects in buffers and plain attributes of many kinds."""

    def __init__(self):
        super().__init__()
        self.body = _mlp()
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.register_buffer("last", None, persistent=False)
        self.calls = 0
        self.history = ["born"]
        self.by_size = {"rows": [0]}
        self.sizes = {0}
        self.sums = np.zeros(2)
        self.dice = random.Random(7)
        self.noise = np.random.default_rng(7)

    def forward(self, x):
        self.seen += len(x)
        self.last = x.mean().detach()
        self.calls += 1
        self.history.append(self.calls)
        self.by_size["rows"][0] += len(x)
        self.by_size[self.calls] = x.sum().item()
        self.sizes.add(self.calls)
        self.sums += 1.0
        return self.body(x) + 0.01 * self.dice.random() + 0.01 * self.noise.random()


class Tied(nn.Module):
    """One weight used by two layers."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.down.weight = self.up.weight

    def forward(self, x):
        return self.down(torch.tanh(self.up(x))).mean(1, keepdim=True)


class Embedded(nn.Module):
    """Its embedding is renormalised in place by every forward pass."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(8, 4, max_norm=1.0)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.table((x * 2).long() % 8).mean(1))


def _frozen_layer():
    model = _mlp()
    model[0].requires_grad_(False)
    return model


def _frozen_norm():
    model = _mlp(nn.BatchNorm1d(5))
    model[1].eval().requires_grad_(False)
    return model


def _in_eval():
    return _mlp(nn.BatchNorm1d(5), nn.Dropout(0.5)).eval()


def _spectral():
    model = _mlp()
    nn.utils.parametrizations.spectral_norm(model[0])  # power iterations live in buffers
    return model


MODELS = {
    "plain": _mlp,
    "batch norm": lambda: _mlp(nn.BatchNorm1d(5)),
    "dropout": lambda: _mlp(nn.Dropout(0.5)),
    "lstm": Recurrent,
    "bookkeeper": Bookkeeper,
    "frozen layer": _frozen_layer,
    "frozen norm": _frozen_norm,
    "tied": Tied,
    "eval before": _in_eval,
    "embedding": Embedded,
    "spectral norm": _spectral,
}

OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, amsgrad=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.5, centered=True),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=1e-2, max_iter=2, history_size=2),
    "tensor rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-3), foreach=False),
}


def mse(model, batch):
    """The loss of all zoo models."""
    x, y = batch
    return nn.functional.mse_loss(model(x), y)


def data(batches=5, rows=4, seed=1):
    """A list of regression batches."""
    generator = torch.Generator().manual_seed(seed)
    xs = [torch.randn(rows, WIDTH, generator=generator) for _ in range(batches)]
    return [(x, x.sum(1, keepdim=True).sin()) for x in xs]


@dataclass
class Training:
    """A training of the zoo."""

    model: nn.Module
    optimizer: Any
    loader: Any

    def update(self, batch):
        """One ordinary update; the loss before it."""
        losses = []

        def closure():
            self.optimizer.zero_grad()
            losses.append(mse(self.model, batch))
            losses[-1].backward()
            return losses[-1]

        self.optimizer.step(closure)
        return losses[0].item()

    def begin(self, updates=3):
        """Some updates, and gradients left over from one more backward pass."""
        for batch in data(updates, seed=2):
            self.update(batch)
        mse(self.model, self.loader[0]).backward()


def training(model="plain", optimizer="sgd", seed=3):
    """A fresh training; global random states are seeded."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    network = MODELS[model]()
    return Training(network, OPTIMIZERS[optimizer](network.parameters()), data())
