"""Find a learning rate with any probes: repeat, extend, read, and say what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from stepsize.finder.options import FindOptions
from stepsize.finder.sweeps import MakeProbe, OneByOne, Sweeps
from stepsize.rangetest import Geometric
from stepsize.records import Curve, FindResult, Suggestion
from stepsize.suggest import every_rule, nine_tenths, pool, smooth


def find(
    make_probe: MakeProbe | Sweeps,
    options: FindOptions = FindOptions(),  # noqa: B008  (frozen)
    *,
    task: str | None = None,
    group_ratios: Sequence[float] = (1.0,),
    settings: Mapping[str, Any] | None = None,
) -> FindResult:
    """Range-test ``make_probe(0)``, ``make_probe(1)``, ... and read one learning rate out of them.

    The ladder is lowered, three decades at a time, when the first sweep is already past its best
    at the lowest rates; each sweep extends itself upwards (see :func:`range_test`). Repeats that
    are identical to the last digit carry no information about the noise and count once.

    Range tests that are made together begin together: if the first of them shows that the ladder
    must be lowered, the others were in vain. Their updates count.

    Args:
        make_probe: called with 0, 1, ... for each repeat; or a :class:`Sweeps`, which makes the
            range tests of several repeats at once.
        options: how to search.
        task: a name for the record.
        group_ratios: each parameter group's rate as a fraction of the swept rate.
        settings: further choices for the record.

    Returns:
        The suggestion or the abstention, the curves, every other rule's answer and the cost.

    >>> class Quadratic:
    ...     def __init__(self): self.x = 1.0
    ...     def step(self, lr):
    ...         loss = self.x**2
    ...         self.x -= lr * 2 * self.x
    ...         return loss
    >>> result = find(lambda repeat: Quadratic())
    >>> result.verdict, 0.01 < result.lr < 1.0, len(result.repeats)
    ('ok', True, 1)
    """
    started = options.clock()
    sweeps = make_probe if isinstance(make_probe, Sweeps) else OneByOne(make_probe)
    first = chosen = _one_pass(sweeps, options, started)
    spent, notes = first.spent, first.notes
    if options.refine and (coarse := nine_tenths(first.curves)).lr is not None:
        updates_per_rate = first.options.ladder.rungs()[-1].updates
        ladder = refine(coarse, pool(first.curves), updates_per_rate)
        second = _one_pass(sweeps, replace(options, ladder=ladder), started)
        spent += second.spent
        fine = nine_tenths(second.curves)
        if fine.lr is not None:
            chosen = second
            notes = [*second.notes, f"The first, coarser pass suggested {coarse.lr:.3g}."]
        else:
            notes.append(f"A second, finer pass abstained ({fine.verdict}); the first stands.")
    result = read(
        chosen.curves, chosen.options, task=task, group_ratios=group_ratios, settings=settings
    )
    return replace(result, updates=spent, notes=tuple(notes), seconds=options.clock() - started)


def read(
    curves: Sequence[Curve],
    options: FindOptions,
    *,
    task: str | None = None,
    group_ratios: Sequence[float] = (1.0,),
    settings: Mapping[str, Any] | None = None,
) -> FindResult:
    """Read curves that are already measured into a result; arguments as for :func:`find`."""
    curve = pool(curves)
    return FindResult(
        suggestion=nine_tenths(curves),
        curve=curve,
        smoothed=smooth(curve),
        repeats=tuple(curves),
        rules=every_rule(curve),
        task=task,
        updates=sum(each.spent for each in curves),
        settings={**options.to_dict(), **(settings or {})},
        group_ratios=tuple(group_ratios),
        seconds=curve.seconds,
    )


def refine(answer: Suggestion, curve: Curve, updates_per_rate: int = 1) -> Geometric:
    """The ladder of the second pass: from below the beginning of the fall to its divergence.

    It makes as many updates as the first pass, on fewer decades. It starts at half a decade below
    ``base_lr``, a decade below the answer at most, because more updates per decade move the fall
    itself to lower rates.

    >>> refine(Suggestion("ok", "", lr=0.1), Curve((0.01, 5.0), (1.0, 2.0)))
    Geometric(start=0.01, stop=5.0, rates=20, updates_per_rate=1)
    """
    lr = answer.lr or curve.lr[-1]
    begun = answer.clr.base_lr if answer.clr else lr
    start = min(lr / 10.0, begun / math.sqrt(10.0))
    rates = max(20, sum(curve.updates) // updates_per_rate)
    return Geometric(start, max(curve.lr[-1], 10.0 * lr), rates, updates_per_rate)


class _Pass(NamedTuple):
    """What one pass left: its curves, remarks and cost, and the options it ended with."""

    curves: list[Curve]
    notes: list[str]
    spent: int
    options: FindOptions


def _one_pass(sweeps: Sweeps, options: FindOptions, started: float) -> _Pass:
    """All repeats on one ladder, lowered first if need be."""
    notes: list[str] = []
    first = range(min(sweeps.together, options.repeats))
    curves = sweeps.sweep(first, _in_time(options, started))
    spent = _updates(curves)
    while (lower := _lowered(curves[0], options)) is not None:
        notes.append(
            f"The training was past its best at the lowest rates from {curves[0].lr[0]:.2g}, so "
            f"the range test began again at {lower.start:.2g}."
        )
        options = replace(options, ladder=lower)
        curves = sweeps.sweep(first, _in_time(options, started))
        spent += _updates(curves)
    while (done := len(curves)) < options.repeats:
        if curves[0].seconds > _seconds_left(options, started):
            notes.append(f"Time was up after {done} of {options.repeats} repeats.")
            break
        # Under a time limit no more are asked for than begin at once, so that time is looked at.
        count = options.repeats if options.max_seconds is None else done + sweeps.together
        more = sweeps.sweep(range(done, min(count, options.repeats)), _in_time(options, started))
        curves += more
        spent += _updates(more)
    if len(curves) > 1 and all(other == curves[0] for other in curves[1:]):
        notes.append(
            "All repeats were identical (no batch order or initialisation differed), so they "
            "count as one."
        )
        curves = curves[:1]
    return _Pass(curves, notes, spent, options)


def _updates(curves: Sequence[Curve]) -> int:
    return sum(curve.spent for curve in curves)


def _in_time(options: FindOptions, started: float) -> FindOptions:
    """The options of range tests that begin now: they may take the time that is left."""
    left = _seconds_left(options, started)
    return options if math.isinf(left) else replace(options, max_seconds=max(left, 1e-9))


def _seconds_left(options: FindOptions, started: float) -> float:
    if options.max_seconds is None:
        return math.inf
    return options.max_seconds - (options.clock() - started)


def _lowered(curve: Curve, options: FindOptions) -> Geometric | None:
    """A lower ladder, if the first sweep was past its best in its first decade."""
    ladder = options.ladder
    if not isinstance(ladder, Geometric) or options.extend_decades < 1 or ladder.start < 1e-12:
        return None
    if not curve.diverged or not math.isfinite(curve.loss[0]):
        return None
    verdict = nine_tenths([curve]).verdict
    # A curve without a fall that began at an ordinary rate may have begun above it.
    if verdict != "diverged_at_start" and not (verdict == "flat" and ladder.start > 1e-4):
        return None
    decades = options.extend_decades
    span = math.log10(ladder.stop / ladder.start)
    rates = math.ceil(ladder.rates * (1.0 + decades / span))
    start = ladder.start / 10.0**decades
    return Geometric(start, ladder.stop, rates, ladder.updates_per_rate)
