"""A model's modules and parameters by the names that layer groups use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from torch import nn

from stepsize.errors import InputError, require
from stepsize.fine_tuning import LayerGroups

#: What ``torch.compile`` puts into the names of what it has compiled.
_COMPILED = "_orig_mod"
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
_NORM = re.compile(r"[Nn]orm|(^|[a-z\d])[BLG]N(\d|$)")
_BIAS = re.compile(r"(^|_)bias(_|\d|$)")


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module inside ``torch.compile``, ``DataParallel`` and their like.

    Raises:
        InputError: no module.

    >>> layer = nn.Linear(2, 1)
    >>> unwrapped(nn.DataParallel(layer)) is layer
    True
    """
    require(
        isinstance(model, nn.Module),
        f"The model must be a torch.nn.Module, got {type(model).__name__}.",
    )
    while True:
        inner = getattr(model, _COMPILED, None)
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def plain_name(name: str) -> str:
    """A dotted name without the pieces that ``torch.compile`` adds.

    >>> plain_name("layer1._orig_mod.weight")
    'layer1.weight'
    """
    return ".".join(piece for piece in name.split(".") if piece != _COMPILED)


def modules_by_name(model: nn.Module) -> dict[str, nn.Module]:
    """Every module under each of its names, the model itself under the empty one.

    >>> list(modules_by_name(nn.Sequential(nn.Linear(2, 1))))
    ['', '0']
    """
    named: Iterable[tuple[str, nn.Module]]
    named = unwrapped(model).named_modules(remove_duplicate=False)
    return {plain_name(name): module for name, module in named}


def parameters_by_name(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter under each of its names, in the order of registration.

    >>> list(parameters_by_name(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    named = unwrapped(model).named_parameters(remove_duplicate=False)
    return {plain_name(name): parameter for name, parameter in named}


def grouped_parameters(model: nn.Module, groups: LayerGroups) -> list[list[nn.Parameter]]:
    """The parameters of each group, in the group's order.

    Raises:
        InputError: the groups are those of another model.

    >>> from stepsize.fine_tuning import LayerGroup
    >>> groups = LayerGroups((LayerGroup("all", ("",), ("bias", "weight"), 3, 3),))
    >>> [tuple(each.shape) for each in grouped_parameters(nn.Linear(2, 1), groups)[0]]
    [(1,), (1, 2)]
    """
    known = parameters_by_name(model)
    wanted = [name for group in groups for name in group.parameters]
    missing = [name for name in wanted if name not in known]
    held = {id(known[name]) for name in wanted if name in known}
    extra = [name for name, parameter in known.items() if id(parameter) not in held]
    if missing or extra:
        raise InputError(
            "These layer groups are those of another model"
            + (f": it has no parameter {_some(missing)}" if missing else "")
            + (f"; no group holds its {_some(extra)}" if extra else "")
            + ". Make them anew: stepsize.transfer.groups(model)."
        )
    return [[known[name] for name in group.parameters] for group in groups]


def owners(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Every parameter's name with the module that holds it and its name there."""
    for path, module in unwrapped(model).named_modules(remove_duplicate=False):
        for name, _ in module.named_parameters(recurse=False):
            yield plain_name(f"{path}.{name}" if path else name), module, name


def is_bias(name: str) -> bool:
    """Whether a module's parameter of that name is a bias.

    >>> [is_bias(name) for name in ("bias", "bias_ih_l0", "in_proj_bias", "weight", "biased")]
    [True, True, True, False, False]
    """
    return bool(_BIAS.search(name))


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm layer: torch's, or one named so that holds no matrix.

    >>> is_norm(nn.BatchNorm2d(3)), is_norm(nn.LayerNorm((2, 3))), is_norm(nn.Linear(3, 3))
    (True, True, False)
    """
    if isinstance(module, _NORMS):
        return True
    shapes = [parameter.squeeze().dim() for parameter in module.parameters()]
    return bool(_NORM.search(type(module).__name__)) and max(shapes, default=0) <= 1


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
