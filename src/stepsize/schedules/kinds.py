"""Every kind of schedule by the name that texts and JSON use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from stepsize.errors import InputError, did_you_mean
from stepsize.schedules.amplitude import Clip, Inverse, Multiply, Scale
from stepsize.schedules.base import Schedule
from stepsize.schedules.combine import Chain
from stepsize.schedules.cyclic import Cyclic, ExpRange, Triangular, Triangular2
from stepsize.schedules.decay import Constant, Cosine, Linear, Polynomial, Ramp, Rex
from stepsize.schedules.exponential import Exponential
from stepsize.schedules.function import Function
from stepsize.schedules.geometric import Geometric
from stepsize.schedules.one_cycle import OneCycle
from stepsize.schedules.points import Points
from stepsize.schedules.refined import Refined
from stepsize.schedules.restarts import WarmRestarts
from stepsize.schedules.root import InverseSqrt, Noam, Power
from stepsize.schedules.slanted import SlantedTriangular
from stepsize.schedules.stable import FlatCosine, Infinite, WarmupStableDecay
from stepsize.schedules.step import MultiStep, Step
from stepsize.schedules.time_based import CompoundingTime, InverseTime
from stepsize.schedules.timing import Cut, Repeat, Shift, Stairs, Stretch
from stepsize.schedules.warmup import Rise, Warmup

KINDS: Mapping[str, type[Schedule]] = {
    kind.kind: kind
    for kind in (
        Constant,
        Linear,
        Cosine,
        Polynomial,
        Ramp,
        Rex,
        Exponential,
        Geometric,
        Step,
        MultiStep,
        InverseTime,
        CompoundingTime,
        InverseSqrt,
        Noam,
        Power,
        WarmRestarts,
        Triangular,
        Triangular2,
        ExpRange,
        Cyclic,
        OneCycle,
        SlantedTriangular,
        FlatCosine,
        WarmupStableDecay,
        Infinite,
        Points,
        Refined,
        Function,
        Rise,
        Warmup,
        Chain,
        Repeat,
        Shift,
        Cut,
        Stretch,
        Stairs,
        Scale,
        Clip,
        Multiply,
        Inverse,
    )
}


def from_dict(definition: Any, functions: bool = False) -> Schedule:
    """The schedule that :meth:`Schedule.to_dict` wrote.

    A ``function`` schedule names code that its first value will run, so it is refused unless
    ``functions`` says that the definition comes from someone you trust.

    Raises:
        InputError: an unknown kind, parameters it does not have, or a function unasked for.

    >>> from_dict({"kind": "linear", "init_value": 0.1, "end_value": 0.0, "steps": 5})
    Linear(init_value=0.1, end_value=0.0, steps=5)
    """
    if not isinstance(definition, Mapping) or not isinstance(definition.get("kind"), str):
        raise InputError(
            f"A schedule's definition is an object with a 'kind', got {definition!r:.200}."
        )
    name = definition["kind"]
    kind = KINDS.get(name)
    if kind is None:
        raise InputError(f"There is no schedule {name!r:.80}.{did_you_mean(name, KINDS)}")
    if kind is Function and not functions:
        raise InputError(
            f"The definition would run {definition.get('function')!r:.80}. If you trust it, say "
            "from_dict(definition, functions=True)."
        )
    parts = {key: _read(value, functions) for key, value in definition.items() if key != "kind"}
    return build(kind, (), parts)


def build(kind: type[Schedule], positional: tuple[Any, ...], named: Mapping[str, Any]) -> Schedule:
    """``kind(*positional, **named)``, with errors that name the schedule's parameters.

    Raises:
        InputError: too many, unknown, repeated or missing parameters.
    """
    names = parameter_names(kind)
    if len(positional) > len(names):
        raise InputError(
            f"{kind.kind} takes at most {len(names)} parameters ({', '.join(names)}), "
            f"got {len(positional)}."
        )
    given = dict(zip(names, positional, strict=False))
    for name, value in named.items():
        if name not in names:
            raise InputError(
                f"{kind.kind} has no parameter {name!r:.80}.{did_you_mean(name, names)} "
                f"It has {', '.join(names)}."
            )
        if name in given:
            raise InputError(f"{kind.kind}: {name} is given twice.")
        given[name] = value
    missing = [name for name in required_names(kind) if name not in given]
    if missing:
        raise InputError(f"{kind.kind} needs {' and '.join(missing)}.")
    return kind(**given)


def parameter_names(kind: type[Schedule]) -> tuple[str, ...]:
    """The parameters in the order in which they may be given without a name."""
    return tuple(field.name for field in fields(kind))  # type: ignore[arg-type]


def required_names(kind: type[Schedule]) -> tuple[str, ...]:
    """The parameters without a default."""
    own = fields(kind)  # type: ignore[arg-type]  # every kind is a dataclass
    return tuple(field.name for field in own if field.default is MISSING)


def _read(value: Any, functions: bool) -> Any:
    if isinstance(value, Mapping):
        return from_dict(value, functions)
    if isinstance(value, (list, tuple)):
        return tuple(_read(item, functions) for item in value)
    return value
