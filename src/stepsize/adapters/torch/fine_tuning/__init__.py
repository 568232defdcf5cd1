"""Transfer learning in PyTorch: layer groups, their rates, frozen layers, plans."""

from stepsize.adapters.torch.fine_tuning.compare_plans import compare_plans, plans_of
from stepsize.adapters.torch.fine_tuning.find_rates import find_common, find_rates
from stepsize.adapters.torch.fine_tuning.freezing import Freezing
from stepsize.adapters.torch.fine_tuning.group_layers import groups
from stepsize.adapters.torch.fine_tuning.param_groups import (
    param_groups,
    ratios_in,
    regroup,
    set_ratios,
)
from stepsize.adapters.torch.fine_tuning.precomputed import Precomputed, Refused, precompute
from stepsize.adapters.torch.fine_tuning.task_groups import task_groups

__all__ = [
    "Freezing",
    "Precomputed",
    "Refused",
    "compare_plans",
    "find_common",
    "find_rates",
    "groups",
    "param_groups",
    "plans_of",
    "precompute",
    "ratios_in",
    "regroup",
    "set_ratios",
    "task_groups",
]
