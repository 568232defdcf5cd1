"""The ``digits-transfer`` task: what knows 0 to 4 learns 5 to 9 from few examples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.classification import PLACEHOLDER_LR, accuracy, cross_entropy
from stepsize.tasks.digits import read_digits
from stepsize.tasks.pretraining import pretrained
from stepsize.tasks.split import fixed_order
from stepsize.tasks.task import Task
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch

KNOWN = 5  # the digits below it are learned first, and the others then
SPLIT_SEED = 0
TRAIN_EXAMPLES = 160  # of the 896 of the other digits; the rest validates and tests
VALIDATION_EXAMPLES = 336
BATCH_SIZE = 16

PRETRAINING_EPOCHS = 12
PRETRAINING_LR = 0.05


def make_digits_transfer(seed: int) -> Task:
    """A small convolutional network that knows 0 to 4, fine-tuned on 160 pictures of 5 to 9.

    Three convolutions with batch normalisation and a linear layer; SGD with momentum 0.9, batches
    of 16. 336 pictures validate, 400 test. ``seed`` decides the weights of the last layer and the
    order of the batches; what the network knows before is the same for every seed, and learned
    once in a process (about a second).

    Raises:
        MissingDependencyError: PyTorch is not installed.
        DataError: as for :func:`stepsize.tasks.digits.read_digits`.
    """
    torch = need_torch()
    inputs, classes = _pictures(known=False)
    order = torch.tensor(fixed_order(len(classes), SPLIT_SEED), device="cpu")
    train, rest = order[:TRAIN_EXAMPLES], order[TRAIN_EXAMPLES:]
    val, test = rest[:VALIDATION_EXAMPLES], rest[VALIDATION_EXAMPLES:]
    model = _network(10 - KNOWN, seed)
    own = model.state_dict()
    own.update({name: value for name, value in _body().items() if not name.startswith("head.")})
    model.load_state_dict(own)
    return Task(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=PLACEHOLDER_LR, momentum=0.9),
        loss=cross_entropy,
        train=TensorBatches(inputs[train], classes[train], BATCH_SIZE, shuffle=True, seed=seed),
        val=TensorBatches(inputs[val], classes[val], len(val), shuffle=False),
        metrics={"accuracy": accuracy},
        test=TensorBatches(inputs[test], classes[test], len(test), shuffle=False),
    )


def _pictures(known: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The digits that are learned first, or the others, with classes from 0 on."""
    torch = need_torch()
    digits = read_digits()
    pixels = torch.frombuffer(bytearray(digits.pixels), dtype=torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.frombuffer(bytearray(digits.labels), dtype=torch.uint8).to(torch.int64)
    chosen = (labels < KNOWN) == known
    return pixels[chosen].to(torch.float32) / 16, labels[chosen] - (0 if known else KNOWN)


def _network(classes: int, seed: int) -> Any:
    """Stem, two blocks and head for 8x8 pictures; weights from ``seed`` alone."""
    torch = need_torch()
    nn = torch.nn
    here = {"device": "cpu", "dtype": torch.float32}

    def block(channels_in: int, channels: int, stride: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False, **here),
            nn.BatchNorm2d(channels, **here),
            nn.ReLU(),
        )

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too
        parts = {
            "stem": block(1, 8, 1),
            "block1": block(8, 16, 2),
            "block2": block(16, 32, 2),
            "pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            "head": nn.Linear(32, classes, **here),
        }
    model = nn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    return model


@cache
def _body() -> Mapping[str, torch.Tensor]:
    """What the network has learned from the digits below :data:`KNOWN`."""
    torch = need_torch()
    inputs, classes = _pictures(known=True)
    model = _network(KNOWN, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=PRETRAINING_LR, momentum=0.9)
    batches = TensorBatches(inputs, classes, 32, shuffle=True, seed=0)
    return pretrained(
        model, optimizer, cross_entropy, batches, epochs=PRETRAINING_EPOCHS, peak=PRETRAINING_LR
    )
