"""Searches for the peak rate of a workload's own optimizer under the linear schedule.

Each takes a :class:`Search` and answers a rate, or None where nothing stayed finite. Rates come
from the range that the grid has for the optimizer's family. ``random_*`` train to the end, so the
search leaves the trained model; the others spend at most about one training and need another one.

* ``random_1``, ``_3``, ``_5``: whole trainings at log-uniform rates; the best validation loss.
* ``one_epoch``: evenly spaced rates for one epoch each, as many as make up one training.
* ``asha``: Optuna's SuccessiveHalvingPruner with its reduction factor of 4, rungs at 1/64, 1/16
  and 1/4 of the training, random rates; ``asha_2``: a factor of 2 and rungs as ``t_sha``.
* ``hyperband``: Optuna's HyperbandPruner with its factor of 3, rungs at 1/36, 1/12 and 1/4, and
  its default sampler TPE. All three start trials until one training is spent.
* ``t_sha``: nine half-decade rates about the middle of the range, rungs at 1/32, 1/16, 1/8 and 1/4
  of the training, 5, 3, 2 and 1 kept; ``t_sha_neighbours``: then two quarter-decade neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from opponents.trainings import Arm, Search

RUNGS = ((1 / 32, 5), (1 / 16, 3), (1 / 8, 2), (1 / 4, 1))


def random_search(search: Search, count: int) -> float | None:
    """The first ``count`` of the search's random rates."""
    draws = np.random.default_rng(search.random_seed).uniform(search.low, search.high, count)
    return best({10**draw: search.whole(10**draw) for draw in draws})


def one_epoch(search: Search) -> float | None:
    epochs, width = search.epochs, search.high - search.low
    rates = [10 ** (search.low + (k + 0.5) / epochs * width) for k in range(epochs)]
    to = search.length // epochs
    return best({lr: search.advance(search.arm(lr), to) for lr in rates})


def t_sha(search: Search, *, neighbours: bool = False) -> float | None:
    middle = (search.low + search.high) / 2
    arms = {
        search.arm(10**exponent): exponent for exponent in (middle + k / 2 for k in range(-4, 5))
    }
    losses: dict[Arm, float] = {}
    left = list(arms)
    for share, keep in RUNGS:
        losses = {arm: search.advance(arm, search.part(share)) for arm in left}
        left = sorted(losses, key=losses.__getitem__)[:keep]
    found = {left[0].lr: losses[left[0]]}
    if neighbours:
        for away in (-0.25, 0.25):
            arm = search.arm(10 ** (arms[left[0]] + away))
            found[arm.lr] = search.advance(arm, search.part(RUNGS[-1][0]))
    return best(found)


def with_optuna(
    search: Search, pruner: BasePruner, sampler: BaseSampler, unit: float, rungs: Sequence[int]
) -> float | None:
    """Trials one after the other until one training is spent; a resource is ``unit`` trainings."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name=f"{search.name}, seed {search.seed}", sampler=sampler, pruner=pruner
    )
    while search.updates + search.part(unit) <= search.length:
        trial = study.ask()
        arm = search.arm(trial.suggest_float("lr", 10**search.low, 10**search.high, log=True))
        loss = follow(search, trial, arm, unit, rungs)
        state = TrialState.PRUNED if loss is None else TrialState.COMPLETE
        study.tell(trial, loss, state=state)
    complete = study.get_trials(states=[TrialState.COMPLETE])
    if complete:
        return float(study.best_trial.params["lr"])
    pruned = [t for t in study.trials if t.last_step and math.isfinite(at_end(t))]
    found = min(pruned, key=lambda t: (-(t.last_step or 0), at_end(t)), default=None)
    return found and float(found.params["lr"])


def follow(
    search: Search, trial: optuna.Trial, arm: Arm, unit: float, rungs: Sequence[int]
) -> float | None:
    """The loss at the last rung; None when the trial is pruned or the budget ends before."""
    loss = None
    for rung in rungs:
        to = search.part(rung * unit)
        if search.updates + to - arm.done > search.length:
            return None
        loss = search.advance(arm, to)
        trial.report(loss if math.isfinite(loss) else math.nan, rung)
        if trial.should_prune() or not math.isfinite(loss):
            return None
    return loss


def at_end(trial: optuna.trial.FrozenTrial) -> float:
    return trial.intermediate_values[trial.last_step or 0]


def asha(search: Search, *, factor: int, unit: float, rungs: Sequence[int]) -> float | None:
    pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
    return with_optuna(search, pruner, RandomSampler(seed=search.random_seed), unit, rungs)


def hyperband(search: Search) -> float | None:
    pruner = HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    return with_optuna(search, pruner, TPESampler(seed=search.random_seed), 1 / 36, (1, 3, 9))


def best(losses: dict[float, float]) -> float | None:
    """The rate with the lowest loss; None when none is finite."""
    lr = min(losses, key=losses.__getitem__)
    return lr if math.isfinite(losses[lr]) else None


SEARCHES: dict[str, Callable[[Search], float | None]] = {
    "random_1": partial(random_search, count=1),
    "random_3": partial(random_search, count=3),
    "random_5": partial(random_search, count=5),
    "one_epoch": one_epoch,
    "asha": partial(asha, factor=4, unit=1 / 64, rungs=(1, 4, 16)),
    "asha_2": partial(asha, factor=2, unit=1 / 32, rungs=(1, 2, 4, 8)),
    "hyperband": hyperband,
    "t_sha": t_sha,
    "t_sha_neighbours": partial(t_sha, neighbours=True),
}
