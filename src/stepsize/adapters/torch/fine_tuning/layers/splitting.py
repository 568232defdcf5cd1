"""Layer groups as a user's own splitter gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from stepsize.adapters.torch.fine_tuning.layers.layer_names import (
    modules_by_name,
    parameters_by_name,
)
from stepsize.adapters.torch.fine_tuning.layers.layer_tree import LayerTree
from stepsize.errors import InputError, did_you_mean, require
from stepsize.fine_tuning import LayerGroups
from stepsize.fine_tuning.layer_groups import SPAN


def split_by(portions: Any, model: nn.Module) -> LayerGroups:
    """The layer groups that a splitter's answer says, the first nearest the input.

    Whether two parameters are the same is decided by identity, never by their values.

    Args:
        portions: a list with one entry per group, or a mapping from the groups' names to them.
            An entry is a module, a parameter, the dotted name of one, or a list of entries.
        model: the model that was split.

    Raises:
        InputError: a parameter in no group, or in two; an entry that is nothing of the model.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    >>> split_by([[model[0], "1.weight", "1.bias"], model[2]], model).names
    ('0 … 1', '2')
    """
    named = isinstance(portions, Mapping)
    require(
        named or isinstance(portions, (list, tuple)),
        "A splitter returns a list of modules, parameters, names or lists of these, one entry per "
        f"group, or a mapping from groups' names; got {type(portions).__name__}.",
    )
    entries = list(portions.values()) if named else list(portions)
    tree = LayerTree(model, None)
    listed = tree.parameters("")
    known = parameters_by_name(model)
    names = {id(known[name]): name for name in listed}
    taken: dict[str, int] = {}
    groups, notes = [], []
    for index, entry in enumerate(entries):
        members = list(dict.fromkeys(names[key] for key in _ids(entry, model, known, names)))
        again = [name for name in members if name in taken]
        _check_again(again, taken, index, tree.tied)
        notes += [f"{name} is listed in group {taken[name] + 1} alone." for name in again]
        members = [name for name in members if name not in taken]
        taken.update(dict.fromkeys(members, index))
        modules = _whole(tree, members)
        title = list(portions)[index] if named else _title(modules, members)
        groups.append(tree.group_of(str(title), modules, members))
    left = [name for name in listed if name not in taken]
    require(
        not left,
        f"The splitter leaves out {len(left)} of {len(listed)} parameters: {', '.join(left[:5])}"
        f"{', ...' if len(left) > 5 else ''}. Put each into one of the groups.",
    )
    return LayerGroups(tuple(groups), "given", tree.tied, tuple(notes))


def _ids(
    entry: Any, model: nn.Module, known: Mapping[str, nn.Parameter], names: Mapping[int, str]
) -> Iterator[int]:
    """The ids of the parameters that an entry holds."""
    if isinstance(entry, nn.Module):
        found: Iterable[torch.Tensor] = entry.parameters()
    elif isinstance(entry, torch.Tensor):
        found = (entry,)
    elif isinstance(entry, str):
        found = _by_name(entry, model, known)
    elif isinstance(entry, Iterable) and not isinstance(entry, (bytes, Mapping)):
        for each in entry:
            yield from _ids(each, model, known, names)
        return
    else:
        raise InputError(
            "A splitter's group holds modules, parameters and their names, got "
            f"{type(entry).__name__}."
        )
    for parameter in found:
        if id(parameter) not in names:
            raise InputError(
                f"A splitter's group holds a tensor of shape {tuple(parameter.shape)} that is no "
                "parameter of the model."
            )
        yield id(parameter)


def _by_name(
    name: str, model: nn.Module, known: Mapping[str, nn.Parameter]
) -> Iterable[torch.Tensor]:
    if name in known:
        return (known[name],)
    modules = modules_by_name(model)
    if name not in modules:
        near = did_you_mean(name, [*modules, *known])
        raise InputError(f"The model has no module or parameter {name!r}.{near}")
    return modules[name].parameters()


def _check_again(
    again: list[str], taken: Mapping[str, int], index: int, tied: Mapping[str, str]
) -> None:
    """A weight that has several names may come under each; any other only once."""
    shared = set(tied.values())
    for name in again:
        require(
            name in shared,
            f"The splitter puts {name} into two groups, {taken[name] + 1} and {index + 1}: every "
            "parameter belongs into one.",
        )


def _whole(tree: LayerTree, members: list[str]) -> list[str]:
    """The largest modules all whose parameters are among ``members``."""
    inside = set(members)

    def search(path: str) -> Iterator[str]:
        if not tree.is_module(path):
            return
        if inside.issuperset(tree.parameters(path)):
            yield path
        else:
            for child in tree.children(path):
                yield from search(child)

    return list(search(""))


def _title(modules: list[str], members: list[str]) -> str:
    parts = modules or members
    if not parts:
        return "?"  # a group without parameters, which LayerGroup refuses
    return parts[0] if len(parts) == 1 else parts[0] + SPAN + parts[-1]
