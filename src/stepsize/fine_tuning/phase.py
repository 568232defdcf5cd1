"""One phase of a fine-tuning: how long, what trains, at which rates, under which schedule."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from math import floor, isfinite
from typing import Any, final

from stepsize.errors import InputError, did_you_mean, require
from stepsize.schedules import Schedule, parse
from stepsize.schedules.units import as_int

#: The length of a phase that takes what the others leave.
REST = "rest"
#: What trains, besides a number of last groups.
TRAINABLE = ("all", "head", "gradual")
#: Where a peak comes from, besides a number.
LR_FROM = ("find", "tune", "previous")
#: Where the groups' ratios come from, besides numbers.
RATIOS = ("equal", "measured")
#: What the modules of frozen groups do: ``eval`` keeps their statistics and draws no dropout.
FROZEN = ("eval", "train")

_SHARE = re.compile(
    r"(?P<percent>\d+(?:\.\d*)?|\.\d+)\s*%(?:\s*,?\s*at\s+most\s+(?P<most>\d+))?(?:\s*epochs?)?"
)


@final
@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a fine-tuning in which one schedule runs from its beginning to its end.

    Attributes:
        name: how tables and pictures call it.
        epochs: a number of epochs; ``"30%"`` of all of them, the nearest whole number, one at
            least; ``"15%, at most 2"``; or ``"rest"``, what the other phases leave.
        trainable: ``"all"`` groups, the ``"head"`` (the last group), a number of last groups (as
            many as there are, at most), or ``"gradual"``: one group more than the phase before
            trained (in the first phase: the head), and another one below after every
            ``unfreeze_epochs``, until all train (Howard & Ruder 2018, arXiv:1801.06146, 3.3).
        schedule: the text of a schedule over the phase, in which ``lr`` is the peak. It fits the
            phase's length: without a length of its own it takes the whole phase.
        lr: the peak: a number; ``"find"``, by a range test at the phase's beginning; ``"tune"``, by
            a race on the validation set, in which all that the phase trains is trained from the
            first update on (so not for ``"gradual"``), carried over to the phase's schedule;
            ``"previous"``, that of the phase before.
        ratios: between the rates of the layer groups: ``"equal"``, no others than the optimizer
            has, as everywhere: all the same unless the task gave some layers rates of their own.
            These take the place of the task's between layer groups, and leave those within one:
            ``"measured"``, by range tests of every group; a factor, 1 or more, between neighbours,
            the last group highest; or one number per group.
        precompute: compute the outputs of the frozen groups once, and train on them. Augmentation
            is then that of the pass in which they were computed.
        frozen: ``"eval"``: frozen groups keep their running statistics and draw no dropout;
            ``"train"``: they behave as if they trained.
        otherwise: where ``"find"`` abstains and does not even show which rates are too high, the
            peak is this share of that of the phase before. Where it does, the peak is a tenth of
            the highest rate that does no harm.
        unfreeze_epochs: epochs between two unfreezings, for ``"gradual"``.
        budget: what ``"tune"`` may spend, in trainings of the phase.

    Raises:
        InputError: a value that cannot be used; the message names the phase and what it takes.

    >>> head = Phase("head", epochs="15%, at most 2", trainable="head", precompute=True)
    >>> head.share(12), head.share(40)
    (2, 2)
    >>> Phase("all", schedule="cosine(0.1)")
    Traceback (most recent call last):
        ...
    stepsize.errors.InputError: phase 'all': the schedule 'cosine(0.1)' does not use lr, the peak
    of the phase. Write it with lr, such as 'cosine(lr)', and give the number as lr.
    """

    name: str
    epochs: int | str = REST
    trainable: int | str = "all"
    schedule: str = "cosine(lr)"
    lr: float | str = "find"
    ratios: float | str | tuple[float, ...] = "equal"
    precompute: bool = False
    frozen: str = "eval"
    otherwise: float = 0.5
    unfreeze_epochs: int = 1
    budget: float = 1.0

    def __post_init__(self) -> None:
        need_name(self.name, "A phase has a name, such as 'head'")
        who = f"phase {self.name!r}"
        for field, clean in _CLEAN.items():
            object.__setattr__(self, field, clean(getattr(self, field), f"{who}: {field}"))
        _check_schedule(self.schedule, who)
        frozen = self.trainable == "head" or isinstance(self.trainable, int)
        require(
            frozen or not self.precompute,
            f"{who}: precompute needs groups that stay frozen in the whole phase, and with "
            f"trainable={self.trainable!r} there are none. Say trainable='head', or how many of "
            "the last groups train.",
        )
        require(
            self.lr != "tune" or self.trainable != "gradual",
            f"{who}: lr='tune' cannot race for a gradual phase, whose groups begin to train one "
            "after the other: all of them would in the race. Say lr='find', or a number, or split "
            "the phase into several with a fixed trainable.",
        )

    @property
    def percent(self) -> Fraction | None:
        """The share of all epochs, in percent; None for a number of epochs and the rest."""
        found = _SHARE.fullmatch(self.epochs) if isinstance(self.epochs, str) else None
        return Fraction(found["percent"]) if found else None

    def share(self, epochs: int) -> int | None:
        """The phase's epochs in a training of ``epochs``; None for the rest of them.

        >>> Phase("head", epochs="30%").share(12), Phase("all").share(12)
        (4, None)
        """
        if isinstance(self.epochs, int):
            return self.epochs
        found = _SHARE.fullmatch(self.epochs)
        if found is None:
            return None
        share = max(1, floor(Fraction(found["percent"]) * epochs / 100 + Fraction(1, 2)))
        return share if found["most"] is None else min(share, int(found["most"]))

    def first_trainable(self, before: int, groups: int) -> int:
        """How many of the last of ``groups`` train at first, after a phase that trained ``before``.

        >>> Phase("all").first_trainable(0, 4), Phase("all", trainable="gradual").first_trainable(
        ...     1, 4
        ... )
        (4, 2)
        """
        wished = {"all": groups, "head": 1, "gradual": before + 1}.get(
            str(self.trainable), self.trainable
        )
        return min(int(wished), groups)

    def fixed_ratios(self, groups: int) -> tuple[float, ...] | None:
        """One ratio per group, the highest of them 1; None where they are to be measured.

        All are 1 for ``"equal"``: of an optimizer of one rate.

        Raises:
            InputError: another number of ratios than of groups.

        >>> Phase("all", ratios=10.0).fixed_ratios(3)
        (0.01, 0.1, 1.0)
        """
        if isinstance(self.ratios, str):
            return (1.0,) * groups if self.ratios == "equal" else None
        if isinstance(self.ratios, float):
            return tuple(1.0 / self.ratios ** (groups - 1 - i) for i in range(groups))
        if len(self.ratios) != groups:
            raise InputError(
                f"phase {self.name!r}: {len(self.ratios)} ratios were given for {groups} layer "
                "groups. Give one per group, the one nearest the input first, or one factor."
            )
        return tuple(ratio / max(self.ratios) for ratio in self.ratios)

    def resolved(self, lr: float, updates: int, updates_per_epoch: int) -> Schedule:
        """The schedule with the peak ``lr``, over a phase of ``updates``.

        Raises:
            InputError: the schedule's own length is not the phase's.

        >>> str(Phase("all", schedule="warmup(cosine(lr), steps=10%)").resolved(0.1, 100, 10))
        'warmup(cosine(0.1, steps=90), steps=10)'
        """
        schedule = parse(
            self.schedule, steps=updates, steps_per_epoch=updates_per_epoch, names={"lr": lr}
        )
        length = schedule.length
        if length not in (None, 0, updates):
            raise InputError(
                f"phase {self.name!r}: {schedule} is {length} updates long, and the phase "
                f"{updates}. Leave its length out, give it in percent, or stretch it: "
                f"'stretch({self.schedule})'."
            )
        return schedule

    def to_dict(self) -> dict[str, Any]:
        """The phase as JSON data; :meth:`from_dict` reads it."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return known | {"ratios": _listed(self.ratios)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Phase:
        """The phase that :meth:`to_dict` wrote, or a user; what is left out has its default.

        Raises:
            InputError: no object with a name, or a word that a phase does not know.

        >>> Phase.from_dict({"name": "head", "epochs": 2}).epochs
        2
        """
        need_mapping(data, ["name"], "A phase is an object with a 'name'")
        known = [field.name for field in fields(cls)]
        for name in data:
            if name not in known:
                raise InputError(
                    f"phase {data['name']!r:.80} has no {name!r:.80}."
                    f"{did_you_mean(str(name), known)} It has {', '.join(known)}."
                )
        return cls(**data)


def need_name(value: Any, what: str) -> None:
    """Raise unless ``value`` is a text that is not blank.

    >>> need_name("head", "A phase has a name")
    """
    require(isinstance(value, str) and bool(value.strip()), f"{what}; got {value!r:.200}.")


def need_mapping(value: Any, keys: Collection[str], what: str) -> None:
    """Raise unless ``value`` is an object with all of ``keys``.

    >>> need_mapping({"name": "head"}, ["name"], "A phase is an object with a 'name'")
    """
    has_all = isinstance(value, Mapping) and set(keys) <= set(value)
    require(has_all, f"{what}, got {value!r:.200}.")


def _clean_epochs(value: Any, who: str) -> int | str:
    got = as_int(value)
    if got is not None:
        require(got >= 1, f"{who} must be 1 or more, got {value!r}.")
        return got
    text = value.strip().lower() if isinstance(value, str) else ""
    if text.removesuffix("epochs").removesuffix("epoch").strip().isdecimal():
        return _clean_epochs(int(text.split("e")[0]), who)
    found = _SHARE.fullmatch(text) if len(text) <= 100 else None
    if found is None:
        require(
            text == REST,
            f"{who} is a number of epochs, a share such as '30%' or '15%, at most 2', or 'rest'; "
            f"got {value!r:.200}.",
        )
        return text
    require(0 < Fraction(found["percent"]) <= 100, f"{who}: a share is above 0%, got {value!r}.")
    most = found["most"]
    require(most is None or int(most) >= 1, f"{who}: at most 1 or more epochs, got {value!r}.")
    percent = f"{Decimal(found['percent']).normalize():f}%"
    return percent if most is None else f"{percent}, at most {int(most)}"


def _clean_trainable(value: Any, who: str) -> int | str:
    got = as_int(value)
    if got is None and value not in TRAINABLE:
        raise InputError(
            f"{who} is one of {', '.join(TRAINABLE)}, or how many of the last groups train; "
            f"got {value!r:.200}."
        )
    require(got is None or got >= 1, f"{who}: at least one group trains, got {value!r}.")
    return str(value) if got is None else got


def _clean_lr(value: Any, who: str) -> float | str:
    if isinstance(value, str):
        require(
            value in LR_FROM,
            f"{who} is a number, or one of {', '.join(LR_FROM)}; got {value!r:.200}.",
        )
        return value
    return _positive(value, who)


def _clean_ratios(value: Any, who: str) -> float | str | tuple[float, ...]:
    if isinstance(value, str):
        require(
            value in RATIOS,
            f"{who} is one of {', '.join(RATIOS)}, a factor between neighbours, or one number per "
            f"group; got {value!r:.200}.",
        )
        return value
    if hasattr(value, "__iter__"):
        given = tuple(_positive(each, who) for each in value)
        require(bool(given), f"{who}: one number per group is needed, got none.")
        return given
    factor = _positive(value, who)
    require(
        factor >= 1.0,
        f"{who}: a factor says how many times lower the group before is, 1 or more; got {value!r}.",
    )
    return factor


def _clean_count(value: Any, who: str) -> int:
    got = as_int(value)
    if got is None or got < 1:
        raise InputError(f"{who} must be a whole number, 1 or more, got {value!r:.200}.")
    return got


def _clean_flag(value: Any, who: str) -> bool:
    require(isinstance(value, bool), f"{who} is true or false, got {value!r:.200}.")
    return bool(value)


def _clean_frozen(value: Any, who: str) -> str:
    require(value in FROZEN, f"{who} is one of {', '.join(FROZEN)}, got {value!r:.200}.")
    return str(value)


def _positive(value: Any, who: str) -> float:
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise InputError(f"{who} must be a number, got {value!r:.200}.")
    got = float(value)
    require(isfinite(got) and got > 0.0, f"{who} must be finite and above 0, got {value!r}.")
    return got


#: How each attribute is checked and brought into its one form.
_CLEAN = {
    "epochs": _clean_epochs,
    "trainable": _clean_trainable,
    "lr": _clean_lr,
    "ratios": _clean_ratios,
    "precompute": _clean_flag,
    "frozen": _clean_frozen,
    "otherwise": _positive,
    "unfreeze_epochs": _clean_count,
    "budget": _positive,
}


class _Asked(dict[str, float]):
    """The stand-in of the peak; remembers whether it was looked up."""

    asked = False

    def __getitem__(self, name: str) -> float:
        self.asked = True
        return super().__getitem__(name)


def _check_schedule(text: Any, who: str) -> None:
    require(isinstance(text, str), f"{who}: a schedule's text is expected, got {text!r:.200}.")
    names = _Asked(lr=0.1)
    parse(text, names=names)
    require(
        names.asked,
        f"{who}: the schedule {text!r:.200} does not use lr, the peak of the phase. Write it with "
        "lr, such as 'cosine(lr)', and give the number as lr.",
    )


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
