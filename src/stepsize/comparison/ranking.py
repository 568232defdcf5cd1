"""Which arm is best, and which of the others can be told from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, final

from stepsize.comparison.adjustment import against_the_best
from stepsize.comparison.intervals import (
    METHODS,
    mean_interval,
    mean_of,
    paired_interval,
    paired_p,
)
from stepsize.errors import did_you_mean, require
from stepsize.records import Evaluation, Run, Standing
from stepsize.records.comparison import Interval

#: An arm is called worse than the best if the adjusted p value is no larger.
SIGNIFICANT = 0.05


@final
@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How far two arms are apart, seed by seed.

    Attributes:
        mean: of the first arm minus the second, over the seeds that both have.
        ci95: its interval, of this pair alone; None where the seeds do not tell.
        p: the two-sided p value of the paired t test, of this pair alone; None with one seed.
        seeds: how many seeds both have.
    """

    mean: float
    ci95: Interval | None
    p: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class _Arm:
    """The runs of one arm and what they say.

    Attributes:
        name, schedule: the arm's.
        values: the metric by seed, of the runs that came to a finite one.
        counted: those runs.
        best: each one's best evaluation.
        lost: how many runs diverged.
        complete: whether there is a value for every seed.
        order: sorts arms, the better mean first.
    """

    name: str
    schedule: str
    values: Mapping[int, float]
    counted: tuple[Run, ...]
    best: tuple[Evaluation, ...]
    lost: int
    complete: bool
    order: float

    @classmethod
    def of(
        cls, runs: Mapping[int, Run], seeds: Sequence[int], metric: str, higher: bool, at: str
    ) -> _Arm:
        """Read the runs of one arm, given by seed."""
        values: dict[int, float] = {}
        best = []
        lost = 0
        for seed in sorted(runs):
            run = runs[seed]
            peak = run.best(metric, higher)
            if run.status == "diverged" or (metric in run.final and peak is None):
                lost += 1
            elif metric in run.final and peak is not None:
                value = (run.final if at == "final" else peak.values)[metric]
                if math.isfinite(value):
                    values[seed] = value
                    best.append(peak)
                else:
                    lost += 1
        mean = mean_of(list(values.values())) if values else math.inf
        any_run = next(iter(runs.values()))
        return cls(
            any_run.arm,
            any_run.schedule,
            values,
            tuple(runs[seed] for seed in values),
            tuple(best),
            lost,
            len(values) == len(seeds),
            -mean if higher and values else mean,
        )


def rank(
    runs: Sequence[Run],
    *,
    metric: str = "val_loss",
    higher: bool = False,
    at: str = "final",
    method: str = "t",
    rates: Mapping[str, tuple[int | None, str]] | None = None,
) -> tuple[Standing, ...]:
    """Rank the arms by the mean of ``metric`` over the seeds, and say which can be told apart.

    Arms that are finished with every seed come first; of equal means the one asked for first. The
    first is ``best``. Each other carries its differences to the best one, seed by seed, and is
    ``worse`` if their adjusted p value is at most 0.05, ``equal`` (not distinguishable) if not, and
    ``unknown`` with one seed. Then come ``incomplete`` arms, most seeds first, with the mean of
    what there is and the difference over the seeds they share with the best, but no verdict; and
    last the ``diverged``, fewest divergences first. A final value that is not finite is a
    divergence. While no arm is complete, and if all diverge, none is best.

    The arm that came out best is best partly by luck, and the same luck makes the others look
    worse: Holm's adjustment alone calls one of 5 equally good arms worse in 8 % of all comparisons,
    of 16 in 17 %. :func:`~stepsize.comparison.adjustment.against_the_best` keeps that at 5 % under
    normal noise, equal in all arms or not; skewed noise, as of trainings near divergence, may make
    it up to 9 % (``benchmarks/ranking_errors/``). The intervals are not adjusted: each is
    for its pair alone, and of 5 equal arms one of a difference to the best holds the true one in
    92 %, of 16 in 84 to 89 %.

    Args:
        runs: of all arms, each with any number of seeds; an arm needs every seed that another has.
        metric: what to rank by.
        higher: whether more of it is better.
        at: judge each run by its end (``final``) or by its best epoch (``best``).
        method: of the intervals of differences, ``t`` or ``bootstrap``; p values are of the t test.
        rates: by arm, the updates spent to choose its rates, and where they come from.

    Raises:
        InputError: no run reports the metric, an arm has two runs of one seed, or an unknown ``at``
            or ``method``.

    >>> from stepsize.records import Evaluation
    >>> def run(arm, seed, loss):
    ...     return Run(arm, arm, seed, "finished", 9, 9, (Evaluation(1, 9, {"val_loss": loss}),))
    >>> runs = [run("cosine(0.1)", seed, 0.30 + 0.01 * seed) for seed in range(3)]
    >>> runs += [run("constant(0.1)", seed, 0.35 + 0.011 * seed) for seed in range(3)]
    >>> [(row.arm, row.place, round(row.difference_to_best, 4)) for row in rank(runs)]
    [('cosine(0.1)', 'best', 0.0), ('constant(0.1)', 'worse', 0.051)]

    Sources: Student (1908), Holm (1979); for the luck of the best, Hsu, "Constrained simultaneous
    confidence intervals for multiple comparisons with the best", Annals of Statistics 12 (1984).
    """
    arms = _arms(runs, metric, higher, at, method)
    complete = sorted((arm for arm in arms if arm.complete), key=lambda arm: arm.order)
    incomplete = sorted(
        (arm for arm in arms if not arm.complete and not arm.lost),
        key=lambda arm: (-len(arm.values), arm.order),
    )
    diverged = sorted((arm for arm in arms if arm.lost), key=lambda arm: arm.lost)
    rows = [*_ranked(complete, method)]
    for arm in incomplete:
        pair = _difference(arm, complete[0], method) if complete else None
        rows.append(replace(_row(arm, "incomplete"), **_distance(pair)))
    rows += [_row(arm, "diverged") for arm in diverged]
    known = rates or {}
    return tuple(
        replace(row, effort=known[row.arm][0], rates_from=known[row.arm][1])
        if row.arm in known
        else row
        for row in rows
    )


def pairwise(
    runs: Sequence[Run],
    *,
    metric: str = "val_loss",
    higher: bool = False,
    at: str = "final",
    method: str = "t",
) -> dict[tuple[str, str], PairedDifference]:
    """Every arm minus every other over the seeds they share, each pair by itself.

    Nothing is adjusted for the number of pairs. Pairs without a seed in common are left out.

    Args:
        runs, metric, higher, at, method: as for :func:`rank`.

    Raises:
        InputError: as :func:`rank`.
    """
    arms = _arms(runs, metric, higher, at, method)
    found = {}
    for a, b in combinations(arms, 2):
        pair = _difference(a, b, method)
        if pair is not None:
            found[a.name, b.name] = pair
            found[b.name, a.name] = _turned(pair)
    return found


def _ranked(arms: Sequence[_Arm], method: str) -> Iterator[Standing]:
    """The rows of arms that have every seed, in this order."""
    if not arms:
        return
    yield replace(_row(arms[0], "best"), difference_to_best=0.0)
    pairs = [_difference(arm, arms[0], method) for arm in arms[1:]]
    adjusted = against_the_best([list(arm.values.values()) for arm in arms])
    for arm, pair, p in zip(arms[1:], pairs, adjusted, strict=True):
        place = "unknown" if p is None else "worse" if p <= SIGNIFICANT else "equal"
        yield replace(_row(arm, place), **_distance(pair), p_adjusted=p)


def _row(arm: _Arm, place: str) -> Standing:
    """What the arm's own runs say; no mean where one of them diverged."""
    values = [] if arm.lost else list(arm.values.values())
    return Standing(
        arm.name,
        arm.schedule,
        place,
        mean=mean_of(values) if values else None,
        ci95=mean_interval(values),
        seeds=len(arm.values),
        final=_means([run.final for run in arm.counted]),
        best=_means([each.values for each in arm.best]),
        best_epoch=mean_of([each.epoch for each in arm.best]) if arm.best else None,
    )


def _distance(pair: PairedDifference | None) -> dict[str, Any]:
    if pair is None:
        return {}
    return {"difference_to_best": pair.mean, "difference_ci95": pair.ci95}


def _difference(arm: _Arm, other: _Arm, method: str) -> PairedDifference | None:
    """The arm minus the other; None without a seed in common."""
    shared = sorted(set(arm.values) & set(other.values))
    if not shared:
        return None
    differences = [arm.values[seed] - other.values[seed] for seed in shared]
    return PairedDifference(
        mean_of(differences),
        paired_interval(differences, method),
        paired_p(differences),
        len(shared),
    )


def _turned(pair: PairedDifference) -> PairedDifference:
    ends = None if pair.ci95 is None else (-pair.ci95[1], -pair.ci95[0])
    return replace(pair, mean=-pair.mean, ci95=ends)


def _means(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every metric that is finite in all."""
    names = each[0] if each else {}
    columns = {name: [values.get(name, math.inf) for values in each] for name in names}
    return {n: mean_of(column) for n, column in columns.items() if all(map(math.isfinite, column))}


def _arms(runs: Sequence[Run], metric: str, higher: bool, at: str, method: str) -> tuple[_Arm, ...]:
    """The arms in the order asked for."""
    require(at in ("final", "best"), f"at is 'final' or 'best', got {at!r}.")
    require(method in METHODS, f"method is one of {', '.join(METHODS)}; got {method!r}.")
    _need_metric(runs, metric)
    by_arm: dict[str, dict[int, Run]] = {}
    for run in runs:
        own = by_arm.setdefault(run.arm, {})
        require(run.seed not in own, f"{run.arm} has two runs of seed {run.seed}.")
        own[run.seed] = run
    seeds = sorted({run.seed for run in runs})
    return tuple(_Arm.of(own, seeds, metric, higher, at) for own in by_arm.values())


def _need_metric(runs: Sequence[Run], metric: str) -> None:
    names = sorted({name for run in runs for each in run.history for name in each.values})
    require(
        not names or metric in names,
        f"No run reports {metric!r:.80}; there is {', '.join(names)}.{did_you_mean(metric, names)}",
    )
