"""The transfers on which readings of layer groups' range tests are judged: small, and unlike.

``clothing``, ``shakespeare``: the built-in tasks. ``fashion``: a network of three normalised blocks
that knows five kinds of Fashion-MNIST articles learns five others from 2,000 pictures (``few``:
from 400). ``cipher``: a model of plays reads others with their letters exchanged, so its first and
its last layer are wrong and what lies between is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from stepsize.tasks import Task, load, make_task
from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.character_model import CharacterModel
from stepsize.tasks.fashion_mnist import TRAIN_IMAGES, TRAIN_LABELS, find_file
from stepsize.tasks.idx import read_idx
from stepsize.tasks.pretraining import pretrained
from stepsize.tasks.shakespeare import find_text

KNOWN, NEW = (1, 5, 7, 8, 9), (0, 2, 3, 4, 6)
LETTERS = 48  # read at once, of the cipher


@dataclass(frozen=True)
class Transfer:
    """How a task is fine-tuned here.

    Attributes:
        make: makes it from a seed.
        head_epochs: that the head is trained alone for, first.
        head_lr: at this rate, falling by a cosine.
        epochs: that all layers are trained for then.
        lowest: the rate at which its range tests begin; they end seven decades above.
    """

    make: Callable[[int], Task]
    head_epochs: int
    head_lr: float
    epochs: int
    lowest: float


def builtin(name: str) -> Callable[[int], Task]:
    """The maker of a built-in task."""
    return lambda seed: make_task(load(name), seed)


def fashion(seed: int, optimizer: str = "sgd", examples: int = 2000) -> Task:
    """Five kinds of tops, to a network that knows shoes, trousers and bags."""
    pictures, labels = _articles()
    torch.manual_seed(seed)
    model = _blocks()
    head = model[-1]
    model.load_state_dict(_shoes_and_bags())
    model[-1] = head
    kinds = torch.tensor([NEW.index(k) if k in NEW else -1 for k in labels.tolist()])
    places = (kinds >= 0).nonzero()[:, 0]
    dealt = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))]
    train, val = dealt[:examples], dealt[examples : examples + 2000]
    return _task(
        model,
        optimizer,
        TensorBatches(pictures[train], kinds[train], 32, shuffle=True, seed=seed),
        TensorBatches(pictures[val], kinds[val], 250, shuffle=False),
    )


def cipher(seed: int) -> Task:
    """The plays that the model has not read, every letter exchanged for another one."""
    model, letters = _reader()
    other = torch.randperm(int(letters.max()) + 1, generator=torch.Generator().manual_seed(5))
    text = other[letters]
    torch.manual_seed(seed)
    made = CharacterModel(len(other), LETTERS, 48, 3, 4)
    made.load_state_dict(model)
    list(made.children())[-1].reset_parameters()
    begin = len(text) // 2 + (seed % 10) * 20_000
    train, val = _windows(text[begin : begin + 150_000]), _windows(text[-30_000:])
    return _task(
        made,
        "adamw",
        TensorBatches(*train, 32, shuffle=True, seed=seed),
        TensorBatches(*val, 150, shuffle=False),
    )


TRANSFERS = {
    "clothing": Transfer(builtin("clothing-transfer"), 1, 0.1, 2, 1e-5),
    "shakespeare": Transfer(builtin("shakespeare-transfer"), 1, 1e-3, 4, 1e-6),
    "fashion": Transfer(fashion, 2, 0.02, 4, 1e-5),
    "fashion-adamw": Transfer(lambda seed: fashion(seed, "adamw"), 2, 3e-3, 4, 1e-6),
    "few": Transfer(lambda seed: fashion(seed, "sgd", 400), 8, 0.02, 12, 1e-5),
    "few-adamw": Transfer(lambda seed: fashion(seed, "adamw", 400), 8, 3e-3, 12, 1e-6),
    "cipher": Transfer(cipher, 1, 1e-2, 3, 1e-6),
}


def _task(model: nn.Module, optimizer: str, train: Any, val: Any) -> Task:
    made: torch.optim.Optimizer
    if optimizer == "sgd":
        made = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    else:
        made = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return Task(model, made, _loss, train, val, metrics={"accuracy": _accuracy})


def _loss(model: nn.Module, batch: Any) -> torch.Tensor:
    outputs = model(batch[0])
    return cross_entropy(outputs.flatten(0, -2), batch[1].flatten())


def _accuracy(model: nn.Module, batch: Any) -> float:
    with torch.no_grad():
        return float((model(batch[0]).argmax(-1) == batch[1]).float().mean())


def _blocks() -> nn.Sequential:
    def block(inputs: int, outputs: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))

    head = nn.Sequential(nn.Flatten(), nn.Linear(288, 5))
    return nn.Sequential(block(1, 16), block(16, 32), block(32, 32), head)


@lru_cache
def _articles() -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = (
        read_idx(find_file(name)).torch()[:30_000] for name in (TRAIN_IMAGES, TRAIN_LABELS)
    )
    return (pictures.float().unsqueeze(1) / 255 - 0.286) / 0.353, labels.long()


@lru_cache
def _shoes_and_bags() -> Any:
    pictures, labels = _articles()
    kinds = torch.tensor([KNOWN.index(k) if k in KNOWN else -1 for k in labels.tolist()])
    places = (kinds >= 0).nonzero()[:12_000, 0]
    torch.manual_seed(0)
    model = _blocks()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    batches = TensorBatches(pictures[places], kinds[places], 64, shuffle=True, seed=0)
    return pretrained(model, optimizer, _loss, batches, epochs=4, peak=0.05)


@lru_cache
def _reader() -> tuple[Any, torch.Tensor]:
    text = find_text().read_text()
    numbers = {letter: number for number, letter in enumerate(sorted(set(text)))}
    letters = torch.tensor([numbers[letter] for letter in text])
    torch.manual_seed(0)
    model = CharacterModel(len(numbers), LETTERS, 48, 3, 4)
    batches = TensorBatches(*_windows(letters[: len(letters) // 2]), 32, shuffle=True, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    return pretrained(model, optimizer, _loss, batches, epochs=2, peak=3e-3), letters


def _windows(letters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    windows = letters[: len(letters) // (LETTERS + 1) * (LETTERS + 1)].view(-1, LETTERS + 1)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
