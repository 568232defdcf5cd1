"""Small tasks to be fine-tuned, plans for them, and runs of those."""

import copy
from pathlib import Path

import torch
from adapters.torch.trials import Outcome, Stopping, maker
from adapters.zoo import WIDTH
from torch import nn

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.fine_tuning import groups
from stepsize.adapters.torch.fine_tuning.plans.plan_trial import PlanTrial
from stepsize.adapters.torch.fine_tuning.plans.train_plan import train_plan
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.store import Store
from stepsize.tasks import LoadedTask

UPDATES_PER_EPOCH = 5

#: Every kind of phase: with a frozen layer, on activations (of a loader that has moved on), thawed
#: step by step at rates that are found, and at a rate that is carried on.
MIXED = TransferPlan(
    "mixed",
    (
        Phase("two", 1, 2, lr=0.05),
        Phase("head", 1, "head", lr=0.05, precompute=True),
        Phase("gradual", 2, "gradual", "slanted_triangular(lr)", lr="find", ratios=2.6),
        Phase("all", 1, "all", "constant(lr)", lr="previous"),
    ),
)


def network(seed=0):
    """Three layers with statistics and dropout, so that frozen ones can be caught moving."""
    return nn.Sequential(
        nn.Linear(WIDTH, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2),
        nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2),
        nn.Linear(8, 1),
    )  # fmt: skip


def plan_trial(plan, epochs=5, make=None, seed=0, per_epoch=UPDATES_PER_EPOCH, **changes):
    """A run of ``plan`` on a task of 5 updates an epoch."""
    make = make or maker(network)
    found = groups(make(seed).model)
    merged = found if plan.groups is None else found.merged(plan.groups)
    return PlanTrial(
        plan.name,
        LoadedTask("mine", make),
        plan,
        merged,
        seed,
        epochs,
        per_epoch,
        **changes,
    )


class PlanOutcome(Outcome):
    """All that a run of a plan has left, but for times."""

    def __init__(self, store, run_id):
        super().__init__(store, run_id)
        object.__setattr__(self.stored, "facts", timeless(self.stored.facts))

    @property
    def decisions(self):
        return self.stored.facts["decisions"]


def timeless(value):
    """Facts without what differs from one attempt to the next."""
    if isinstance(value, dict):
        left = ("seconds", "search_seconds", "reused", "spent")
        return {name: 0 if name in left else timeless(item) for name, item in value.items()}
    return [timeless(item) for item in value] if isinstance(value, list) else copy.copy(value)


def run_plan(folder, trial, stops=(), every=0.0, recipe=None, **options):
    """Make the run, stopped at the updates ``stops``; everything that is known of it."""
    recipe = recipe or Recipe()
    with Store(Path(folder)) as store:
        run_id = store.add_run(trial.key, trial.definition())
        for stop in (*stops, None):
            with store.claim(run_id, {}) as lease:
                error = OSError("stopped")
                try:
                    stopping = Stopping(lease, stop, error)
                    train_plan(trial, stopping, checkpoint_seconds=every, recipe=recipe, **options)
                except OSError as caught:
                    if caught is not error:
                        raise
        return PlanOutcome(store, run_id)


def weights_of(model):
    """A copy of everything a state dict has."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first, second):
    """Bit for bit."""
    return list(first) == list(second) and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )
