"""Which outputs of frozen calls reach what is trained, and which stretch of them; by gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch.utils import _pytree as pytree

from stepsize.adapters.torch.fine_tuning.frozen.frozen_parts import Call, FrozenParts, Window

#: With how many draws of outputs and weights stretches are looked for.
DRAWS = 3


@final
@dataclass(frozen=True)
class Tracing:
    """A forward pass from the frozen calls on, made again and again for its gradients.

    Every output of a frozen call is cut off from what went into it and made a leaf, so that a
    gradient reaches it only on a way that is not frozen.

    Attributes:
        parts: the modules.
        calls: of the pass.
        begin: puts everything back before a pass.
        loss: computes it from the batch's tensors.
        inputs: the batch's tensors.
        outputs: the leaves that the frozen calls give.
    """

    parts: FrozenParts
    calls: tuple[Call, ...]
    begin: Callable[[], None]
    loss: Callable[[list[torch.Tensor]], torch.Tensor]
    inputs: list[torch.Tensor]
    outputs: list[list[Any]]

    def needs(self) -> tuple[tuple[Call, ...], list[bool]]:
        """The calls with the outputs, and the batch's tensors, that the loss depends on by itself.

        What has no gradients (whole numbers, masks) counts as needed.
        """
        self.begin()
        asked = self._gradients(self.outputs)
        idle = {place for place, gradient in asked.items() if gradient is None}
        known = tuple(
            replace(call, needed=tuple((index, i) not in idle for i in range(len(call.needed))))
            for index, call in enumerate(self.calls)
        )
        return known, [(-1, i) not in idle for i in range(len(self.inputs))]

    def windows(self, calls: tuple[Call, ...], draw: Callable[[int], None]) -> tuple[Call, ...]:
        """The calls with the stretches outside of which all gradients are zero.

        As where a classifier reads the first token. Outputs and trained weights are drawn at
        random, :data:`DRAWS` times: where a maximum lies must not pass for where it is looked for.

        Args:
            calls: what :meth:`needs` gave.
            draw: draws trained weights from a seed; :attr:`begin` puts them back.
        """
        seen: dict[tuple[int, int], torch.Tensor] = {}
        for number in range(DRAWS):
            self.begin()
            draw(number)
            drawn = [[_drawn(leaf) for leaf in leaves] for leaves in self.outputs]
            for place, gradient in self._gradients(drawn).items():
                if gradient is not None:
                    moved = gradient != 0
                    seen[place] = seen.get(place, torch.zeros_like(moved)) | moved
        return tuple(
            replace(call, windows=tuple(_window(seen.get((i, n))) for n in range(len(call.needed))))
            for i, call in enumerate(calls)
        )

    def _gradients(self, outputs: list[list[Any]]) -> dict[tuple[int, int], torch.Tensor | None]:
        """By the number of the call, -1 for the batch, and that of the leaf; None: it has none."""
        marks: list[torch.Tensor] = []
        places: list[tuple[int, int]] = []
        made, given = iter(enumerate(self.calls)), iter(outputs)

        def marked(tensor: Any, place: tuple[int, int]) -> Any:
            if not isinstance(tensor, torch.Tensor):
                return tensor
            if not (tensor.is_floating_point() or tensor.is_complex()):
                return tensor
            with torch.enable_grad():  # also where the user's code turns them off
                marks.append(tensor.detach().requires_grad_())
                places.append(place)
                return marks[-1].clone()  # may be written to

        def take(name: str, call: Callable[[], Any]) -> object:
            index, known = next(made)
            if not known.frozen:
                return call()
            cut = [marked(leaf, (index, i)) for i, leaf in enumerate(next(given))]
            return pytree.tree_unflatten(cut, known.form)

        batch = [marked(tensor, (-1, i)) for i, tensor in enumerate(self.inputs)]
        with self.parts.taken_over(take), torch.enable_grad():
            value = self.loss(batch).sum()
        found = torch.autograd.grad(value, marks, allow_unused=True) if marks else ()
        return dict(zip(places, found, strict=True))


def _drawn(value: Any) -> Any:
    drawn = isinstance(value, torch.Tensor) and value.is_floating_point()
    return torch.randn_like(value) if drawn else value


def _window(moved: torch.Tensor | None) -> Window | None:
    """The stretch that holds all places that are true, if it is half of its dimension at most.

    The first dimension, that of the examples, is left whole.

    >>> moved = torch.zeros(2, 5, 3, dtype=torch.bool); moved[0, 1, 0] = moved[1, 2, 2] = True
    >>> _window(moved)
    (1, 1, 3)
    """
    found: list[tuple[float, Window]] = []
    for dim in range(1, 0 if moved is None else moved.dim()):
        assert moved is not None
        others = [d for d in range(moved.dim()) if d != dim]
        places = moved.sum(others).nonzero().flatten().tolist()
        if places and 2 * (places[-1] + 1 - places[0]) <= moved.shape[dim]:
            part = (places[-1] + 1 - places[0]) / moved.shape[dim]
            found.append((part, (dim, places[0], places[-1] + 1)))
    return min(found)[1] if found else None
