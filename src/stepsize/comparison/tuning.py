"""Every arm's rates tried times a few factors, with the same effort for each arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from stepsize.records import Run
from stepsize.schedules import Scale, Schedule


def scaled(schedule: Schedule, factor: float) -> Schedule:
    """``schedule`` with all its rates times ``factor``.

    >>> from stepsize.schedules import Constant
    >>> scaled(Constant(0.1), 1.0), str(scaled(Constant(0.1), 3.0))
    (Constant(value=0.1, steps=None), '3 * constant(0.1)')
    """
    return schedule if factor == 1.0 else Scale(schedule, factor)


def best_factor(
    runs: Mapping[float, Sequence[Run]], *, metric: str, higher: bool, at: str
) -> float | None:
    """The factor whose runs have the best mean; of equals the one nearest to 1.

    A factor with a run that diverged or failed is out; None if all are.

    >>> from stepsize.records import Evaluation
    >>> def run(loss): return Run("a", "a", 3, "finished", 1, 1, (Evaluation(1, 1, {"v": loss}),))
    >>> best_factor({0.3: [run(0.5)], 1.0: [run(0.4)]}, metric="v", higher=False, at="final")
    1.0
    """
    means = {}
    for factor, tried in runs.items():
        values = [_value(run, metric, higher, at) for run in tried]
        if values and all(math.isfinite(value) for value in values):
            means[factor] = math.fsum(values) / len(values) * (-1.0 if higher else 1.0)
    return min(
        means, key=lambda factor: (means[factor], abs(math.log(factor)), factor), default=None
    )


def _value(run: Run, metric: str, higher: bool, at: str) -> float:
    if run.status != "finished":
        return math.inf
    best = run.best(metric, higher) if at == "best" else None
    values = run.final if best is None else best.values
    return values.get(metric, math.inf)
