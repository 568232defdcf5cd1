"""Transfer learning as values: layer groups, their rates, plans; knows no framework."""

from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.discriminative import LayerRates, discriminative
from stepsize.fine_tuning.layer_groups import LayerGroup, LayerGroups
from stepsize.fine_tuning.layer_tests import Factor, GroupTest, LayerRangeTests
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.presets import PLANS
from stepsize.fine_tuning.timeline import Stretch, Timeline, least_epochs
from stepsize.fine_tuning.transfer_result import TransferResult

__all__ = [
    "PLANS",
    "Factor",
    "GroupTest",
    "LayerGroup",
    "LayerGroups",
    "LayerRangeTests",
    "LayerRates",
    "Phase",
    "PhaseDecision",
    "Stretch",
    "Timeline",
    "TransferPlan",
    "TransferResult",
    "discriminative",
    "least_epochs",
]
