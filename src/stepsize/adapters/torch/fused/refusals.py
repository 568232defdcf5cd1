"""Why a training cannot be fused, as far as that shows without trying it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as modules
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed
from stepsize.adapters.torch.fused.rows import rule_of
from stepsize.adapters.torch.fused.streams import Stream
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import InputError

_MODULE_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "FSDPModule")


def refusal(stream: Stream, recipe: Recipe) -> str:
    """The first reason why ``stream`` cannot be fused; empty if none shows.

    >>> model = torch.nn.Linear(1, 1)
    >>> optimizer = torch.optim.Rprop(model.parameters())
    >>> refusal(Stream(model, optimizer, max, list), Recipe())[:21]
    'torch.optim.rprop.Rpr'
    """
    for reason in _reasons(stream, recipe):
        if reason:
            return reason
    return ""


def _reasons(stream: Stream, recipe: Recipe) -> Iterator[str]:
    if recipe.scaler is not None:
        yield "a GradScaler has one scale, and copies need one each (bfloat16 needs none)"
    if distributed.active():
        yield "several processes train it together (torch.distributed)"
    yield _about_model(stream.model)
    if isinstance(stream.loss, nn.Module) and any(True for _ in stream.loss.parameters()):
        yield "the loss has parameters of its own"
    yield _about_optimizer(stream.optimizer)
    yield _about_parameters(stream.model, stream.optimizer)


def _about_model(model: nn.Module) -> str:
    if isinstance(model, torch.jit.ScriptModule):
        return "the model is a TorchScript module"
    if any("_orig_mod" in name.split(".") for name, _ in model.named_parameters()):
        return "the model, or a part of it, is compiled already (torch.compile)"
    if modules._has_any_global_hook():  # type: ignore[no-untyped-call]
        return "there are hooks on all modules"
    for name, module in model.named_modules():
        place = f"the layer {name!r}" if name else "the model"
        kinds = {kind.__name__ for kind in type(module).__mro__}
        wrapper = next((kind for kind in _WRAPPERS if kind in kinds), None)
        if wrapper is not None:
            return f"{place} is wrapped by {wrapper}"
        if any(getattr(module, hooks, None) for hooks in _MODULE_HOOKS):
            return f"{place} has hooks"
    return ""


def _about_optimizer(optimizer: Optimizer) -> str:
    try:
        rule_of(optimizer)
    except InputError as error:
        return str(error)
    if any(group.get("differentiable") for group in optimizer.param_groups):
        return "the optimizer is differentiable"
    hooks = (
        *_of(optimizer, "_optimizer_step_pre_hooks"),
        *_of(optimizer, "_optimizer_step_post_hooks"),
    )
    if any(not _ours(hook) for hook in hooks):
        return "the optimizer has hooks"
    return ""


def _about_parameters(model: nn.Module, optimizer: Optimizer) -> str:
    own = {id(parameter) for parameter in model.parameters()}
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if any(id(parameter) not in own for parameter in given):
        return "the optimizer has parameters that are not the model's"
    trained = [parameter for parameter in given if parameter.requires_grad]
    if not trained:
        return "the optimizer has no parameter that is trained"
    for name, parameter in model.named_parameters():
        reason = _about_parameter(parameter)
        if reason:
            return f"the parameter {name!r} {reason}"
    if len({(parameter.device, parameter.dtype) for parameter in trained}) > 1:
        return "its parameters are of several devices or types"
    if trained[0].element_size() < torch.float32.itemsize:
        return f"its parameters are {trained[0].dtype}, too coarse for rates that are near"
    return ""


def _about_parameter(parameter: nn.Parameter) -> str:
    if nn.parameter.is_lazy(parameter):
        return "has no shape yet (a lazy layer)"
    if parameter.is_complex() or parameter.layout != torch.strided:
        return "is complex or sparse"
    if type(parameter.data) is not torch.Tensor:
        return f"is a {type(parameter.data).__name__}"
    if _of(parameter, "_backward_hooks") or _of(parameter, "_post_accumulate_grad_hooks"):
        return "has hooks"
    return ""


def _of(thing: object, name: str) -> list[Callable[..., Any]]:
    hooks = getattr(thing, name, None)
    return list(hooks.values()) if hooks else []


def _ours(hook: Any) -> bool:
    """Hooks that count updates and set rates, which the copies have by themselves."""
    module: str = getattr(hook, "__module__", None) or type(hook).__module__
    return module.partition(".")[0] == __name__.partition(".")[0]
