"""Losses and gradients of several copies in one pass: the user's own loss, mapped over weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, final

import torch
from torch import nn
from torch.func import functional_call, grad_and_value

from stepsize.adapters.torch.fused.streams import stacked
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import LossFn, Recipe, device_of
from stepsize.errors import InputError, RangeTestError

Tensors = dict[str, torch.Tensor]


class UnevenGradientsError(InputError):
    """Other parameters get gradients than in the updates before; nothing has been written."""

    def __init__(self) -> None:
        super().__init__(
            "Some parameters get gradients in some updates only, so copies cannot be fused: what "
            "the optimizer counts is another number for each parameter."
        )


class Gradients(NamedTuple):
    """What one pass over the batches of an update has given, each with a row to a copy.

    Attributes:
        losses: the mean over the batches.
        gradients: of the parameters that the loss depends on.
        buffers: as the model has left them.
    """

    losses: torch.Tensor
    gradients: Tensors
    buffers: Tensors


class Each(NamedTuple):
    """A batch for each copy.

    Attributes:
        tensors: of all batches, stacked.
        batch_of: makes one of them of its tensors.
    """

    tensors: list[torch.Tensor]
    batch_of: Callable[[Any], Any]


def each_its_own(batches: Sequence[Any], owners: Sequence[int]) -> Each | None:
    """Batch ``owners[k]`` for copy ``k``; None where the batches cannot be stacked."""
    together = stacked(list(batches))
    if together is None:
        return None
    tensors, batch_of = together
    return Each([tensor[list(owners)] for tensor in tensors], batch_of)


@final
class Measured(nn.Module):
    """A model with its loss as one module of a batch, so that its weights can be exchanged.

    The tensors of the living model are in their places again after each call.

    Attributes:
        model: the living one.
        losses: the loss.
        recurrent: torch's recurrent layers in the model.
    """

    def __init__(self, model: nn.Module, loss: LossFn) -> None:
        super().__init__()
        self.model = model
        self.losses = (loss,)  # in a tuple, a loss that is a module is not taken for a part
        self.recurrent = [module for module in model.modules() if isinstance(module, nn.RNNBase)]

    def forward(self, batch: Any) -> torch.Tensor:
        """The loss of a batch."""
        loss: Any = self.losses[0](self.model, batch)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise RangeTestError("The loss of a batch must be a scalar tensor; take its mean.")
        return loss.reshape(())


def gradients_of(
    measured: Measured,
    recipe: Recipe,
    batches: Sequence[Any],
    parameters: Mapping[str, torch.Tensor],
    buffers: Mapping[str, torch.Tensor],
    trained: Sequence[str],
    *,
    inside: bool = False,
) -> Gradients:
    """The losses and gradients of copies over the batches of one update.

    Args:
        measured: the model and its loss.
        recipe: accumulation and precision.
        batches: as many as the recipe accumulates; :class:`Each` is one for each copy.
        parameters: stacked.
        buffers: stacked; not written to.
        trained: names of the parameters whose gradients are wanted.
        inside: whether gradients are made inside the map, which a compiler and recurrent layers
            need, or outside, where those that the loss does not depend on show, and are left out.

    Raises:
        RangeTestError: a loss that is no scalar, or has no gradient.
    """
    leaves = {name: parameters[name].detach() for name in trained}
    others = {name: tensor for name, tensor in parameters.items() if name not in leaves}
    now = {name: buffer.clone() for name, buffer in buffers.items()}
    total: torch.Tensor | None = None
    gradients: Tensors = {}
    for batch in batches:
        way = _inside if inside else _outside
        losses, found, now = way(measured, recipe, batch, leaves, others, now)
        if len(batches) > 1:
            losses = losses / len(batches)
            found = {name: gradient / len(batches) for name, gradient in found.items()}
        for name, gradient in found.items():
            before = gradients.get(name)
            gradients[name] = gradient if before is None else before + gradient
        total = losses if total is None else total + losses
    assert total is not None  # a recipe accumulates at least one
    return Gradients(total, gradients, now)


def _outside(
    measured: Measured,
    recipe: Recipe,
    batch: Any,
    leaves: Tensors,
    others: Tensors,
    buffers: Tensors,
) -> Gradients:
    """The copies are independent: the gradient of the sum of their losses is each one's own."""
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in leaves.items()}
    losses, now = _mapped(measured, recipe, batch, _itself)(leaves, others, buffers)
    if not losses.requires_grad:
        raise RangeTestError(
            "The loss has no gradient, so nothing can be learned from it: is it detached, "
            "computed under no_grad, or is every layer frozen?"
        )
    found: Any = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
    gradients = {
        name: gradient for name, gradient in zip(leaves, found, strict=True) if gradient is not None
    }
    return Gradients(losses.detach(), gradients, {name: b.detach() for name, b in now.items()})


def _inside(
    measured: Measured,
    recipe: Recipe,
    batch: Any,
    leaves: Tensors,
    others: Tensors,
    buffers: Tensors,
) -> Gradients:
    mapped = _mapped(measured, recipe, batch, partial(grad_and_value, has_aux=True))
    gradients, (losses, now) = mapped(leaves, others, buffers)
    return Gradients(losses, gradients, now)


def _mapped(
    measured: Measured, recipe: Recipe, batch: Any, transform: Callable[..., Any]
) -> Callable[..., Any]:
    """A transform of ``(leaves, others, buffers) -> (loss, buffers)``, mapped over copies."""
    device = device_of(measured.model).type
    own = isinstance(batch, Each)

    def loss_of(
        leaves: Tensors, others: Tensors, buffers: Tensors, tensors: Any
    ) -> tuple[torch.Tensor, Tensors]:
        named = {**leaves, **others, **buffers}
        given = {f"model.{name}": tensor for name, tensor in named.items()}
        of_copy = batch.batch_of(tensors) if own else batch
        if recipe.autocast is None:
            loss = functional_call(measured, given, (of_copy,))
        else:
            with torch.autocast(device, dtype=recipe.autocast, cache_enabled=False):
                loss = functional_call(measured, given, (of_copy,))
        return loss, {name: given[f"model.{name}"] for name in buffers}

    each = batch.tensors if own else None
    in_dims = (0, 0, 0, 0 if own else None)
    function = torch.vmap(transform(loss_of), in_dims=in_dims, randomness="same")
    return lambda leaves, others, buffers: function(leaves, others, buffers, each)


def _itself(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def used_by(measured: Measured, recipe: Recipe, batch: Any, trained: Sequence[str]) -> list[str]:
    """Those of the ``trained`` parameters that the loss of a batch depends on; leaves no trace."""
    parameters = dict(measured.model.named_parameters())
    leaves = [parameters[name] for name in trained]
    device = device_of(measured.model).type
    own = ObjectState(measured.model, *measured.losses)
    before = own.take()
    with Transaction(measured.model, *measured.losses):
        with torch.autocast(device, dtype=recipe.autocast, enabled=recipe.autocast is not None):
            loss = measured(batch)
        found: Any = torch.autograd.grad(loss, leaves, allow_unused=True)
        own.put(before)
    return [name for name, gradient in zip(trained, found, strict=True) if gradient is not None]


def joined(parts: Sequence[Gradients]) -> Gradients:
    """The rows of several passes as those of one.

    Raises:
        UnevenGradientsError: gradients of other parameters.
    """
    if len(parts) == 1:
        return parts[0]
    _, gradients, buffers = parts[0]
    if any(part.gradients.keys() != gradients.keys() for part in parts):
        raise UnevenGradientsError
    return Gradients(
        torch.cat([part.losses for part in parts]),
        {name: torch.cat([part.gradients[name] for part in parts]) for name in gradients},
        {name: torch.cat([part.buffers[name] for part in parts]) for name in buffers},
    )


def clipped(gradients: Tensors, recipe: Recipe) -> Tensors:
    """The gradients under the recipe's limits; a norm is that of each copy alone.

    >>> found = clipped({"w": torch.tensor([[3.0, 4.0], [0.3, 0.4]])}, Recipe(clip_norm=1.0))
    >>> [round(norm, 4) for norm in found["w"].norm(dim=1).tolist()]
    [1.0, 0.5]
    """
    if recipe.clip_norm is not None and gradients:
        rows = [g.reshape(len(g), -1) for g in gradients.values()]
        norms = torch.stack([torch.linalg.vector_norm(row, dim=1) for row in rows])
        total = torch.linalg.vector_norm(norms, dim=0)
        factor = (recipe.clip_norm / (total + 1e-6)).clamp(max=1.0)
        gradients = {name: g * spread(factor, g).to(g.dtype) for name, g in gradients.items()}
    limit = recipe.clip_value
    if limit is not None:
        gradients = {name: g.clamp(-limit, limit) for name, g in gradients.items()}
    return gradients


def spread(values: torch.Tensor, over: torch.Tensor) -> torch.Tensor:
    """One value to a copy, in a shape that spreads over a stacked tensor."""
    return values.view(-1, *(1,) * (over.dim() - 1))


@contextlib.contextmanager
def kernels_of(measured: Measured) -> Iterator[None]:
    """In the block, kernels that can be mapped are used; the model is whole again after it.

    On a CPU, oneDNN's recurrent layers and flash attention cannot be mapped: torch's own formulas
    take their place. Recurrent layers keep a list of their weights beside the weights.
    """
    on_cpu = device_of(measured.model).type == "cpu"
    recurrent: Any = torch.backends.mkldnn if measured.recurrent else SimpleNamespace(enabled=True)
    before, flash = recurrent.enabled, torch.backends.cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]
    if on_cpu:
        recurrent.enabled = False
        torch.backends.cuda.enable_flash_sdp(False)
    try:
        yield
    finally:
        if on_cpu:
            recurrent.enabled = before
            torch.backends.cuda.enable_flash_sdp(flash)
        for layer in measured.recurrent:
            for name, weight in list(layer.named_parameters(recurse=False)):
                setattr(layer, name, weight)  # into the list, too
