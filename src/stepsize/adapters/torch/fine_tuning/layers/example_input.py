"""What a model might take, guessed from what it says of itself and from its first layer."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

#: Makes a tensor of random numbers of a shape.
Rand = Callable[..., torch.Tensor]

#: Guesses made from the layers alone: each costs a forward pass, or the beginning of one.
_MOST_GUESSES = 80
#: Sides of images, lengths of signals and of sequences; what runs fast first.
_SIDES = (32, 28, 64, 8, 16, 96, 48, 128, 224, 256, 299, 384)
_LENGTHS = (128, 16, 1024, 16000)
_TOKENS = (16, 8, 32)
_BATCHES = (2, 1)


def example_inputs(model: nn.Module) -> Iterator[Any]:
    """Inputs to try, the likeliest first: tensors, or mappings of named arguments.

    In this order: what the input sizes of timm's models say, what the configuration of
    transformers' models says, and what the layers take.

    >>> [tuple(each.shape) for each in example_inputs(nn.Sequential(nn.Linear(3, 2)))]
    [(2, 3), (2, 16, 3), (1, 3)]
    """
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    rand = functools.partial(torch.rand, generator=torch.Generator().manual_seed(0), dtype=dtype)
    yield from _of_timm(model, rand)
    yield from _of_transformers(model, rand)
    yield from itertools.islice(_of_layers(model, rand), _MOST_GUESSES)


def _of_timm(model: nn.Module, rand: Rand) -> Iterator[Any]:
    """``default_cfg`` and ``pretrained_cfg`` hold the size of an input: ``(3, 224, 224)``."""
    for name in ("pretrained_cfg", "default_cfg"):
        settings = getattr(model, name, None)
        size = settings.get("input_size") if isinstance(settings, Mapping) else None
        if isinstance(size, (tuple, list)) and size:
            yield rand(1, *size)
            return


def _of_transformers(model: nn.Module, rand: Rand) -> Iterator[Any]:
    """The main input by its name, of the size that the configuration says."""
    config, name = getattr(model, "config", None), getattr(model, "main_input_name", None)
    if config is None or not isinstance(name, str):
        return
    yield from _of_text_and_image(model, config, rand)
    if name == "pixel_values":
        channels = getattr(config, "num_channels", 3)
        known = getattr(config, "image_size", None)
        for side in (known, *_SIDES) if known else _SIDES:
            height, width = side if isinstance(side, (tuple, list)) else (side, side)
            yield {name: rand(1, channels, height, width)}
    elif name == "input_ids":
        yield from _tokens(model, int(getattr(config, "vocab_size", 2)))
    elif name == "input_values":
        yield {name: rand(1, 16000)}
    elif name == "input_features":
        yield from _features(config, rand)


def _of_text_and_image(model: Any, config: Any, rand: Rand) -> Iterator[Any]:
    """Both inputs of a model of two towers, such as CLIP."""
    text, vision = getattr(config, "text_config", None), getattr(config, "vision_config", None)
    if text is not None and vision is not None:
        side, channels = getattr(vision, "image_size", 224), getattr(vision, "num_channels", 3)
        pixels = rand(1, channels, side, side)
        for words in _tokens(model, text.vocab_size):
            yield {**words, "pixel_values": pixels}


def _tokens(model: nn.Module, vocabulary: int) -> Iterator[Any]:
    """Texts of numbers; with a decoder's beside them where the model has one."""
    ids = torch.arange(2, 10).remainder(max(vocabulary, 1))[None]
    if getattr(model.config, "is_encoder_decoder", False):
        yield {"input_ids": ids, "decoder_input_ids": ids}
    yield {"input_ids": ids}


def _features(config: Any, rand: Rand) -> Iterator[Any]:
    """Spectrograms, such as Whisper's."""
    bins, length = (
        getattr(config, "num_mel_bins", 80),
        2 * getattr(config, "max_source_positions", 1500),
    )
    features = rand(1, bins, length)
    yield {"input_features": features, "decoder_input_ids": torch.tensor([[1, 1]])}
    yield {"input_features": features}
    yield {"input_features": features.transpose(1, 2)}


def _of_layers(model: nn.Module, rand: Rand) -> Iterator[Any]:
    """What the layers take: the first registered, then those that pictures could go into."""
    layers = [module for module in model.modules() if _shapes_for(module)]
    layers[1:] = sorted(layers[1:], key=lambda layer: not _takes_pictures(layer))
    seen: set[tuple[bool, tuple[int, ...]]] = set()
    for layer in layers:
        numbers = isinstance(layer, (nn.Embedding, nn.EmbeddingBag))
        for shape in _shapes_for(layer):
            if (numbers, shape) not in seen:
                seen.add((numbers, shape))
                yield torch.zeros(shape, dtype=torch.long) if numbers else rand(shape)


def _takes_pictures(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.in_channels <= 4


def _shapes_for(module: nn.Module) -> list[tuple[int, ...]]:
    """Shapes that a layer takes; none for what says nothing of its input."""
    for kinds, shapes in _LAYERS:
        if isinstance(module, kinds):
            return shapes(module)
    return []


def _images(channels: int) -> list[tuple[int, ...]]:
    return [(batch, channels, side, side) for batch in _BATCHES for side in _SIDES]


def _signals(channels: int) -> list[tuple[int, ...]]:
    return [(2, channels, length) for length in _LENGTHS]


def _volumes(channels: int) -> list[tuple[int, ...]]:
    return [(1, channels, side, side, side) for side in (16, 32, 64)]


def _rows(features: int) -> list[tuple[int, ...]]:
    return [(2, features), (2, 16, features), (1, features)]


def _sequences(features: int) -> list[tuple[int, ...]]:
    return [(2, length, features) for length in _TOKENS]


def _normalized(module: Any) -> list[tuple[int, ...]]:
    shape = tuple(module.normalized_shape)
    return [(2, *shape), (2, 16, *shape)]


_LAYERS: tuple[tuple[Any, Callable[[Any], list[tuple[int, ...]]]], ...] = (
    ((nn.Conv2d, nn.ConvTranspose2d), lambda m: _images(m.in_channels)),
    ((nn.Conv1d, nn.ConvTranspose1d), lambda m: _signals(m.in_channels)),
    ((nn.Conv3d, nn.ConvTranspose3d), lambda m: _volumes(m.in_channels)),
    (nn.BatchNorm2d, lambda m: _images(m.num_features)),
    (nn.BatchNorm1d, lambda m: [(2, m.num_features), *_signals(m.num_features)]),
    (nn.LayerNorm, _normalized),
    (nn.Linear, lambda m: _rows(m.in_features)),
    ((nn.Embedding, nn.EmbeddingBag), lambda m: [(2, length) for length in _TOKENS]),
    ((nn.RNNBase, nn.RNNCellBase), lambda m: [*_sequences(m.input_size), (2, m.input_size)]),
    (nn.MultiheadAttention, lambda m: _sequences(m.embed_dim)),
)
