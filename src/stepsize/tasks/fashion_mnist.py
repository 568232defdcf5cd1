"""The ``fashion-mnist-mlp`` tasks: real pictures of clothes, downloaded once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import DataError
from stepsize.tasks.batches import TensorBatches
from stepsize.tasks.classification import PLACEHOLDER_LR, accuracy, cross_entropy, mlp
from stepsize.tasks.idx import read_idx
from stepsize.tasks.places import data_dir, given_root
from stepsize.tasks.split import fixed_order
from stepsize.tasks.task import Task
from stepsize.tasks.torch_import import need_torch

if TYPE_CHECKING:
    import torch

#: The name of the folder in :func:`stepsize.tasks.places.data_dir`.
NAME = "fashion-mnist"

#: Where Zalando Research publishes the files: the address in the README of
#: github.com/zalandoresearch/fashion-mnist, then that repository itself.
SOURCES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"

#: SHA-256 of the decompressed content. The compressed label files they were computed from have the
#: MD5 sums that the README above lists, so these are the official ones.
SHA256 = {
    TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

SUBSET_SEED = 0  # draws the 20,000 of the 60,000 training images
SUBSET_EXAMPLES = 20_000
SHORT_EXAMPLES = 2_000
VALIDATION_SHARE = 0.2
BATCH_SIZE = 64  # 250 updates an epoch, 25 of the short one


def find_file(name: str) -> Path:
    """The path of one of the four files, fetched when it is nowhere yet.

    With ``STEPSIZE_DATA`` set, the file must be there and nothing is downloaded: who names a
    folder wants that folder used.

    Raises:
        DataError: the file is not in ``$STEPSIZE_DATA``, or it can be neither found nor fetched.
    """
    path = data_dir(NAME) / name
    if given_root() is None:
        return _fetched(path)
    if not path.is_file():
        raise DataError(
            f"STEPSIZE_DATA is set, but there is no file {path}. Put Fashion-MNIST's {name} "
            "there, or unset STEPSIZE_DATA to have it downloaded."
        )
    return path


def _fetched(path: Path) -> Path:
    from stepsize.tasks.fetch import fetch  # loads urllib, which only a download needs

    failures = []
    for source in SOURCES:
        try:
            return fetch(source + path.name, path, SHA256[path.name])
        except DataError as error:
            failures.append(str(error))
    raise DataError(
        f"Fashion-MNIST's {path.name} is not here and could not be downloaded.\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + f"Put the file at {path}, or set STEPSIZE_DATA to a folder that has it as "
        f"data/{NAME}/{path.name}."
    )


def make_fashion_mnist_mlp(
    seed: int, *, examples: int = SUBSET_EXAMPLES, adam: bool = False
) -> Task:
    """An MLP 784-512-200-10 on 20,000 images of Fashion-MNIST, plain SGD, batches of 64.

    The same 80 % train and the same 20 % validate for every seed; ``seed`` decides the initial
    weights and the order of the batches. The 10,000 images of the test set are loaded when they
    are first asked for.

    Args:
        seed: of the weights and the order.
        examples: how many of the 20,000 are used.
        adam: Adam as torch has it by default in place of SGD.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        DataError: the files cannot be found, fetched or read.
    """
    torch = need_torch()
    pixels, labels = _subset(find_file(TRAIN_IMAGES), find_file(TRAIN_LABELS))
    inputs = pixels[:examples].to(torch.float32) / 255
    classes = labels[:examples].to(torch.int64)
    model = mlp((784, 512, 200, 10), seed)
    training = round(examples * (1 - VALIDATION_SHARE))
    train, val = slice(training), slice(training, None)
    optimizer = torch.optim.Adam if adam else torch.optim.SGD
    return Task(
        model=model,
        optimizer=optimizer(model.parameters(), lr=PLACEHOLDER_LR),
        loss=cross_entropy,
        train=TensorBatches(inputs[train], classes[train], BATCH_SIZE, shuffle=True, seed=seed),
        val=TensorBatches(inputs[val], classes[val], 1000, shuffle=False),
        metrics={"accuracy": accuracy},
        test=_TestBatches(),
    )


@final
class _TestBatches:
    """The test set, read when it is walked through and not before."""

    def __iter__(self) -> Iterator[Any]:
        torch = need_torch()
        pixels = read_idx(find_file(TEST_IMAGES), SHA256[TEST_IMAGES]).torch()
        classes = read_idx(find_file(TEST_LABELS), SHA256[TEST_LABELS]).torch()
        inputs = pixels.reshape(-1, 28 * 28).to(torch.float32) / 255
        return iter(TensorBatches(inputs, classes.to(torch.int64), 1000, shuffle=False))


@lru_cache(maxsize=1)  # a comparison makes the task once per seed; unpacking takes half a second
def _subset(images: Path, labels: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The drawn images and labels as bytes; callers copy them before they change anything."""
    torch = need_torch()
    pictures = read_idx(images, SHA256[TRAIN_IMAGES]).torch().reshape(-1, 28 * 28)
    classes = read_idx(labels, SHA256[TRAIN_LABELS]).torch()
    order = fixed_order(len(classes), SUBSET_SEED)[:SUBSET_EXAMPLES]
    chosen = torch.tensor(order, device="cpu")
    return pictures[chosen], classes[chosen]
