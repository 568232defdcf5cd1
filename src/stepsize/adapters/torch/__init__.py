"""The PyTorch adapter: ``find``, ``find_lr``, ``sweep``, ``compare``, ``tune``, ``ScheduledLR``."""

from stepsize.adapters.torch.compare_task import compare
from stepsize.adapters.torch.find_lr import find_lr
from stepsize.adapters.torch.find_task import find
from stepsize.adapters.torch.group_rates import set_lr
from stepsize.adapters.torch.probe import TorchProbe
from stepsize.adapters.torch.schedule_state import GroupChange, ScheduleChangedWarning
from stepsize.adapters.torch.scheduled_lr import LateStepWarning, ScheduledLR
from stepsize.adapters.torch.sweep import Sweep, sweep
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.tune_task import tune
from stepsize.adapters.torch.update import Recipe

__all__ = [
    "GroupChange",
    "LateStepWarning",
    "Recipe",
    "ScheduleChangedWarning",
    "ScheduledLR",
    "Sweep",
    "TorchProbe",
    "Transaction",
    "compare",
    "find",
    "find_lr",
    "set_lr",
    "sweep",
    "tune",
]
