"""ResNet-20 for pictures of 32x32 pixels, and its weights from CIFAR-10.

Imported when a task is made: it needs PyTorch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stepsize.errors import DataError, MissingDependencyError
from stepsize.tasks.places import given_root, weights_dir

#: The file with the weights in ``$STEPSIZE_DATA/weights``: safetensors, keys as here.
GIVEN_NAME = "cifar10-resnet20.safetensors"
#: The file as its author publishes it, a checkpoint of ``torch.save``: github.com/akamaster/
#: pytorch_resnet_cifar10 at the commit that added it (BSD 2-clause).
SOURCE = (
    "https://raw.githubusercontent.com/akamaster/pytorch_resnet_cifar10/"
    "66514ca38d5679354766dee91e912d8766bdd227/pretrained_models/resnet20-12fca82f.th"
)
#: :func:`weights_sha256` of the 97 tensors: of what is inside, whatever file it is in.
WEIGHTS_SHA256 = "87779ad2a59e9f1651a42f0d53dfe2c44a1f332db53e561f59852a3b4b0f1309"
#: Mean and deviation of the channels in the training that made the weights.
STANDARD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@final
class Block(nn.Module):
    """Two convolutions and a shortcut without weights: every other pixel, zeros for new channels.

    Source: option A of He et al., Deep Residual Learning for Image Recognition, 2016.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels_in, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels, device="cpu", dtype=torch.float32)
        self.conv2 = _conv(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels, device="cpu", dtype=torch.float32)
        self.stride, self.added = stride, (channels - channels_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for ``x`` (pictures, channels, height, width)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.added:
            every_other = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(every_other, (0, 0, 0, 0, self.added, self.added))
        return functional.relu(y + x)


@final
class ResNet20(nn.Module):
    """The network of He et al., 2016, section 4.2, with n = 3: 19 convolutions, one linear layer.

    The names of its parts are those of the published weights.

    Args:
        classes: outputs.

    >>> sum(weight.numel() for weight in ResNet20(10).parameters())
    269722
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = _conv(3, 16, 1)
        self.bn1 = nn.BatchNorm2d(16, device="cpu", dtype=torch.float32)
        self.layer1 = _stage(16, 16, 1)
        self.layer2 = _stage(16, 32, 2)
        self.layer3 = _stage(32, 64, 2)
        self.linear = nn.Linear(64, classes, device="cpu", dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs for ``x`` (pictures, 3, height, width)."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def _conv(channels_in: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels_in, channels, 3, stride, 1, bias=False, device="cpu", dtype=torch.float32
    )


def _stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        Block(channels_in, channels, stride), *(Block(channels, channels, 1) for _ in range(2))
    )


def pretrained_resnet20(classes: int, seed: int) -> ResNet20:
    """The network with the body from CIFAR-10 and a new last layer, drawn from ``seed``.

    The caller's random state stays as it was.

    Raises:
        DataError: the weights can be neither found nor fetched, or are not the published ones.
        MissingDependencyError: the file is in the safetensors format and its reader not installed.
    """
    weights = cifar10_weights()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too
        model = ResNet20(classes)
    own = model.state_dict()
    own.update({name: value for name, value in weights.items() if not name.startswith("linear.")})
    model.load_state_dict(own)
    return model


def cifar10_weights() -> dict[str, Tensor]:
    """The published weights and statistics by name.

    They are looked for in ``$STEPSIZE_DATA/weights``; when that is unset, the author's own file is
    downloaded into the cache, read without running anything in it (``weights_only``), and kept if
    the tensors inside are the expected ones.

    Raises:
        DataError, MissingDependencyError: as for :func:`pretrained_resnet20`.
    """
    path = _find_file()
    weights = _tensors(path)
    if weights_sha256(weights) != WEIGHTS_SHA256:
        raise DataError(
            f"{path} does not hold the published weights of ResNet-20: the checksum of its tensors "
            "is wrong."
        )
    return weights


def _find_file() -> Path:
    """The file with the weights, fetched when it is nowhere yet."""
    given = weights_dir() / GIVEN_NAME
    published = given.with_name(SOURCE.rpartition("/")[2])
    for path in (given, published):
        if path.is_file():
            return path
    ways = (
        f"Put the author's file ({SOURCE}) at {published}, or the same weights in the safetensors "
        f"format at {given}"
    )
    if given_root() is not None:
        raise DataError(
            f"STEPSIZE_DATA is set, but the weights of ResNet-20 are not there. {ways}, or unset "
            "STEPSIZE_DATA to have them downloaded."
        )
    from stepsize.tasks.fetch import fetch  # loads urllib, which only a download needs

    try:
        return fetch(SOURCE, published, WEIGHTS_SHA256, digest=file_sha256)
    except DataError as error:
        raise DataError(
            f"The weights of ResNet-20 are not here and could not be downloaded: {error} {ways}."
        ) from error


def file_sha256(path: Path) -> str | None:
    """:func:`weights_sha256` of a file; None when it is absent or cannot be read."""
    try:
        return weights_sha256(_tensors(path))
    except DataError:
        return None


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """The SHA-256 of tensors: their names, shapes and 32-bit values, in the order of the names.

    >>> weights_sha256({"a": torch.zeros(1)}) == weights_sha256({"b": torch.zeros(1)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(values.shape)}".encode())
        digest.update(values.numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, under the names of :class:`ResNet20`."""
    try:
        found: Any = (
            _safetensors(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
        found = found.get("state_dict", found)
        return {
            name.removeprefix("module."): value  # it was trained inside a DataParallel
            for name, value in found.items()
            if not name.endswith("num_batches_tracked")
        }
    except MissingDependencyError:
        raise
    except Exception as error:  # damaged files raise whatever their reader stumbles over
        raise DataError(f"The weights in {path} cannot be read: {error}.") from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} is read with safetensors, which is not installed: "
            "pip install 'stepsize[torch]'."
        ) from error
    return load_file(path)
