"""Transfer learning: layer groups, a rate for each, and the recipes of fine-tuning as plans.

Importing it loads no framework: what needs torch is loaded when it is first used.

>>> from stepsize import transfer
>>> transfer.discriminative(slice(1e-4, 1e-2), 3).rule
'geometric from 0.0001 to 0.01'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepsize.adapters.torch.fine_tuning import (
        Freezing,
        Precomputed,
        Refused,
        compare_plans,
        find_common,
        find_rates,
        groups,
        param_groups,
        plans_of,
        precompute,
        ratios_in,
        regroup,
        set_ratios,
        task_groups,
    )
    from stepsize.fine_tuning import (
        PLANS,
        Factor,
        GroupTest,
        LayerGroup,
        LayerGroups,
        LayerRangeTests,
        LayerRates,
        Phase,
        PhaseDecision,
        Stretch,
        Timeline,
        TransferPlan,
        TransferResult,
        discriminative,
        least_epochs,
    )

__all__ = [
    "PLANS",
    "Factor",
    "Freezing",
    "GroupTest",
    "LayerGroup",
    "LayerGroups",
    "LayerRangeTests",
    "LayerRates",
    "Phase",
    "PhaseDecision",
    "Precomputed",
    "Refused",
    "Stretch",
    "Timeline",
    "TransferPlan",
    "TransferResult",
    "compare_plans",
    "discriminative",
    "find_common",
    "find_rates",
    "groups",
    "least_epochs",
    "param_groups",
    "plans_of",
    "precompute",
    "ratios_in",
    "regroup",
    "set_ratios",
    "task_groups",
]

#: What needs torch; everything else is plain values.
_OF_TORCH = frozenset(
    (
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
    )
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'stepsize.transfer' has no attribute {name!r}")
    home = "adapters.torch.fine_tuning" if name in _OF_TORCH else "fine_tuning"
    try:
        module = importlib.import_module(f"stepsize.{home}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "numpy", "safetensors"):
            raise
        from stepsize.errors import MissingDependencyError

        raise MissingDependencyError(
            f"stepsize.transfer.{name} needs PyTorch: pip install 'stepsize[torch]'"
        ) from error
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
