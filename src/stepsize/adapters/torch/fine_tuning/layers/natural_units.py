"""Which modules of a model form its layer groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch import nn

from stepsize.adapters.torch.fine_tuning.layers.layer_tree import LayerTree
from stepsize.fine_tuning import LayerGroup

#: A block that holds a larger share of the layers is opened.
_LARGE = 1 / 2
#: A stack of like blocks is opened from this share on: an encoder beside a decoder.
_STACK = 1 / 4
#: As many like blocks side by side are the stages of a network, and are not opened.
_STAGES = 3


def natural_units(tree: LayerTree) -> tuple[LayerGroup, ...]:
    """The layer groups of a model in depth order.

    >>> body = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
    >>> tree = LayerTree(nn.Sequential(body, nn.Linear(4, 2)), None)
    >>> [(group.name, group.modules) for group in natural_units(tree)]
    [('0.0', ('0.0', '0.1')), ('0.2', ('0.2',)), ('1', ('1',))]
    """
    if not any(tree.is_module(path) for path in tree.children("")):
        return (tree.group("", [""]),)
    units = sorted(_opened(tree, tree.children("")), key=tree.place)
    return tuple(tree.group(name, paths) for name, paths in _joined(tree, _head_last(tree, units)))


def _opened(tree: LayerTree, units: Sequence[str]) -> list[str]:
    """The units, with those that are too large replaced by what they consist of."""
    found: list[str] = []
    kinds = Counter(_kind(tree, unit) for unit in units if tree.leaves(unit) > 1)
    for unit in units:
        if kinds[_kind(tree, unit)] < _STAGES and _is_large(tree, unit):
            found.extend(_opened(tree, tree.children(unit)))
        else:
            found.append(unit)
    return found


def _is_large(tree: LayerTree, unit: str) -> bool:
    leaves = tree.leaves(unit)
    share = leaves / tree.leaves("")
    return leaves > 1 and (share > _LARGE or (share > _STACK and _is_stack(tree, unit)))


def _is_stack(tree: LayerTree, unit: str) -> bool:
    """Whether there is a list of like blocks somewhere in it."""
    children = [child for child in tree.children(unit) if tree.leaves(child) > 1]
    kinds = [_kind(tree, child) for child in children]
    is_list = isinstance(tree.module(unit), (nn.Sequential, nn.ModuleList))
    return (is_list and len(kinds) > len(set(kinds))) or any(
        _is_stack(tree, child) for child in children
    )


def _kind(tree: LayerTree, unit: str) -> object:
    """What makes blocks alike: their class; of plain containers, what they contain too."""
    if not tree.is_module(unit):
        return None
    module = tree.module(unit)
    if type(module) in (nn.Sequential, nn.ModuleList):
        inside = [c for c in tree.children(unit) if tree.is_module(c)]
        return type(module), frozenset(type(tree.module(child)) for child in inside)
    return type(module)


def _head_last(tree: LayerTree, units: list[str]) -> list[str]:
    """The units, the last of which is one that the forward pass used."""
    used = [any(tree.used[name] for name in tree.parameters(unit)) for unit in units]
    last = len(units) - used[::-1].index(True)
    return [*units[: last - 1], *units[last:], units[last - 1]]


def _joined(tree: LayerTree, units: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Names and members: norms and vectors go with the unit before them, tables with tables."""
    solid = {unit for unit in units if tree.is_solid(unit)} or set(units)
    found: list[tuple[str, list[str]]] = []
    waiting: list[str] = []  # before the first solid unit
    for unit in units:
        if unit not in solid:
            (found[-1][1] if found else waiting).append(unit)
        elif found and tree.is_embedding(unit) and tree.is_embedding(found[-1][0]):
            found[-1][1].append(unit)
        else:
            found.append((unit, [*waiting, unit]))
            waiting = []
    return found
