"""Batches taken apart into leaves, and put together again: lists, tuples, mappings, tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch


@final
@dataclass(frozen=True)
class Form:
    """The structure of a batch.

    Attributes:
        kind: of a container; None for a leaf.
        keys: of a mapping.
        inner: of what is inside.
    """

    kind: type | None = None
    keys: tuple[Any, ...] = ()
    inner: tuple[Form, ...] = ()


_LEAF = Form()


def taken_apart(value: Any) -> tuple[list[Any], Form]:
    """The leaves of a batch in order, and its structure.

    Mappings of any kind are containers, those of transformers' tokenizers too.

    >>> leaves, form = taken_apart({"a": [1, 2], "b": 3})
    >>> leaves, put_together(form, [x + 1 for x in leaves])
    ([1, 2, 3], {'a': [2, 3], 'b': 4})
    """
    if isinstance(value, Mapping):
        keys, items = tuple(value.keys()), list(value.values())
    elif isinstance(value, (list, tuple)):
        keys, items = (), list(value)
    else:
        return [value], _LEAF
    parts = [taken_apart(item) for item in items]
    form = Form(type(value), keys, tuple(inner for _, inner in parts))
    return [leaf for leaves, _ in parts for leaf in leaves], form


def put_together(form: Form, leaves: list[Any]) -> Any:
    """A batch of this structure."""
    return _built(form, iter(leaves))


def copied(batch: Any) -> Any:
    """A batch of the same structure whose tensors are copies: the user's code may change it."""
    leaves, form = taken_apart(batch)
    return put_together(form, [x.clone() if isinstance(x, torch.Tensor) else x for x in leaves])


def _built(form: Form, leaves: Iterator[Any]) -> Any:
    if form.kind is None:
        return next(leaves)
    items = [_built(inner, leaves) for inner in form.inner]
    kind: Any = form.kind
    if issubclass(kind, Mapping):
        filled = dict(zip(form.keys, items, strict=True))
        try:
            return kind(filled)
        except TypeError:  # its constructor takes something else
            return filled
    return kind(*items) if hasattr(kind, "_fields") else kind(items)
