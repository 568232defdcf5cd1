"""The networks of the workloads, small enough for one CPU core."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers[:-1])


def norm_mlp(*sizes: int) -> nn.Sequential:
    """Linear, batch norm, ReLU; the last layer is linear alone."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def scaled_start(model: nn.Sequential, factor: float) -> nn.Sequential:
    """Initial weight matrices times ``factor``: a bad initialisation."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(factor)
    return model


def cnn(batch_norm: bool) -> nn.Sequential:
    def block(i: int, o: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(o)] if batch_norm else []
        return [nn.Conv2d(i, o, 3, 2, 1), *norm, nn.ReLU()]

    image = nn.Unflatten(1, (1, 28, 28))
    return nn.Sequential(image, *block(1, 8), *block(8, 16), nn.Flatten(), nn.Linear(784, 10))


def small_cnn(side: int) -> nn.Sequential:
    """Two convolutions with pooling and dropout, for tiny grey images."""
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, 8, 3, 1, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, 1, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16 * (side // 4) ** 2, 10),
    )


def colour_cnn() -> nn.Sequential:
    """Three strided convolutions with group norm, for 32 x 32 photos."""

    def block(i: int, o: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, 3, 2, 1), nn.GroupNorm(4, o), nn.ReLU()]

    return nn.Sequential(
        *block(3, 16), *block(16, 32), *block(32, 32), nn.Flatten(), nn.Linear(512, 10)
    )


class Residual(nn.Module):
    """Two convolutions beside the identity, as in CIFAR's ResNets (shortcut A)."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.stride, self.extra = stride, width - width_in

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        short = x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x
        if self.extra:
            short = functional.pad(short, (0, 0, 0, 0, self.extra // 2, self.extra // 2))
        return functional.relu(h + short)


def resnet(side: int) -> nn.Sequential:
    """A residual network of two blocks, 8 and 16 wide, for grey images."""
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, 8, 3, 1, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        Residual(8, 8),
        Residual(8, 16, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


def pretrained() -> tuple[nn.Sequential, nn.Sequential]:
    """The body and the last block of a ResNet-20 trained on CIFAR-10."""
    from safetensors.torch import load_file

    root = Path(os.environ["STEPSIZE_DATA"])
    weights = load_file(root / "weights" / "cifar10-resnet20.safetensors")
    blocks = [Residual(16, 16) for _ in range(3)]
    blocks += [Residual(16, 32, 2), Residual(32, 32), Residual(32, 32)]
    blocks += [Residual(32, 64, 2), Residual(64, 64), Residual(64, 64)]
    for i, block in enumerate(blocks):
        prefix = f"layer{i // 3 + 1}.{i % 3}."
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        block.load_state_dict(own, strict=False)
    stem, norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
    stem.weight.data.copy_(weights["conv1.weight"])
    norm.load_state_dict(
        {k.removeprefix("bn1."): v for k, v in weights.items() if k.startswith("bn1.")},
        strict=False,
    )
    body = nn.Sequential(stem, norm, nn.ReLU(), *blocks[:-1]).eval()
    return body, nn.Sequential(blocks[-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Transformer(nn.Module):
    """Pre-norm blocks with four heads; causal over characters, or over patches of an image."""

    def __init__(self, width: int, blocks: int, *, vocab: int = 65, patch: int = 0) -> None:
        super().__init__()
        self.patch, self.causal = patch, not patch
        length = 16 if patch else 32
        self.emb = nn.Linear(patch * patch, width) if patch else nn.Embedding(vocab, width)
        self.pos = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, self.causal) for _ in range(blocks))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, 10 if patch else vocab)

    def forward(self, x: Tensor) -> Tensor:
        if self.patch:
            tiles = x.unflatten(1, (1, 28, 28))
            x = functional.unfold(tiles, self.patch, stride=self.patch).transpose(1, 2)
        h = self.emb(x) + self.pos.weight[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        return self.out(h.mean(1) if self.patch else h)


class Block(nn.Module):
    """Attention and an MLP, each beside the identity."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = mlp(width, 4 * width, width, activation=nn.GELU)

    def forward(self, h: Tensor) -> Tensor:
        batch, length, _ = h.shape
        q, k, v = self.qkv(self.n1(h)).view(batch, length, 3, 4, -1).permute(2, 0, 3, 1, 4)
        a = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        h = h + self.proj(a.transpose(1, 2).reshape(batch, length, -1))
        return h + self.mlp(self.n2(h))


class CharRnn(nn.Module):
    """An embedding, one recurrent layer of 64, a linear read-out."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], vocab: int = 65) -> None:
        super().__init__()
        self.emb, self.rnn = nn.Embedding(vocab, 32), kind(32, 64, batch_first=True)
        self.out = nn.Linear(64, vocab)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(self.emb(x))[0])
