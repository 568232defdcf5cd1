"""A model as a tree of modules whose parameters are in the order of their use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from stepsize.adapters.torch.fine_tuning.layers.forward_order import ForwardOrder
from stepsize.adapters.torch.fine_tuning.layers.layer_names import (
    is_bias,
    is_norm,
    modules_by_name,
    owners,
    parameters_by_name,
)
from stepsize.fine_tuning import LayerGroup

#: How many names a note spells out.
_MOST_NAMES = 3


class LayerTree:
    """The modules of a model by their dotted names, each parameter listed under one of them.

    A parameter that has several names is listed under the module that is called first, without a
    forward pass under the one registered first.

    Attributes:
        tied: the other names of such parameters, with the one they are listed under.
        used: whether the forward pass used a parameter, by name; all of them without a pass.

    >>> tree = LayerTree(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), None)
    >>> tree.children(""), tree.parameters("2"), tree.leaves("")
    (['0', '2'], ['2.weight', '2.bias'], 2)
    """

    def __init__(self, model: nn.Module, order: ForwardOrder | None) -> None:
        self.model = model
        self._named = parameters_by_name(model)
        self._modules = modules_by_name(model)
        self._owners = {name: (module, own) for name, module, own in owners(model)}
        self.tied = _tied(self._named, self._owners, order)
        listed = [name for name in self._named if name not in self.tied]
        self._places = _places(listed, self._named, order)
        self._listed = sorted(listed, key=self._places.__getitem__)
        self.used = {name: order is None or id(self._named[name]) in order.uses for name in listed}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: weights with several names, and those that are not used."""
        notes = []
        if self.tied:
            other, name = next(iter(self.tied.items()))
            more = len(self.tied) - 1
            rest = f", and so for {more} more" if more else ""
            notes.append(f"One weight under several names: {other} is listed as {name}{rest}.")
        unused = [name for name in self._listed if not self.used[name]]
        if unused:
            notes.append(
                f"Not used by the forward pass: {_some(unused)}; listed where it is registered."
            )
        return tuple(notes)

    def module(self, path: str) -> nn.Module:
        """The module of that dotted name."""
        return self._modules[path]

    def parameters(self, path: str) -> list[str]:
        """The names of the parameters below a module, or the name of a parameter itself."""
        inside = f"{path}." if path else ""
        return [name for name in self._listed if name.startswith(inside) or name == path]

    def children(self, path: str) -> list[str]:
        """The modules one level below that hold parameters, and the parameters held directly."""
        start = len(path) + 1 if path else 0
        below = dict.fromkeys(
            name[start:].partition(".")[0] for name in self.parameters(path) if name != path
        )
        return [f"{path}.{piece}" if path else piece for piece in below]

    def is_module(self, path: str) -> bool:
        """Whether the name is that of a module, not of a parameter."""
        return path in self._modules

    def leaves(self, path: str) -> int:
        """How many modules from there on hold parameters themselves."""
        return len({_leaf(name) for name in self.parameters(path)})

    def place(self, path: str) -> float:
        """Where its first parameter is used."""
        return min(self._places[name] for name in self.parameters(path))

    def is_solid(self, path: str) -> bool:
        """Whether it is a layer in its own right: a module with more than norms and vectors."""
        return self.is_module(path) and any(
            self._named[name].dim() > 1 and not is_norm(self._owners[name][0])
            for name in self.parameters(path)
        )

    def is_embedding(self, path: str) -> bool:
        """Whether all it holds are tables of embeddings."""
        kinds = (nn.Embedding, nn.EmbeddingBag)
        return all(isinstance(self._owners[name][0], kinds) for name in self.parameters(path))

    def group(self, name: str, paths: Sequence[str]) -> LayerGroup:
        """The group of what lies below ``paths``."""
        names = list(dict.fromkeys(each for path in paths for each in self.parameters(path)))
        names.sort(key=self._places.__getitem__)
        return self.group_of(name, [path for path in paths if self.is_module(path)], names)

    def group_of(self, name: str, modules: Iterable[str], names: Sequence[str]) -> LayerGroup:
        """The group of these parameters."""
        sizes = {each: self._named[each].numel() for each in names}
        return LayerGroup(
            name or type(self.model).__name__,
            tuple(modules),
            tuple(names),
            sum(sizes.values()),
            sum(size for each, size in sizes.items() if self._named[each].requires_grad),
            tuple(each for each in names if self._is_plain(each)),
        )

    def _is_plain(self, name: str) -> bool:
        module, own = self._owners[name]
        return is_norm(module) or is_bias(own)


def tied_owners(model: nn.Module) -> list[nn.Module]:
    """The modules that hold a parameter which has several names.

    >>> table, head = nn.Embedding(5, 2), nn.Linear(2, 5, bias=False)
    >>> head.weight = table.weight
    >>> tied_owners(nn.Sequential(table, nn.Linear(2, 2), head))
    [Embedding(5, 2), Linear(in_features=2, out_features=5, bias=False)]
    """
    named = parameters_by_name(model)
    several = {id(named[name]) for name in _tied(named, {}, None)}
    return [module for name, module, _ in owners(model) if id(named[name]) in several]


def _tied(
    named: dict[str, nn.Parameter],
    holders: dict[str, tuple[nn.Module, str]],
    order: ForwardOrder | None,
) -> dict[str, str]:
    """The other names of parameters that have several, with the name they are listed under."""
    names: dict[int, list[str]] = {}
    for name, parameter in named.items():
        names.setdefault(id(parameter), []).append(name)
    calls = {} if order is None else order.calls
    late = len(calls)
    tied = {}
    for same in names.values():
        first = min(same, key=lambda n: calls.get(id(holders[n][0]), late) if holders else 0)
        tied.update({name: first for name in same if name != first})
    return tied


def _places(
    listed: Sequence[str], named: dict[str, nn.Parameter], order: ForwardOrder | None
) -> dict[str, float]:
    """A number by which to sort: the first use; for what is unused, just after its neighbour."""
    if order is None:
        return {name: float(place) for place, name in enumerate(listed)}
    places: dict[str, float] = {}
    before, step = -1.0, 1.0 / (len(listed) + 1)
    for name in listed:
        use = order.uses.get(id(named[name]))
        before = before + step if use is None else float(use)
        places[name] = before
    return places


def _leaf(name: str) -> str:
    """The module that holds a parameter, parametrizations of its weights aside."""
    return name.rpartition(".")[0].partition(".parametrizations")[0]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
