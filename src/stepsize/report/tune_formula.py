"""A schedule written out as a Python function of the update, for code that goes without ours."""

from __future__ import annotations

from stepsize.errors import StepsizeError
from stepsize.schedules import Constant, Cosine, Linear, Ramp, Schedule
from stepsize.schedules.bridges.writing import Slot, Writing, simple, slots


def formula(schedule: Schedule, updates: int) -> str:
    """The lines of ``def rate(step)``; empty for a schedule whose pieces are more than plain.

    The schedule must be resolved.

    >>> print(formula(Linear(0.1, steps=50), 50))
    def rate(step):
        if step < 50:
            return 0.1 * (1 - step / 50)
        return 0.0
    """
    lines = ["def rate(step):"]
    start = 0
    try:
        pieces = slots(simple(schedule), Writing("torch", schedule, updates))
    except StepsizeError:
        return ""
    for slot in pieces:
        value = _value(slot, start)
        if not value:
            return ""
        if slot.steps is None:
            return "\n".join([*lines, f"    return {value}"])
        start += slot.steps
        lines += [f"    if step < {start}:", f"        return {value}"]
    return "\n".join([*lines, f"    return {schedule(start)!r}"])


def _value(slot: Slot, start: int) -> str:
    """What a piece that begins after ``start`` updates gives; empty if that is not plain."""
    piece, used = slot
    if isinstance(piece, Constant):
        return repr(piece.value)
    if not isinstance(piece, (Linear, Cosine, Ramp)) or used is None or used > int(piece.steps):
        return ""
    first, last = piece.init_value, piece.end_value
    share = f"{f'(step - {start})' if start else 'step'} / {piece.steps}"
    shape = piece.shape if isinstance(piece, Ramp) else piece.kind
    if shape == "linear" and last > first:
        return f"{first!r} + {last - first!r} * {share}"
    left = {
        "linear": f"(1 - {share})",
        "cosine": f"(1 + math.cos(math.pi * {share})) / 2",
        "1-sqrt": f"(1 - math.sqrt({share}))",
    }.get(shape)
    if left is None:
        return ""
    return f"{first!r} * {left}" if last == 0 else f"{last!r} + {first - last!r} * {left}"
