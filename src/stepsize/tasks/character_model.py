"""A small network that continues a text letter by letter.

Imported when a task is made: it needs PyTorch.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional


@final
class TransformerBlock(nn.Module):
    """Attention to the letters before, then two linear layers; each normalised first and added.

    Source: Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, device="cpu", dtype=torch.float32)
        self.attention = _linear(width, 3 * width)
        self.project = _linear(width, width)
        self.norm2 = nn.LayerNorm(width, device="cpu", dtype=torch.float32)
        self.widen = _linear(width, 4 * width)
        self.narrow = _linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for ``x`` (texts, letters, width)."""
        texts, letters, width = x.shape
        shape = (texts, letters, 3, self.heads, width // self.heads)
        query, key, value = self.attention(self.norm1(x)).reshape(shape).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.project(seen.transpose(1, 2).reshape(texts, letters, width))
        return x + self.narrow(functional.gelu(self.widen(self.norm2(x))))  # type: ignore[no-any-return]


@final
class CharacterModel(nn.Module):
    """A transformer over letters: embeddings, ``blocks`` blocks, a linear head.

    Args:
        letters: different ones.
        context: letters that it sees at once, at most.
        width: of the vectors inside.
        blocks, heads: how many.

    >>> CharacterModel(65, 8, 16, 1, 2)(torch.zeros(2, 8, dtype=torch.long)).shape
    torch.Size([2, 8, 65])
    """

    def __init__(self, letters: int, context: int, width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters, width, device="cpu", dtype=torch.float32)
        self.places = nn.Embedding(context, width, device="cpu", dtype=torch.float32)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width, device="cpu", dtype=torch.float32)
        self.head = _linear(width, letters)

    def forward(self, text: Tensor) -> Tensor:
        """The outputs for the letter after each one of ``text`` (texts, letters)."""
        places = torch.arange(text.shape[1], device=text.device)
        x = self.letters(text) + self.places(places)
        return self.head(self.norm(self.blocks(x)))  # type: ignore[no-any-return]


def _linear(width_in: int, width_out: int) -> nn.Linear:
    return nn.Linear(width_in, width_out, device="cpu", dtype=torch.float32)
