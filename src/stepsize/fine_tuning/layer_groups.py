"""Layer groups: a model's parameters in depth order, in the portions that share a rate."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final

from stepsize.errors import InputError, did_you_mean, require

#: Where the order of the groups may come from.
ORDERS = ("forward pass", "registration", "given")
#: Between the first and the last name of groups that were joined.
SPAN = " … "
_HEADS = ("group", "modules", "parameters", "trainable", "without decay")


@final
@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Neighbouring layers that are frozen, thawed and given a rate together.

    Attributes:
        name: the dotted name of its first module, or of its first and last.
        modules: dotted names of the modules that lie in it as a whole.
        parameters: dotted names of all its parameters in the order of their first use, each once.
        numel: how many numbers its parameters hold.
        trainable: how many of those have ``requires_grad``.
        plain: the parameters that usually get no weight decay: those of norm layers, and biases.

    Raises:
        InputError: a group without parameters, or one that lists a parameter twice.
    """

    name: str
    modules: tuple[str, ...]
    parameters: tuple[str, ...]
    numel: int
    trainable: int
    plain: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.parameters), f"The layer group {self.name!r} has no parameters.")
        require(
            len(set(self.parameters)) == len(self.parameters),
            f"The layer group {self.name!r} lists a parameter twice.",
        )
        foreign = sorted(set(self.plain) - set(self.parameters))
        require(
            not foreign,
            f"The layer group {self.name!r} has no parameters {', '.join(foreign)} that its plain "
            "ones name.",
        )

    def joined(self, other: LayerGroup) -> LayerGroup:
        """This group and the next one as a single group.

        >>> a, b, c = (LayerGroup(n, (n,), (f"{n}.weight",), 10, 10) for n in "abc")
        >>> a.joined(b).joined(c).name
        'a … c'
        """
        return LayerGroup(
            self.name.split(SPAN)[0] + SPAN + other.name.split(SPAN)[-1],
            self.modules + other.modules,
            self.parameters + other.parameters,
            self.numel + other.numel,
            self.trainable + other.trainable,
            self.plain + other.plain,
        )

    def to_dict(self) -> dict[str, Any]:
        """The group as JSON data."""
        return {
            "name": self.name,
            "modules": list(self.modules),
            "parameters": list(self.parameters),
            "numel": self.numel,
            "trainable": self.trainable,
            "plain": list(self.plain),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerGroup:
        """The group that :meth:`to_dict` wrote."""
        return cls(
            data["name"],
            tuple(data["modules"]),
            tuple(data["parameters"]),
            data["numel"],
            data["trainable"],
            tuple(data["plain"]),
        )


@final
@dataclass(frozen=True, slots=True)
class LayerGroups:
    """All the parameters of a model in groups, the first nearest the input.

    Attributes:
        groups: the groups in depth order.
        order: one of :data:`ORDERS`: from a forward pass, from the order in which the model
            registered its parameters, or as a splitter gave it.
        tied: parameters that have several names: the other name, and the one they are listed under.
        notes: sentences a reader should know.

    Raises:
        InputError: no group, a parameter in two groups, a name twice, an unknown order.

    >>> groups = LayerGroups(tuple(
    ...     LayerGroup(name, (name,), (f"{name}.weight", f"{name}.bias"), n, n, (f"{name}.bias",))
    ...     for name, n in [("stem", 40), ("layer1", 300), ("layer2", 1200), ("fc", 50)]))
    >>> groups.names, groups.head.name, groups.group_of("layer2.bias")
    (('stem', 'layer1', 'layer2', 'fc'), 'fc', 2)
    >>> groups.merged(3).names
    ('stem … layer1', 'layer2', 'fc')
    >>> print(groups.merged(2).table())
    group            modules                parameters  trainable  without decay
    stem … layer2    stem, layer1, layer2   1,540       1,540      3 of 6
    fc               fc                     50          50         1 of 2
    2 layer groups in the order of the forward pass; 1,590 parameters, 1,590 trainable
    """

    groups: tuple[LayerGroup, ...]
    order: str = "forward pass"
    tied: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.groups), "There must be at least one layer group, got none.")
        require(self.order in ORDERS, f"order is one of {', '.join(ORDERS)}, got {self.order!r}.")
        repeated = _repeated(self.names)
        require(not repeated, f"Two layer groups have the name {repeated!r}: give each its own.")
        listed = [name for group in self.groups for name in group.parameters]
        repeated = _repeated(listed)
        require(not repeated, f"The parameter {repeated!r} is in two layer groups.")
        lost = sorted(set(self.tied.values()) - set(listed))
        require(not lost, f"Tied names lead to {', '.join(lost)}, which no layer group lists.")
        object.__setattr__(self, "tied", MappingProxyType(dict(self.tied)))

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[LayerGroup]:
        return iter(self.groups)

    def __getitem__(self, index: int) -> LayerGroup:
        return self.groups[index]

    def __hash__(self) -> int:
        return hash((self.groups, self.order))

    def __repr__(self) -> str:
        return f"LayerGroups({', '.join(self.names)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return LayerGroups, (self.groups, self.order, dict(self.tied), self.notes)

    def _repr_html_(self) -> str:
        rows = [_HEADS, *map(_cells, self.groups)]
        cells = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        body = "".join(f"<tr>{row}</tr>" for row in cells).replace("td>", "th>", 2 * len(_HEADS))
        return f"<table>{body}</table><p>{html.escape(self._summary())}</p>"

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names in depth order."""
        return tuple(group.name for group in self.groups)

    @property
    def head(self) -> LayerGroup:
        """The last group: farthest from the input, and new in most transfers."""
        return self.groups[-1]

    @property
    def numel(self) -> int:
        """How many numbers all parameters hold, tied ones counted once."""
        return sum(group.numel for group in self.groups)

    @property
    def trainable(self) -> int:
        """How many of them have ``requires_grad``."""
        return sum(group.trainable for group in self.groups)

    def group_of(self, parameter_name: str) -> int:
        """The index of the group that holds a parameter, under whichever of its names.

        Raises:
            InputError: no such parameter.
        """
        name = self.tied.get(parameter_name, parameter_name)
        for index, group in enumerate(self.groups):
            if name in group.parameters:
                return index
        known = [each for group in self.groups for each in group.parameters]
        raise InputError(
            f"No layer group has a parameter {parameter_name!r}.{did_you_mean(name, known)}"
        )

    def merged(self, most: int) -> LayerGroups:
        """At most ``most`` groups: neighbours joined, the pair with the fewest numbers first.

        The head stays alone as long as there are two groups.

        Raises:
            InputError: ``most`` is not a whole number from 1 on.
        """
        count: object = most
        require(
            isinstance(count, int) and not isinstance(count, bool) and count >= 1,
            f"most is a number of groups from 1 on, got {most!r}.",
        )
        groups = list(self.groups)
        while len(groups) > most:
            pairs = range(len(groups) - (1 if len(groups) == 2 else 2))
            first = min(pairs, key=lambda i: groups[i].numel + groups[i + 1].numel)
            groups[first : first + 2] = [groups[first].joined(groups[first + 1])]
        return LayerGroups(tuple(groups), self.order, self.tied, self.notes)

    def table(self) -> str:
        """The groups as a table of text, with a line that sums it up and the notes below."""
        rows = [_HEADS, *map(_cells, self.groups)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, self._summary(), *self.notes])

    def _summary(self) -> str:
        order = {
            "forward pass": "in the order of the forward pass",
            "registration": "in the order of registration",
            "given": "as given",
        }[self.order]
        count = "1 layer group" if len(self) == 1 else f"{len(self)} layer groups"
        return f"{count} {order}; {self.numel:,} parameters, {self.trainable:,} trainable"

    def to_dict(self) -> dict[str, Any]:
        """The groups as JSON data."""
        return {
            "groups": [group.to_dict() for group in self.groups],
            "order": self.order,
            "tied": dict(self.tied),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerGroups:
        """The groups that :meth:`to_dict` wrote."""
        groups = tuple(LayerGroup.from_dict(group) for group in data["groups"])
        return cls(groups, data["order"], data["tied"], tuple(data["notes"]))


def _cells(group: LayerGroup) -> tuple[str, ...]:
    """One row of the table."""
    shown = (
        group.modules if len(group.modules) <= 4 else (*group.modules[:2], "…", group.modules[-1])
    )
    plain = f"{len(group.plain)} of {len(group.parameters)}"
    modules = ", ".join(shown) or ", ".join(group.parameters)
    return group.name, modules, f"{group.numel:,}", f"{group.trainable:,}", plain


def _repeated(names: tuple[str, ...] | list[str]) -> str | None:
    """The first name that comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
