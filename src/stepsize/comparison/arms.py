"""What is compared: a schedule, under a name, with rates that are given or found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from stepsize.errors import InputError, require
from stepsize.schedules import Schedule, parse

#: The rates that an arm's text may use by name, as ``stepsize find`` reports them.
FOUND_NAMES = ("lr", "base_lr", "max_lr")
#: What stands in for them until they are known; only their order matters.
_STAND_INS = {"lr": 0.2, "base_lr": 0.1, "max_lr": 0.3}
#: ``name: expression``; a colon means nothing inside an expression.
_NAMED = re.compile(r"\s*(?P<name>[^:]*\S)\s*:(?P<text>.+)", re.DOTALL)


@final
@dataclass(frozen=True)
class Arm:
    """One schedule in a comparison.

    Attributes:
        schedule: its text, or the schedule. The text may use ``lr``, ``base_lr`` and ``max_lr``,
            the rates that a range test finds: ``"cosine(lr)"``.
        name: how tables and pictures call it; the text when empty.
        task: another task than the comparison's, such as the same network under another
            optimizer; None for the comparison's own.

    Raises:
        InputError: the text is no schedule; the message points at the place.

    >>> Arm("cosine(lr)").uses, Arm("cosine(0.1)").uses
    (('lr',), ())
    >>> Arm.of("Adam: constant(0.001)")
    Arm('constant(0.001)', name='Adam')
    """

    schedule: str | Schedule
    name: str = ""
    task: Any = None
    #: The names of :data:`FOUND_NAMES` that the text uses.
    uses: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        names = _Asked(_STAND_INS)
        if isinstance(self.schedule, str):
            parse(self.schedule, names=names)
        else:
            require(
                isinstance(self.schedule, Schedule),
                f"An arm is a schedule or its text, such as 'cosine(0.1)'; got {self.schedule!r}.",
            )
        require(isinstance(self.name, str), f"An arm's name is a text, got {self.name!r}.")
        name = self.name.strip() or str(self.schedule)
        name = name.encode("utf-8", "backslashreplace").decode()  # no halves of characters
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "uses", tuple(n for n in FOUND_NAMES if n in names.asked))

    @classmethod
    def of(cls, given: Arm | Schedule | str) -> Arm:
        """The arm that ``given`` stands for; a text may begin with a name: ``"mine: rex(0.1)"``."""
        if isinstance(given, Arm):
            return given
        if isinstance(given, str) and (parts := _NAMED.fullmatch(given)):
            return cls(parts["text"].strip(), name=parts["name"])
        return cls(given)

    def __repr__(self) -> str:
        words = [repr(self.schedule if isinstance(self.schedule, str) else str(self.schedule))]
        if self.name != str(self.schedule):
            words.append(f"name={self.name!r}")
        if self.task is not None:
            words.append(f"task={self.task!r}")
        return f"Arm({', '.join(words)})"

    def resolved(
        self,
        updates: int,
        updates_per_epoch: int,
        found: Mapping[str, float] | None = None,
        any_length: bool = False,
    ) -> Schedule:
        """The schedule for a run of ``updates``, with the found rates put in.

        Args:
            updates: the budget.
            updates_per_epoch: what lengths in epochs are measured in.
            found: the values of the names in :attr:`uses`.
            any_length: accept a schedule that ends before or after the run.

        Raises:
            InputError: a found rate is missing, or the schedule's length is not the run's.
        """
        if isinstance(self.schedule, str):
            names = {name: (found or {})[name] for name in self.uses}
            schedule = parse(
                self.schedule, steps=updates, steps_per_epoch=updates_per_epoch, names=names
            )
        else:
            schedule = self.schedule.resolve(updates, updates_per_epoch)
        length = schedule.length
        if not any_length and length is not None and length not in (0, updates):
            raise InputError(_mismatch(self.name, length, updates))
        return schedule


class _Asked(dict[str, float]):
    """Remembers which of its names were looked up."""

    def __init__(self, names: Mapping[str, float]) -> None:
        super().__init__(names)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> float:
        self.asked.add(name)
        return super().__getitem__(name)


def arms_of(schedules: Iterable[Arm | Schedule | str]) -> tuple[Arm, ...]:
    """All arms, each under a name of its own.

    Raises:
        InputError: none at all, no schedule, or two arms of one name.

    >>> [arm.name for arm in arms_of(["cosine(0.1)", "mine: rex(0.1)"])]
    ['cosine(0.1)', 'mine']
    """
    given: Any = [schedules] if isinstance(schedules, (str, Schedule, Arm)) else schedules
    arms = tuple(Arm.of(each) for each in given)
    require(bool(arms), "A comparison needs at least one schedule, such as 'cosine(0.1)'.")
    for name in _twice(arm.name for arm in arms):
        raise InputError(
            f"Two arms are called {name!r:.200}. Leave one out, or name them: 'first: ...'."
        )
    return arms


def _twice(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _mismatch(name: str, length: int, updates: int) -> str:
    what = "ends in the middle of" if length < updates else "is cut off by"
    return (
        f"{name} is {length} updates long and {what} the run of {updates}. Leave its length out "
        "(it then takes the whole run) or give it in percent; to hold its last value on purpose, "
        "or to be cut off, allow any length (any_length=True, --any-length)."
    )
