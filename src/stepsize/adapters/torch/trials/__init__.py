"""One run of a comparison: logged as it happens, and able to go on after any end."""

from stepsize.adapters.torch.trials.epoch_batches import batches_digest, updates_per_epoch
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.fresh_task import check_judged, fresh_task
from stepsize.adapters.torch.trials.trial import test_values, train
from stepsize.adapters.torch.trials.trial_facts import weights_digest

__all__ = [
    "batches_digest",
    "check_judged",
    "evaluate",
    "fresh_task",
    "test_values",
    "train",
    "updates_per_epoch",
    "weights_digest",
]
