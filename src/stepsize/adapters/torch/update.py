"""One optimizer update, as the user's own training loop would make it."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.group_rates import parameters_in_order
from stepsize.errors import InputError, RangeTestError, require

#: ``loss_fn(model, batch)`` returns the mean loss of the batch, a scalar with a gradient.
LossFn = Callable[[Any, Any], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """How an update is made, apart from its rate.

    Attributes:
        accumulate: batches whose gradients are averaged into one update.
        autocast: the dtype of mixed precision (``torch.bfloat16``, ``torch.float16``), or None.
        scaler: a ``torch.amp.GradScaler``, or None.
        clip_norm: the gradients' norm is clipped to this, or None.
        clip_value: each gradient is clipped to this, or None.

    Raises:
        InputError: a count or limit that is not positive, or no dtype, or no GradScaler.
    """

    accumulate: int = 1
    autocast: torch.dtype | None = None
    scaler: Any = None
    clip_norm: float | None = None
    clip_value: float | None = None

    def __post_init__(self) -> None:
        count: Any = self.accumulate
        require(
            isinstance(count, int) and count >= 1,
            f"accumulate must be a whole number of batches, at least 1, got {count!r}.",
        )
        dtype: Any = self.autocast
        require(
            dtype is None or isinstance(dtype, torch.dtype),
            f"autocast is a dtype such as torch.bfloat16, got {dtype!r}.",
        )
        require(
            self.scaler is None or hasattr(self.scaler, "unscale_"),
            f"scaler is a torch.amp.GradScaler, got {self.scaler!r}.",
        )
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            require(limit is None or limit > 0, f"{name} must be positive, got {limit}.")


class Update:
    """Makes one update per call and returns the loss it measured before, still on its device."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFn,
        batches: Batches,
        recipe: Recipe,
    ) -> None:
        _check_loss_fn(loss_fn)
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.batches, self.recipe = batches, recipe
        self.needs_closure = _needs_closure(optimizer)
        if self.needs_closure and recipe.scaler is not None:
            raise InputError(
                f"{type(optimizer).__name__} needs a closure, and a GradScaler cannot drive one. "
                "Leave out the scaler (bfloat16 autocast needs none)."
            )

    def __call__(self) -> torch.Tensor:
        """Draw batches, update once, return the mean loss before the update."""
        drawn = distributed.together(self._draw)
        if self.needs_closure:
            losses: list[torch.Tensor] = []

            def closure() -> torch.Tensor:
                losses.append(self._gradients(drawn))
                self._clip()
                return distributed.mean_of(losses[-1])  # on it depends how often this is called

            self.optimizer.step(closure)  # type: ignore[arg-type]
            return losses[0]
        loss = self._gradients(drawn)
        self._clip()
        scaler = self.recipe.scaler
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()
        return loss

    def loss(self, batch: Any) -> torch.Tensor:
        """The loss of one batch under the recipe's precision."""
        with self._precision():
            loss: Any = self.loss_fn(self.model, batch)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise RangeTestError(
                "loss_fn must return the batch's mean loss as a scalar tensor, got "
                f"{_describe(loss)}. Take the mean: loss.mean()."
            )
        scalar: torch.Tensor = loss if loss.dim() == 0 else loss.reshape(())
        return scalar

    def _draw(self) -> list[Any]:
        return [self.batches.next() for _ in range(self.recipe.accumulate)]

    def _training_loss(self, batch: Any) -> torch.Tensor:
        loss = self.loss(batch)
        if not loss.requires_grad:
            raise RangeTestError(
                "The loss has no gradient, so nothing can be learned from it: is it detached, "
                "computed under no_grad, or is every layer frozen?"
            )
        return loss

    def _gradients(self, drawn: list[Any]) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        total: torch.Tensor | None = None
        for batch in drawn:
            loss = distributed.together(functools.partial(self._training_loss, batch))
            mean = loss if len(drawn) == 1 else loss / len(drawn)
            (mean if self.recipe.scaler is None else self.recipe.scaler.scale(mean)).backward()
            total = mean.detach() if total is None else total + mean.detach()
        assert total is not None  # accumulate >= 1
        return total

    def _clip(self) -> None:
        if self.recipe.clip_norm is None and self.recipe.clip_value is None:
            return
        if self.recipe.scaler is not None:
            self.recipe.scaler.unscale_(self.optimizer)
        parameters = parameters_in_order(self.optimizer)
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)
        if self.recipe.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, self.recipe.clip_value)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.recipe.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(device_of(self.model).type, dtype=self.recipe.autocast)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters live; the CPU if it has none."""
    parameter = next(iter(model.parameters()), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _needs_closure(optimizer: Optimizer) -> bool:
    """Whether ``step`` has a closure that is not optional, as LBFGS has."""
    step = inspect.unwrap(type(optimizer).step)
    closure = inspect.signature(step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _check_loss_fn(loss_fn: Any) -> None:
    """Refuse what cannot be called as ``loss_fn(model, batch)``, as far as that shows."""
    criterion = isinstance(loss_fn, nn.modules.loss._Loss) or (
        getattr(loss_fn, "__module__", None) == "torch.nn.functional"
    )
    fits = callable(loss_fn) and not isinstance(loss_fn, type) and not criterion
    with contextlib.suppress(ValueError):  # not every callable tells its signature
        try:
            if fits:
                inspect.signature(loss_fn).bind(None, None)
        except TypeError:
            fits = False
    require(
        fits,
        f"loss_fn is called as loss_fn(model, batch) and returns the batch's mean loss; got "
        f"{loss_fn!r:.200}. Wrap a criterion: lambda model, batch: criterion(model(batch[0]), "
        "batch[1]).",
    )


def _describe(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"{type(value).__name__} ({value!r:.60})"
