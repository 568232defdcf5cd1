"""The tasks that come with the package, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import final

from stepsize.tasks.clothing import make_clothing_transfer
from stepsize.tasks.digits import make_digits
from stepsize.tasks.digits_transfer import make_digits_transfer
from stepsize.tasks.fashion_mnist import SHORT_EXAMPLES, make_fashion_mnist_mlp
from stepsize.tasks.shakespeare import make_shakespeare_transfer
from stepsize.tasks.task import Task


@final
@dataclass(frozen=True, slots=True)
class BuiltinTask:
    """A task that comes with the package.

    Attributes:
        name: what to call it on the command line.
        summary: one line: data, network, optimizer.
        make: ``make(seed) -> Task``; imports its framework when called.
        needs: what it takes beyond the package, each in a few words.
    """

    name: str
    summary: str
    make: Callable[[int], Task]
    needs: tuple[str, ...] = ()


_FASHION = ("torch", "Fashion-MNIST (26 MB, downloaded once)")

#: Every built-in task by name.
BUILTIN: Mapping[str, BuiltinTask] = MappingProxyType(
    {
        task.name: task
        for task in (
            BuiltinTask(
                "digits",
                "8x8 handwritten digits (in the package), MLP 64-64-10, SGD with momentum 0.9, "
                "batch 32",
                make_digits,
                ("torch",),
            ),
            BuiltinTask(
                "fashion-mnist-mlp",
                "20,000 images of Fashion-MNIST, MLP 784-512-200-10, plain SGD, batch 64",
                make_fashion_mnist_mlp,
                _FASHION,
            ),
            BuiltinTask(
                "fashion-mnist-mlp-adam",
                "the same with Adam",
                partial(make_fashion_mnist_mlp, adam=True),
                _FASHION,
            ),
            BuiltinTask(
                "fashion-mnist-mlp-short",
                "2,000 of its images, for quick tries",
                partial(make_fashion_mnist_mlp, examples=SHORT_EXAMPLES),
                _FASHION,
            ),
            BuiltinTask(
                "fashion-mnist-mlp-short-adam",
                "2,000 of its images with Adam",
                partial(make_fashion_mnist_mlp, examples=SHORT_EXAMPLES, adam=True),
                _FASHION,
            ),
            BuiltinTask(
                "digits-transfer",
                "a small convolutional network that knows the digits 0 to 4, fine-tuned on 160 "
                "pictures of 5 to 9, SGD with momentum 0.9, batch 16",
                make_digits_transfer,
                ("torch",),
            ),
            BuiltinTask(
                "clothing-transfer",
                "ResNet-20 from CIFAR-10, fine-tuned on 3,068 photographs of clothes, SGD with "
                "momentum 0.9, batch 32",
                make_clothing_transfer,
                ("torch", "pillow", "the photographs (see its message when they are missing)"),
            ),
            BuiltinTask(
                "shakespeare-transfer",
                "a character transformer that knows four of Shakespeare's plays, fine-tuned on "
                "70 kB of five others, AdamW, batch 32",
                make_shakespeare_transfer,
                ("torch", "tiny shakespeare (1 MB, downloaded once)"),
            ),
        )
    }
)


def names() -> tuple[str, ...]:
    """The names of the built-in tasks, sorted.

    >>> names()[:2]
    ('clothing-transfer', 'digits')
    """
    return tuple(sorted(BUILTIN))
