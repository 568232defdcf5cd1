"""Transfer learning in PyTorch: layer groups, their rates, frozen layers, plans."""

from stepsize.adapters.torch.fine_tuning.frozen.freezing import Freezing
from stepsize.adapters.torch.fine_tuning.frozen.precomputed import Precomputed, Refused, precompute
from stepsize.adapters.torch.fine_tuning.layers.group_layers import groups
from stepsize.adapters.torch.fine_tuning.layers.param_groups import (
    param_groups,
    ratios_in,
    regroup,
    set_ratios,
)
from stepsize.adapters.torch.fine_tuning.layers.task_groups import task_groups
from stepsize.adapters.torch.fine_tuning.measuring.find_rates import find_common, find_rates
from stepsize.adapters.torch.fine_tuning.plans.compare_plans import compare_plans, plans_of

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
