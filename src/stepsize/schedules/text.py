"""Schedules as text: what the command line takes and what ``str`` gives.

``parse(str(schedule)) == schedule`` for every schedule but those of functions without an import
path. The grammar with examples is in docs/schedule-text.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field
from types import MappingProxyType
from typing import Any

from stepsize.errors import require
from stepsize.schedules.amplitude import Multiply, Scale
from stepsize.schedules.base import Schedule
from stepsize.schedules.combine import Chain
from stepsize.schedules.fields import role
from stepsize.schedules.parser import Parser


def parse(
    text: str,
    *,
    steps: int | None = None,
    steps_per_epoch: int | None = None,
    functions: bool = False,
    names: Mapping[str, float] = MappingProxyType({}),
) -> Schedule:
    """The schedule that ``text`` says; with ``steps``, resolved for a run of that many updates.

    A ``function`` schedule names code that its values will run, so it is refused unless
    ``functions`` says that the text comes from someone you trust. ``names`` are numbers that the
    text may use by name, such as a rate that was found.

    Raises:
        InputError: not a schedule; the message points at the place and says what was expected.

    >>> parse("warmup(cosine(0.1), steps=5%)", steps=1000)(50)
    0.1
    >>> str(parse("cosine(lr)", names={"lr": 0.28}))
    'cosine(0.28)'
    >>> parse("cosine(-0.1, steps=5%)")
    Traceback (most recent call last):
        ...
    stepsize.errors.InputError: cosine: init_value must be 0 or more, got -0.1.
      cosine(-0.1, steps=5%)
             ^^^^
    """
    require(isinstance(text, str), f"A schedule's text is expected, got {text!r:.200}.")
    schedule = Parser(text, functions, names).schedule()
    if steps is None:
        require(steps_per_epoch is None, "steps_per_epoch is of use only together with steps.")
        return schedule
    return schedule.resolve(steps, steps_per_epoch)


def format_schedule(schedule: Schedule) -> str:
    """The one way to write ``schedule``; also ``str(schedule)``.

    Leading parameters without a default have no name, those that equal their default are left
    out, numbers are as short as can be and lengths are bare.

    >>> from stepsize.schedules import Cosine
    >>> format_schedule(Cosine(0.1, end_value=0.0, steps="3 epochs"))
    'cosine(0.1, steps=3 epochs)'
    """
    if product := _product(schedule):
        return product
    if isinstance(schedule, Chain):
        return f"chain({', '.join(map(format_schedule, schedule.pieces))})"
    words: list[str] = []
    bare = True
    for field, value in schedule._items():
        bare = bare and field.default is MISSING
        if bare:
            words.append(_word(field, value))
        elif field.default is MISSING or value != field.default:
            words.append(f"{field.name}={_word(field, value)}")
    return f"{schedule.kind}({', '.join(words)})"


def _product(schedule: Schedule) -> str | None:
    """``0.5 * a`` and ``a * b``, from the left: a product on the right stands in parentheses."""
    if isinstance(schedule, Scale):
        return f"{_number(schedule.factor)} * {_factor(schedule.inner)}"
    if isinstance(schedule, Multiply):
        return f"{format_schedule(schedule.left)} * {_factor(schedule.right)}"
    return None


def _factor(schedule: Schedule) -> str:
    text = format_schedule(schedule)
    return f"({text})" if isinstance(schedule, (Scale, Multiply)) else text


def _word(field: Field[Any], value: Any) -> str:
    if isinstance(value, Schedule):
        return format_schedule(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_word(field, item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, str):
        return value if role(field) else f'"{value}"'
    return f"<{getattr(value, '__qualname__', type(value).__name__)}>"  # no text: a lambda


def _number(value: float) -> str:
    """The shortest text that is read as ``value`` again."""
    return repr(value).removesuffix(".0")
