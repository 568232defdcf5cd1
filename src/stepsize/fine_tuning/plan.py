"""A whole fine-tuning as a value: what trains when, at which rates, under which schedules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from stepsize.errors import InputError, OutputError, did_you_mean, require
from stepsize.fine_tuning.layer_groups import LayerGroups
from stepsize.fine_tuning.phase import REST, Phase, need_mapping, need_name
from stepsize.fine_tuning.timeline import Timeline, lay_out
from stepsize.schedules.units import as_int

#: Version of the layout of a plan's file; raised when a field changes its meaning.
FORMAT = 1
#: What the model begins with.
STARTS = ("pretrained", "scratch")


@final
@dataclass(frozen=True, slots=True)
class TransferPlan:
    """Phases, one after the other, over one model and one optimizer.

    Attributes:
        name: how tables and pictures call it.
        phases: in order; one of them takes the rest of the epochs, unless all say how many.
        groups: the model's layer groups are merged to at most so many; None for all of them.
        start: ``"pretrained"``, with the task's weights, or ``"scratch"``, with fresh ones.
        about: where it comes from and what it is for, in a few sentences.

    Raises:
        InputError: phases that do not go together.

    >>> head = Phase("head", epochs=1, trainable="head")
    >>> plan = TransferPlan("mine", (head, Phase("all", ratios=2.6)))
    >>> [(s.phase.name, s.epochs) for s in plan.timeline(10, groups=4).stretches]
    [('head', 1), ('all', 9)]
    >>> TransferPlan.from_dict(plan.to_dict()) == plan
    True
    """

    name: str
    phases: tuple[Phase, ...]
    groups: int | None = None
    start: str = "pretrained"
    about: str = ""

    def __post_init__(self) -> None:
        need_name(self.name, "A plan has a name, such as 'mine'")
        who = f"The plan {self.name!r:.80}"
        object.__setattr__(self, "phases", _listed(self.phases, who))
        groups = None if self.groups is None else as_int(self.groups)
        object.__setattr__(self, "groups", groups if groups is not None else self.groups)
        require(
            self.groups is None or (groups is not None and groups >= 1),
            f"{who}: groups is how many layer groups there are at most, 1 or more; got "
            f"{self.groups!r:.200}.",
        )
        require(
            self.start in STARTS,
            f"{who}: start is one of {', '.join(STARTS)}, got {self.start!r:.200}.",
        )
        require(isinstance(self.about, str), f"{who}: about is a text, got {self.about!r:.200}.")
        _check_phases(self.phases, who)

    def timeline(self, epochs: int, groups: LayerGroups | Sequence[str] | int) -> Timeline:
        """The plan laid out over ``epochs``; nothing is trained.

        Args:
            epochs: of the whole training.
            groups: the model's layer groups, their names, or how many there are.

        Raises:
            InputError: too few epochs (the message says how many it takes), or ratios for
                another number of groups.

        >>> from stepsize.fine_tuning.presets import PLANS
        >>> [s.trainable for s in PLANS["gradual"].timeline(6, groups=3).stretches]
        [(1,), (2, 3, 3, 3, 3)]
        """
        return lay_out(self, epochs, groups)

    def changed(self, phase: str, **changes: Any) -> TransferPlan:
        """The same plan with other values in the phase of that name.

        Raises:
            InputError: there is no such phase, or a value cannot be used.

        >>> from stepsize.fine_tuning.presets import PLANS
        >>> PLANS["full"].changed("all", lr=0.01).phases[0].lr
        0.01
        """
        names = [each.name for each in self.phases]
        if phase not in names:
            raise InputError(
                f"The plan {self.name!r} has no phase {phase!r:.80}."
                f"{did_you_mean(str(phase), names)} It has {', '.join(names)}."
            )
        phases = tuple(
            Phase.from_dict(each.to_dict() | changes) if each.name == phase else each
            for each in self.phases
        )
        return replace(self, phases=phases)

    def to_dict(self) -> dict[str, Any]:
        """The content of a plan's file."""
        return {
            "format": FORMAT,
            "name": self.name,
            "groups": self.groups,
            "start": self.start,
            "about": self.about,
            "phases": [phase.to_dict() for phase in self.phases],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TransferPlan:
        """The plan that :meth:`to_dict` wrote, or a user; what is left out has its default.

        Raises:
            InputError: no plan, or of a newer layout.

        >>> plan = TransferPlan.from_dict({"name": "mine", "phases": [{"name": "all"}]})
        >>> plan.start, plan.phases[0].schedule
        ('pretrained', 'cosine(lr)')
        """
        what = "A plan is an object with a 'name' and a list of 'phases'"
        need_mapping(data, ["name", "phases"], what)
        known = {name: value for name, value in data.items() if name != "format"}
        require(
            data.get("format", FORMAT) == FORMAT,
            f"The plan {data['name']!r:.80} has the layout {data.get('format')!r:.80}; this "
            f"version reads {FORMAT}. Update stepsize.",
        )
        fields = ("name", "phases", "groups", "start", "about")
        for name in known:
            if name not in fields:
                raise InputError(
                    f"A plan has no {name!r:.80}.{did_you_mean(str(name), fields)} It has "
                    f"{', '.join(fields)}."
                )
        phases = _listed(data["phases"], f"The plan {data['name']!r:.80}")
        return cls(**known | {"phases": tuple(Phase.from_dict(each) for each in phases)})

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON; the whole file or none.

        Raises:
            OutputError: it cannot be written.
        """
        from stepsize.store.whole_file import replacing

        path = Path(path)
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        try:
            with replacing(path) as file:
                file.write(text.encode())
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            why = getattr(error, "strerror", None) or error
            raise OutputError(f"Cannot write {path}: {why}. Choose another place.") from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> TransferPlan:
        """The plan in a file that :meth:`save` or a user wrote.

        Raises:
            InputError: it cannot be read, or holds no plan.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:  # also: no JSON, no UTF-8, a NUL
            why = getattr(error, "strerror", None) or error
            raise InputError(f"The plan {str(path)!r:.300} cannot be read: {why}.") from error
        try:
            return cls.from_dict(data)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @classmethod
    def of(cls, given: TransferPlan | Mapping[str, Any] | str | Path) -> TransferPlan:
        """The plan that ``given`` is, names, holds or leads to.

        Args:
            given: a plan, its data, the path of its ``.json`` file, or one of
                :data:`~stepsize.fine_tuning.presets.PLANS` by name.

        Raises:
            InputError: there is no such plan.

        >>> TransferPlan.of("ulmfit").phases[0].ratios
        2.6
        """
        from stepsize.fine_tuning.presets import PLANS

        if isinstance(given, TransferPlan):
            return given
        if isinstance(given, Mapping):
            return cls.from_dict(given)
        if isinstance(given, str) and given in PLANS:
            return PLANS[given]
        if str(given).endswith(".json"):
            return cls.load(given)
        raise InputError(
            f"There is no plan {given!r:.200}.{did_you_mean(str(given), PLANS)} There are "
            f"{', '.join(PLANS)}, and your own as the path of a .json file."
        )


def _listed(phases: Any, who: str) -> tuple[Any, ...]:
    require(isinstance(phases, (list, tuple)), f"{who} has a list of phases, got {phases!r:.200}.")
    return tuple(phases)


def _check_phases(phases: tuple[Phase, ...], who: str) -> None:
    for phase in phases:
        require(isinstance(phase, Phase), f"{who} has phases, not {phase!r:.200}.")
    require(bool(phases), f"{who} needs a phase, such as Phase('all').")
    names = [phase.name for phase in phases]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, f"{who} has two phases of one name: {twice[:1]}. Name them apart.")
    require(
        phases[0].lr != "previous",
        f"{who}: its first phase has no phase before it to take the peak from. Give it a number, "
        "'find' or 'tune'.",
    )
    rests = [phase.name for phase in phases if phase.epochs == REST]
    require(
        len(rests) <= 1,
        f"{who}: one phase can take the rest of the epochs, not {', '.join(rests)}.",
    )
    shares = [phase.percent for phase in phases if phase.percent is not None]
    require(
        bool(rests) or not shares,
        f"{who} gives shares of the epochs, so one phase has to take what they leave: "
        "epochs='rest'.",
    )
    require(
        not shares or sum(shares) < 100,
        f"{who}: the shares take {float(sum(shares)):g}% of the epochs and leave no rest.",
    )
