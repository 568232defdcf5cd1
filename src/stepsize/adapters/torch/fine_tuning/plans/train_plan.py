"""``train_plan``: one run of a transfer plan, logged as it happens, able to go on after any end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stepsize.adapters.torch.fine_tuning.plans.plan_training import PlanTraining
from stepsize.adapters.torch.fine_tuning.plans.plan_trial import PlanTrial
from stepsize.adapters.torch.trials.making import make
from stepsize.adapters.torch.trials.trial import CHECKPOINT_SECONDS
from stepsize.adapters.torch.update import Recipe
from stepsize.records import Evaluation

if TYPE_CHECKING:
    from stepsize.store import Lease


def train_plan(
    trial: PlanTrial,
    lease: Lease,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen)
    watch: Callable[[Evaluation], None] | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Make a run of a plan, or what is left of it, and give the lease back.

    One model and one optimizer go through all phases; random numbers and batches go on from phase
    to phase. A plan of one phase in which all layers train, with equal ratios and a rate that is
    given, trains as :func:`stepsize.adapters.torch.trials.train` does under its schedule, bit for
    bit.

    A run that was stopped goes on from its last checkpoint and ends with the same numbers, bit for
    bit. There is one at the end of each phase; a search for a rate that was cut short is made
    again.

    Args:
        trial, lease, recipe, watch, checkpoint_seconds: as for
            :func:`stepsize.adapters.torch.trials.train`.

    Raises:
        Exception: as :func:`stepsize.adapters.torch.trials.train`; an InputError where a rate
            could not be found and there is none to fall back on.
    """

    def begin() -> PlanTraining:
        return PlanTraining(trial, lease, recipe, checkpoint_seconds)

    make(begin, trial, lease, recipe, watch)
